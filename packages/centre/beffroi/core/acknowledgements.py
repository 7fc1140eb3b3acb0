"""Who saw an alarm of the centre, and why it may wait: kept in the audit log alone.

Rule:    a word holds for one cause and one term: another cause, or a day later, and the alarm is back. It is about what
         breaks, never about an attack: which alarms may be acknowledged is said where they are made.
Privacy: the reason may name somebody: it stands on the erasable side of the audit log.
Source:  SecNumCloud 3.2, 12.9 c.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Invalid

SEEN, CALLED_BACK = "centre:alarm:seen", "centre:alarm:called_back"
DAYS = (1, 7, 30)
MAX_REASON = 500
_CLOCK = timedelta(minutes=5)
"""What was said later than so long from now was said under a clock that ran ahead, and holds no more."""


@dataclass(frozen=True)
class Seen:
    """The last word about an alarm. ``by``: an administrator."""

    by: str
    at: datetime
    until: datetime
    reason: str


def digest(cause: Iterable[str]) -> str:
    """Of what causes an alarm, by identifiers and codes, in any order."""
    return hashlib.sha256("\n".join(sorted(cause)).encode()).hexdigest()[:32]


def in_force(causes: Mapping[str, str]) -> dict[str, Seen]:
    """By alarm, of those whose present cause (digest) somebody saw, until the term is over."""
    now = clock.now()
    rows = AuditEntry.objects.filter(
        verb__in=(SEEN, CALLED_BACK), collectivite_id=None, at__gt=now - timedelta(days=max(DAYS))
    )
    last = {one.object_id: one for one in rows.order_by("id") if one.object_id in causes}
    found = {}
    for alarm, entry in last.items():
        said = json.loads(entry.details)
        until = entry.at + timedelta(days=said.get("days", 0))
        if entry.verb == SEEN and said["cause"] == causes[alarm] and entry.at - _CLOCK <= now < until:
            reason = audit.personal_of(entry).get("reason", "")
            found[alarm] = Seen(entry.actor_id, entry.at, until, reason)
    return found


@transaction.atomic
def acknowledge(*, actor: Actor, alarm: str, cause: str, days: int, reason: str) -> None:
    """``cause``: the digest that was shown; where it changed since, nothing is hidden by this word.

    Errors: NotAllowed, Invalid (days, reason).
    """
    actor.require_administrator("acknowledge an alarm")
    said = reason.strip()
    if days not in DAYS:
        raise Invalid("days")
    if not said or len(said) > MAX_REASON or "\x00" in said:
        raise Invalid("reason")
    audit.record(
        actor,
        SEEN,
        alarm,
        collectivite_id=None,
        details={"cause": cause, "days": days},
        personal={"reason": said},
    )


@transaction.atomic
def call_back(*, actor: Actor, alarm: str) -> None:
    """It is among the others again. Errors: NotAllowed."""
    actor.require_administrator("call an alarm back")
    audit.record(actor, CALLED_BACK, alarm, collectivite_id=None)
