"""Copies that a decision took along and that nobody called an attack: the end of its time gives them back.

Purpose: a name, a sender or an address is more than the attack that it was decided for. Who was taken over, or whom a
         lure linked to, wrote for years before; all of that is withdrawn with the lure, as the door would refuse it.
Process: remediation.
Source:  docs/decisions/0141-time-gives-back-what-was-there-before.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import batched

from beffroi.core.decisions.actions import NOBODY_DECIDED
from beffroi.core.decisions.models import Decision
from beffroi.mail.models import MailDelivery, RemediationItem, RemediationJob

BEFORE = timedelta(days=14)
"""As long as sightings join a campaign: what came earlier was no part of what was reported."""
_EXACT = frozenset({"url", "sha256"})
_ELSEWHERE = frozenset({"two_boxes", "strong_detector", "landing_address"})
"""Rules that speak of what an address did at other doors, or of a name that leads there: no mail of it was reported."""
_Item = RemediationItem.State
type Row = tuple[str, str, str]
"""(message, mailbox, collectivité)"""
_AT_ONCE = 300


def among(rows: Iterable[Row], decision: Decision) -> list[Row]:
    """Those of these copies, which the decision took or held, that neither it nor another one of which the time is over
    claims. Of what is in force the withdrawal asks by itself."""
    found: list[Row] = []
    for part in batched(rows, _AT_ONCE, strict=False):
        came = {
            (message, mailbox): at
            for message, mailbox, at in MailDelivery.objects.filter(
                message_id__in={row[0] for row in part}
            ).values_list("message_id", "mailbox_id", "delivered_at")
        }
        others = _taken_by(part)
        for row in part:
            copy = row[:2]
            takers = [decision, *others.get(copy, ())]
            if copy in came and not any(_claims(one, came[copy]) for one in takers):
                found.append(row)
    return found


def _taken_by(rows: Sequence[Row]) -> dict[tuple[str, str], list[Decision]]:
    """The decisions that ended by their time and had taken these copies, by (message, mailbox)."""
    items = list(
        RemediationItem.objects.filter(
            message_id__in={row[0] for row in rows},
            job__direction=RemediationJob.Direction.WITHDRAW,
            state__in=(_Item.MOVED, _Item.KEPT),
        ).values_list("message_id", "mailbox_id", "job__decision_id")
    )
    # What nobody answered was given back when it was asked about: it claims nothing.
    over = Decision.objects.filter(state=Decision.State.EXPIRED).exclude(end_reason=NOBODY_DECIDED)
    ended = over.in_bulk({one[2] for one in items})
    found: dict[tuple[str, str], list[Decision]] = {}
    for message, mailbox, decision_id in items:
        if decision_id in ended:
            found.setdefault((message, mailbox), []).append(ended[decision_id])
    return found


def _claims(decision: Decision, came_at: datetime) -> bool:
    if decision.kind in _EXACT:
        return True
    return decision.rule not in _ELSEWHERE and came_at > decision.proposed_at - BEFORE
