"""Which closed mailboxes, exports and erasures exist for whom: the référent's own collectivité; of erasures all for the
Département, which sees no mailbox and no export."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import QuerySet

from beffroi.core import turns
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import existing
from beffroi.mail.closing.models import Erasure, Export
from beffroi.mail.models import Mailbox
from beffroi.mail.people.leaving import UNDO_DAYS

OPEN_EXPORTS = (Export.State.WAITING, Export.State.RUNNING)
OPEN_ERASURES = (Erasure.State.ASKED, Erasure.State.GRANTED, Erasure.State.ERASING)
STANDING = (*OPEN_ERASURES, Erasure.State.DONE)
LONGEST_WAIT = timedelta(minutes=10)
"""Longer than any pause of either."""


def closed_mailboxes(actor: Actor) -> QuerySet[Mailbox]:
    """The latest first; also those that are erased, for their record."""
    rows = Mailbox.objects.filter(collectivite_id=actor.leads or "").exclude(closed_at=None)
    return rows.order_by("-closed_at", "address")


def access_closed(actor: Actor, mailbox_id: str) -> Mailbox:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(closed_mailboxes(actor).filter(pk=mailbox_id).first(), "mailbox")


def exports(mailbox: Mailbox) -> QuerySet[Export]:
    """Of a mailbox that the caller may see; newest first."""
    return Export.objects.filter(mailbox_id=mailbox.id).order_by("-created_at", "-id")


def access_export(actor: Actor, mailbox_id: str, export_id: str) -> Export:
    """Errors: NotFound, for absent and forbidden alike."""
    mailbox = access_closed(actor, mailbox_id)
    return existing(exports(mailbox).filter(pk=export_id).first(), "export")


def visible_erasures(actor: Actor) -> QuerySet[Erasure]:
    """Newest first."""
    return actor.led(Erasure.objects.order_by("-created_at", "-id"))


def access_erasure(actor: Actor, erasure_id: str) -> Erasure:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_erasures(actor).filter(pk=erasure_id).first(), "erasure")


def erasures_of(mailboxes: Collection[Mailbox]) -> dict[str, Erasure]:
    """For each mailbox the one that stands, else the latest; one query."""
    rows = Erasure.objects.filter(mailbox_id__in=[one.id for one in mailboxes]).order_by("created_at", "id")
    return {one.mailbox_id: one for one in sorted(rows, key=lambda one: one.state in STANDING)}


def erasure_of(mailbox: Mailbox) -> Erasure | None:
    """The same for one."""
    return erasures_of([mailbox]).get(mailbox.id)


def erasable_from(mailbox: Mailbox) -> datetime:
    """When the time to reopen it as a matter of course is over. UTC."""
    assert mailbox.closed_at is not None
    return mailbox.closed_at + timedelta(days=UNDO_DAYS)


def waiting(actor: Actor) -> int:
    """How many erasures wait for the Département's word; 0 for everybody else."""
    return visible_erasures(actor).filter(state=Erasure.State.ASKED).count() if actor.sees_all else 0


def due_exports() -> QuerySet[Export]:
    waited = turns.due("next_run_at", clock.now(), LONGEST_WAIT)
    rows = Export.objects.filter(waited, state__in=OPEN_EXPORTS)
    return rows.order_by("next_run_at", "id")


def due_erasures(now: datetime) -> QuerySet[Erasure]:
    """Those that nobody called back by ``now`` (``clock.paced_now``: a jump forward shortens that by nothing)."""
    waited = turns.due("next_run_at", now, LONGEST_WAIT)
    states = (Erasure.State.GRANTED, Erasure.State.ERASING)
    rows = Erasure.objects.filter(waited, state__in=states, due_at__lte=now)
    return rows.order_by("next_run_at", "id")
