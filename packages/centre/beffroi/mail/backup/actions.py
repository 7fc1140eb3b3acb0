"""Ask for a restore, carry it out, undo it, refuse it. Each is written down; the work is the keeper's (asking).

Process: web (ask); the Département's command line (the others).
Hostile: words and days of a form or a command.
Fails:   BackupUnavailable, BackupRefused: the restore stays open, and the same command goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import batched
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from beffroi.mail import deleted
from beffroi.mail import queries as mail
from beffroi.mail.backup import asking, queries, restoring
from beffroi.mail.backup.models import Restore
from beffroi.mail.models import Mailbox, MailDelivery
from beffroi.mail.noted import change, record

MAX_OPEN = 5
"""Requests of one mailbox that wait: more are a mistake or malice."""
_SLICE = 500
Tell = Callable[[int, int], None]


@transaction.atomic
def keep(*, actor: Actor, restore: Restore) -> Restore:
    """Write a draft down. Errors: Conflict (too many of this mailbox wait)."""
    open_ = Restore.objects.filter(mailbox_id=restore.mailbox_id, state__in=queries.OPEN)
    if open_.count() >= MAX_OPEN:
        raise Conflict("five requests for this mailbox wait already")
    restore.save(force_insert=True)
    at, folder = restore.at.isoformat(), bool(restore.folder)
    record(actor, "mail:restore:asked", restore, at=at, by_owner=restore.by_owner, folder=folder)
    return restore


def draft(
    *,
    actor: Actor,
    mailbox: Mailbox,
    at: datetime,
    folder: str = "",
    search: str = "",
    message_id: str = "",
    in_place: bool = False,
) -> Restore:
    """That mails of this mailbox should be as they were at ``at`` (aware), not written down yet: for a preview, or for
    ``keep``. What is private comes back only where somebody asks who reads the mailbox.

    Errors: NotFound (not the actor's), Invalid (moment, folder, words).
    """
    owner = False
    if not actor.sees_all:
        queries.access_askable(actor, mailbox.id)
        owner = mail.own_mailboxes(actor).filter(pk=mailbox.pk).exists()
    if at > clock.now():
        raise Invalid("a moment that is still to come")
    if len(folder) > 255 or any(ord(one) < 32 for one in folder + message_id) or len(message_id) > 300:
        raise Invalid("folder or identifier")
    if len(search) > 300:
        raise Invalid("search: at most 300 characters")
    restoring.parse(search)
    return Restore(
        mailbox_id=mailbox.id, collectivite_id=mailbox.collectivite_id, asked_by=actor.id, by_owner=owner,
        at=at.astimezone(UTC), folder=folder, search=search, message_id=message_id,
        into="" if in_place else folder_name(clock.now()),
    )  # fmt: skip


def folder_name(moment: datetime) -> str:
    """Of the folder that gets the copies: in the centre's own time."""
    return f"{moment.astimezone(ZoneInfo(settings.TIME_ZONE)):Restauré le %d-%m-%Y à %Hh%M}"


def preview(*, actor: Actor, restore: Restore) -> dict[str, Any]:
    """How many mails of which folders would come back; never who wrote them, nor about what.

    Errors: NotAllowed, Conflict (it is over), BackupUnavailable, BackupRefused.
    """
    actor.require_departement("restore from a backup")
    _open(restore)
    return asking.ask(settings.BEFFROI, "restore", preview=True, **_asked(restore))


def carry_out(*, actor: Actor, restore: Restore, tell: Tell | None = None) -> Restore:
    """Put back what is missing. Given again after a cut, it goes on, and brings nothing twice.

    Errors: NotAllowed, Conflict (it is over), BackupUnavailable, BackupRefused.
    """
    actor.require_departement("restore from a backup")
    with transaction.atomic():
        locked = Restore.objects.select_for_update().get(pk=restore.pk)
        _open(locked)
        change(locked, state=Restore.State.RUNNING)
    answer = asking.ask(settings.BEFFROI, "restore", tell, **_asked(locked))
    with transaction.atomic():
        locked = Restore.objects.select_for_update().get(pk=restore.pk)
        restored = answer.get("restored", 0)
        change(
            locked, state=Restore.State.DONE, as_of=datetime.fromtimestamp(answer["at_s"], UTC),
            found=locked.found + restored, present=answer["present"], left_out=answer["private"],
            search="", message_id="",
        )  # fmt: skip
        record(actor, "mail:restore:done", locked, restored=restored, left_out=answer["private"],
                whole=bool(answer.get("whole")))  # fmt: skip
        _look_again(locked, answer.get("ours", []))
    return locked


def undo(*, actor: Actor, restore: Restore) -> int:
    """Take away the copies that still lie where they were put; return how many.

    Errors: NotAllowed, Conflict (not done, or taken back already), BackupUnavailable, BackupRefused.
    """
    actor.require_departement("restore from a backup")
    state = Restore.objects.get(pk=restore.pk).state
    if state != Restore.State.DONE:
        undone = state == Restore.State.UNDONE
        raise Conflict("this restore is taken back already" if undone else "this restore is not done")
    removed = int(asking.ask(settings.BEFFROI, "undo", restore_id=restore.id)["removed"])
    with transaction.atomic():
        locked = Restore.objects.select_for_update().get(pk=restore.pk)
        change(locked, state=Restore.State.UNDONE)
        record(actor, "mail:restore:undone", locked, removed=removed)
    return removed


@transaction.atomic
def refuse(*, actor: Actor, restore: Restore, reason: str) -> None:
    """Say no to a request, or take it back: who asked sees the reason. Errors: NotAllowed, Invalid, Conflict."""
    if not (actor.sees_all or restore.asked_by == actor.id):
        raise NotAllowed("take back somebody else's request")
    if actor.sees_all and not reason.strip():
        raise Invalid("a reason is needed")
    locked = Restore.objects.select_for_update().get(pk=restore.pk)
    if locked.state != Restore.State.ASKED:
        raise Conflict("this request does not wait any more")
    change(locked, state=Restore.State.REFUSED, reason=reason.strip()[:300], search="", message_id="")
    record(actor, "mail:restore:refused", locked)


def _asked(restore: Restore) -> dict[str, Any]:
    return {
        "restore_id": restore.id,
        "mailbox_id": restore.mailbox_id,
        "at_s": int(restore.at.timestamp()),
        "folder": restore.folder,
        "search": restore.search,
        "message_id": restore.message_id,
        "owner": restore.by_owner,
        "into": restore.into,
    }


def _look_again(restore: Restore, ours: list[str]) -> None:
    """A lure that was withdrawn, or whose owner had deleted it, must not come back: remediation looks at each."""
    for some in batched(ours, _SLICE, strict=False):
        known = MailDelivery.objects.filter(mailbox_id=restore.mailbox_id, message_id__in=some)
        copies = [(one, restore.mailbox_id) for one in known.values_list("message_id", flat=True)]
        if copies:
            publish(deleted.RECOVERED, {"copies": copies}, collectivite_id=restore.collectivite_id)
    # What a restored database does not know is among them: the sweep looks for it.
    Mailbox.objects.filter(pk=restore.mailbox_id).update(searched_at=None)


def _open(restore: Restore) -> None:
    # Its words are gone when it is over: without them it would mean everything.
    if restore.state not in queries.OPEN:
        raise Conflict("this restore is over; ask for a new one")
