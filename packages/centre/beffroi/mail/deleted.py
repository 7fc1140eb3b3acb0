"""What was deleted within 30 days: find it, give it back, take it away for good.

Purpose: whatever program expunged a mail, Dovecot keeps it in a folder that no client is told of (dovecot.conf,
         namespace "deleted"), encrypted as it was. Its owner finds it by words and takes it back.
Process: web (search, give back: over the owner's IMAP), sources (purge: doveadm).
Hostile: search words and numbers of the form; headers of mails. A lure that its owner deleted must not come back:
         what an active decision holds stays where it is, and each mail that was given back is looked at once more.
Fails:   MailboxUnavailable without Dovecot; NoRoom when the mailbox is full. A purge runs only by a clock that can be
         believed (core.retention).
Source:  RFC 9051; doc.dovecot.org, lazy_expunge plugin.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from imapclient.exceptions import IMAPClientError

from beffroi.core import turns
from beffroi.core.audit import actions as audit
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import actions as retention
from beffroi.core.retention import rules as retention_rules
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotFound
from beffroi.mail import doveadm, folders, holding, seeking
from beffroi.mail.doveadm import Command, Doveadm
from beffroi.mail.engines import layout
from beffroi.mail.folders import MAX_UIDS
from beffroi.mail.heads import MessageSummary
from beffroi.mail.models import Mailbox, MailDelivery
from beffroi.mail.quota.models import MailboxRoom
from beffroi.mail.reader import MailboxReader

KEEP_DAYS = 30
MAX_SHOWN = 100
PURGE_SLICE = 10
PURGE_EVERY = timedelta(days=1)
RECOVERED = "mail:recovered"


class NoRoom(Conflict):
    """The mailbox has no room for these mails; delete others and empty the trash."""

    code = "mail.no_room"


def search(
    opened: MailboxReader, text: str = "", *, since: date | None = None, before: date | None = None
) -> tuple[list[MessageSummary], int]:
    """The mails deleted last, and how many there are. Each word must be in sender, recipient or subject; the days are
    those of receipt, ``before`` included."""
    if not _select(opened, readonly=True):
        return [], 0
    criteria: list[object] = []
    for word in seeking.words_of(text):
        criteria += ["OR", "FROM", word, "OR", "TO", word, "SUBJECT", word]
    if since is not None:
        criteria += ["SINCE", since]
    if before is not None:
        criteria += ["BEFORE", before + timedelta(days=1)]
    found = sorted(
        opened.client.search(criteria or "ALL", charset="UTF-8" if criteria else None), reverse=True
    )
    return opened.summaries(found[:MAX_SHOWN]), len(found)


def give_back(
    opened: MailboxReader, *, actor: Actor, mailbox: Mailbox, uids: Sequence[int], folder: str = "INBOX"
) -> tuple[list[int], int]:
    """Move deleted mails into a folder of the mailbox. Return their numbers there, and how many a decision holds back.

    Errors: NotFound (folder), NoRoom, Invalid (folder).
    """
    folder = folders.checked_name(folder)
    if not _select(opened):
        return [], 0
    letters = opened.summaries(_there(opened, uids))
    free = [one for one in letters if not _held(mailbox, one)]
    if not free:
        return [], len(letters)
    _check_room(opened, [one.uid for one in free])
    came = _move(opened, [one.uid for one in free], folder)
    _record(actor, mailbox, [one.beffroi_id for one in free if one.beffroi_id], len(came))
    return came, len(letters) - len(free)


def take_away_again(opened: MailboxReader, *, uids: Sequence[int], folder: str) -> int:
    """Undo: delete what was given back a moment ago; return how many were still there. They lie among the deleted mails
    again, for 30 days from now. Errors: NotFound (the folder)."""
    try:
        opened.client.select_folder(folders.checked_name(folder))
    except IMAPClientError:
        raise NotFound("folder") from None
    if there := _there(opened, uids):
        # Not a move: Dovecot deletes into that folder by itself, and would keep a second copy of a moved one.
        opened.client.add_flags(there, [b"\\Deleted"], silent=True)
        opened.client.expunge(there)
    return len(there)


def _select(opened: MailboxReader, *, readonly: bool = False) -> bool:
    """False when nothing was ever deleted."""
    try:
        opened.client.select_folder(layout.deleted_folder(settings.BEFFROI), readonly=readonly)
    except IMAPClientError as error:
        if "NONEXISTENT" in str(error).upper():
            return False
        raise
    return True


def _there(opened: MailboxReader, uids: Sequence[int]) -> list[int]:
    """Those of these numbers, of ``MAX_UIDS`` at most, that the folder still has."""
    wanted = sorted(set(uids))[:MAX_UIDS]
    return list(opened.client.search(["UID", ",".join(map(str, wanted))])) if wanted else []


def _held(mailbox: Mailbox, letter: MessageSummary) -> bool:
    return bool(letter.beffroi_id and holding.holding(letter.beffroi_id, mailbox.collectivite_id))


def _check_room(opened: MailboxReader, uids: Sequence[int]) -> None:
    """Dovecot does not ask for room when a mail is moved, though where it came from does not count. Errors: NoRoom."""
    room = folders.room(opened)
    sizes = opened.client.fetch(uids, ["RFC822.SIZE"]).values()
    if room is not None and sum(int(one[b"RFC822.SIZE"]) for one in sizes) > room.free_bytes:
        raise NoRoom


def _move(opened: MailboxReader, uids: Sequence[int], folder: str) -> list[int]:
    """Return the new numbers. Errors: NotFound."""
    try:
        before = int(opened.client.folder_status(folder, ["UIDNEXT"])[b"UIDNEXT"])
        opened.client.move(uids, folder)
    except IMAPClientError:
        raise NotFound("folder") from None
    opened.client.select_folder(folder, readonly=True)
    # A mail may have arrived meanwhile, and has one of these numbers; it is not ours to take away again.
    fresh = sorted(opened.client.search(["UID", f"{before}:*"]))
    return [one for one in fresh if one >= before][: len(uids)]


@transaction.atomic
def _record(actor: Actor, mailbox: Mailbox, message_ids: Sequence[str], count: int) -> None:
    audit.record_of(actor, "mail:deleted:given_back", mailbox, {"count": count})
    delivered = MailDelivery.objects.filter(mailbox_id=mailbox.id, message_id__in=message_ids)
    for message_id in delivered.values_list("message_id", flat=True):
        # A decision of this very moment found the copy neither deleted nor here: remediation looks once more.
        publish(RECOVERED, {"copies": [(message_id, mailbox.id)]}, collectivite_id=mailbox.collectivite_id)


def purge() -> int:
    """Take away for good what was deleted more than 30 days ago, and give the disk its room back, for some mailboxes
    whose day it is; return how many. Errors: DoveadmUnavailable."""
    config, now = settings.BEFFROI, clock.paced_now()
    due = MailboxRoom.objects.filter(Q(purged_at=None) | turns.over("purged_at", now, PURGE_EVERY)).order_by(
        "purged_at", "pk"
    )
    opened = Mailbox.objects.filter(closed_at=None).exclude(ready_at=None)
    rows = list(due.filter(pk__in=opened.values("id"))[:PURGE_SLICE])
    step = timedelta(days=config.retention_clock_days)
    if not rows or retention_rules.doubt(now, retention.trusted_now(now), step=step):
        return 0
    addresses = dict(opened.filter(pk__in=[one.pk for one in rows]).values_list("id", "address"))
    before_s = int((now - timedelta(days=KEEP_DAYS)).timestamp())
    folder = layout.deleted_folder(config)
    commands: list[list[Command]] = [
        [doveadm.expunge_saved_before(addresses[one.pk], folder, before_s), doveadm.purge(addresses[one.pk])]
        for one in rows
    ]
    Doveadm(config).run_groups(commands)
    MailboxRoom.objects.filter(pk__in=[one.pk for one in rows]).update(purged_at=now)
    return len(rows)
