"""Read held mails on someone's behalf: the owner alone; a référent gets numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from beffroi_protocol.indicators import Indicator
from django.conf import settings
from django.db.models import Count, Q, QuerySet

from beffroi.core.decisions import queries as decisions
from beffroi.core.decisions import rules
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import existing
from beffroi.mail import queries
from beffroi.mail.held.heading import Heading, Opener
from beffroi.mail.held.models import Digest, HeldMail
from beffroi.mail.models import Mailbox, MailMessage

_State = HeldMail.State
UNDO_DAYS = 7
"""How long a page offers to take back what was pressed."""


@dataclass(frozen=True)
class Shown:
    """One held mail as its owner sees it. ``verdict``: of the entry, {} when no trace is kept any more.
    ``by_decision``: only the Département gives it back."""

    row: HeldMail
    address: str
    heading: Heading
    verdict: dict[str, Any]
    decision: Decision | None
    by_decision: bool

    @property
    def overdue(self) -> bool:
        return self.row.seen_at is None and self.row.overdue_at <= clock.now()


@dataclass(frozen=True)
class Counts:
    """Of one mailbox: how many are held, and how many of them nobody looked at within a working day."""

    address: str
    held: int
    overdue: int


def decision_in_force(row: HeldMail) -> bool:
    """Whether the decision that holds it stands, and its collectivité does not let through what that names."""
    if row.reason != HeldMail.Reason.DECISION:
        return False
    found = Decision.objects.filter(pk=row.decision_id).first()
    return _stands(found, decisions.let_through(row.collectivite_id))


def _stands(decision: Decision | None, passing: Iterable[Indicator]) -> bool:
    """``passing``: what the collectivité lets through."""
    if decision is None or decision.state != Decision.State.ACTIVE:
        return False
    return not any(rules.touches(one, decision.indicator) for one in passing)


def own_held(actor: Actor) -> QuerySet[HeldMail]:
    """Of the person's own mailboxes, in every state, the newest first."""
    own = queries.own_mailboxes(actor).values("id")
    return HeldMail.objects.filter(mailbox_id__in=own).order_by("-id")


def access_held(actor: Actor, held_id: str) -> HeldMail:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(own_held(actor).filter(pk=held_id).first(), "held mail")


def waiting(actor: Actor) -> QuerySet[HeldMail]:
    """What is held now."""
    return own_held(actor).filter(state=_State.HELD)


def settled(actor: Actor) -> QuerySet[HeldMail]:
    """What the person released or blocked lately, and may take back."""
    since = clock.now() - timedelta(days=UNDO_DAYS)
    return own_held(actor).filter(state__in=(_State.RELEASED, _State.BLOCKED), changed_at__gte=since)


def unseen(actor: Actor) -> int:
    return waiting(actor).filter(seen_at=None).count()


def shown(rows: Sequence[HeldMail]) -> list[Shown]:
    """With sender, subject and evidence, in their order; four queries however many they are of a collectivité."""
    opener = Opener(settings.BEFFROI)
    addresses = dict(Mailbox.objects.filter(pk__in={r.mailbox_id for r in rows}).values_list("id", "address"))
    messages = MailMessage.objects.in_bulk([r.message_id for r in rows])
    found = Decision.objects.in_bulk({r.decision_id for r in rows if r.reason == HeldMail.Reason.DECISION})
    passing = {owner: decisions.let_through(owner) for owner in {r.collectivite_id for r in rows}}
    return [
        Shown(
            row,
            addresses.get(row.mailbox_id, ""),
            opener.open(row.collectivite_id, row.message_id, row.sealed),
            queries.verdict_of(messages[row.message_id]) if row.message_id in messages else {},
            decision := found.get(row.decision_id),
            _stands(decision, passing[row.collectivite_id]),
        )
        for row in rows
    ]


def counts(actor: Actor) -> list[Counts]:
    """For the référent of a collectivité: numbers by mailbox, no sender, no subject. [] for everybody else."""
    if actor.leads is None:
        return []
    rows = HeldMail.objects.filter(collectivite_id=actor.leads, state=_State.HELD)
    late = Q(seen_at=None, overdue_at__lte=clock.now())
    found = rows.values("mailbox_id").annotate(held=Count("id"), overdue=Count("id", filter=late)).order_by()
    addresses = dict(queries.visible_mailboxes(actor).values_list("id", "address"))
    named = [
        Counts(addresses[one["mailbox_id"]], one["held"], one["overdue"])
        for one in found
        if one["mailbox_id"] in addresses
    ]
    return sorted(named, key=lambda one: (-one.overdue, one.address))


def digest_times(mailboxes: Iterable[Mailbox]) -> dict[str, int]:
    """Minutes after midnight, by mailbox."""
    ids = [one.id for one in mailboxes]
    chosen = dict(Digest.objects.filter(pk__in=ids).values_list("mailbox_id", "at_minute"))
    return {one: chosen.get(one, Digest._meta.get_field("at_minute").default) for one in ids}
