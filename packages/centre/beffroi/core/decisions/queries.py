"""Read decisions on someone's behalf: the Département sees all, a commune what applies to it."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from beffroi.core.decisions.models import SCOPE_ALL, Decision
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotFound


def visible_decisions(actor: Actor) -> QuerySet[Decision]:
    """Newest first."""
    rows = Decision.objects.order_by("-proposed_at")
    if actor.sees_all:
        return rows
    if actor.collectivite_id is None:
        return rows.none()
    return rows.filter(Q(scope=SCOPE_ALL) | Q(scope=actor.collectivite_id))


def active_decisions(actor: Actor) -> QuerySet[Decision]:
    return visible_decisions(actor).filter(state=Decision.State.ACTIVE)


def access_decision(actor: Actor, decision_id: str) -> Decision:
    """Errors: NotFound, for absent and forbidden alike."""
    decision = visible_decisions(actor).filter(pk=decision_id).first()
    if decision is None:
        raise NotFound("decision")
    return decision


def decisions_of_campaign(actor: Actor, campaign_id: str) -> QuerySet[Decision]:
    return (
        visible_decisions(actor).filter(campaign_id=campaign_id) if campaign_id else Decision.objects.none()
    )
