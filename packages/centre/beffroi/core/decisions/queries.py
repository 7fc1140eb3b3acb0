"""Read decisions on someone's behalf: the Département sees all, a commune what applies to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q, QuerySet

from beffroi.core.decisions.models import SCOPE_ALL, Decision, FeedBatch, IndicatorList
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


def visible_lists(actor: Actor) -> QuerySet[IndicatorList]:
    """Bulk lists in force, by name."""
    rows = IndicatorList.objects.order_by("name")
    if actor.sees_all:
        return rows
    if actor.collectivite_id is None:
        return rows.none()
    return rows.filter(Q(scope=SCOPE_ALL) | Q(scope=actor.collectivite_id))


def access_list(actor: Actor, name: str) -> IndicatorList:
    """Errors: NotFound, for absent and forbidden alike."""
    found = visible_lists(actor).filter(name=name).first()
    if found is None:
        raise NotFound("list")
    return found


@dataclass(frozen=True)
class Carried:
    """The point of a channel's log from which on a decision is in it."""

    epoch: int
    version: int


_BATCHES_SEARCHED = 100


def carried_by(decision: Decision, *, channel: str) -> Carried | None:
    """The batch that brought this decision to a channel; None if it was not published there (yet).

    A signed line holds its entries in the clear, so the decision's id is looked for in the exact bytes sent.
    """
    if decision.activated_at is None:
        return None
    wanted = decision.id.encode()
    since = decision.activated_at - timedelta(seconds=2)
    rows = FeedBatch.objects.filter(channel=channel, created_at__gte=since).order_by("epoch", "to_version")
    for row in rows[:_BATCHES_SEARCHED]:
        if wanted in bytes(row.line):
            return Carried(row.epoch, row.to_version)
    return None
