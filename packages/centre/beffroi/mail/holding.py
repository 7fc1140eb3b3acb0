"""Which active decisions hold a message: the one question of withdrawal, restoration and late deliveries."""

from __future__ import annotations

from beffroi.core.decisions.models import SCOPE_ALL, Decision
from beffroi.mail.models import MailDelivery, MailObservation

HOLDING_ACTIONS = ("block", "quarantine")
KINDS = ("url", "domain", "ip", "sha256", "sender")
"""Ranges and sketches withdraw nothing by themselves: too wide for an automatic move."""


def applies(kind: str, action: str) -> bool:
    return action in HOLDING_ACTIONS and kind in KINDS


def holding(message_id: str, collectivite_id: str) -> list[Decision]:
    """Active decisions that hold a copy of this message in this collectivité, oldest first."""
    seen = set(MailObservation.objects.filter(message_id=message_id).values_list("kind", "value"))
    if not seen:
        return []
    rows = Decision.objects.filter(
        state=Decision.State.ACTIVE,
        action__in=HOLDING_ACTIONS,
        kind__in=KINDS,
        scope__in=(SCOPE_ALL, collectivite_id),
        value__in={value for _, value in seen},
    )
    return [d for d in rows.order_by("activated_at", "id") if (d.kind, d.value) in seen]


def copies_under(decision: Decision) -> list[MailDelivery]:
    """Every delivered copy that the decision speaks about."""
    messages = MailObservation.objects.filter(kind=decision.kind, value=decision.value).values("message_id")
    rows = MailDelivery.objects.filter(message_id__in=messages)
    if decision.scope != SCOPE_ALL:
        rows = rows.filter(collectivite_id=decision.scope)
    return list(rows.order_by("id"))
