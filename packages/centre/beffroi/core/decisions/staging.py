"""Carry out the stages of decisions, and let a person answer those in review.

Process: worker (``tick`` every few seconds), console (a person's word).
Fails:   a decision that cannot go on stays as it is: observed ones refuse nothing.
Source:  ``stages`` (the rules); docs/internals/decisions.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
from itertools import batched

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from beffroi.core.decisions import hours, protected, queries, reach, rules, stage_clock, stages, warning_lists
from beffroi.core.decisions.actions import end_unanswered, put_in_force, revoke, tell
from beffroi.core.decisions.models import ENDS_AT_ONCE, Appeal, Decision, DecisionEffect, LocalException
from beffroi.core.decisions.stage_clock import working_hours
from beffroi.core.decisions.stages import Budget, Standing, Step
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict

_ACTOR = Actor.system("decisions.stages")
_State = Decision.State


def budget_of(config: Config) -> Budget:
    return Budget(
        observe_s=config.observe_s,
        canary_s=config.canary_s,
        canary_percent=config.canary_percent,
        blast_communes=config.blast_communes,
        blast_percent=config.blast_percent,
        rollback_s=config.rollback_s,
    )


def tick() -> Generator[None, None, int]:
    """Move every decision whose time or counts say so, one a step; return how many. None moves while the clock is in
    doubt. The clock, they and what counts are read for some at a time, shortly before they move."""
    budget = budget_of(settings.BEFFROI)
    if not stage_clock.is_sound() or not (found := dict(_moving(budget).values_list("id", "state"))):
        return 0
    reached = {door: reach.communes(door) for door in (reach.BOX, reach.MAIL)}
    moved = 0
    for some in batched(found, ENDS_AT_ONCE, strict=False):
        if not stage_clock.is_sound():
            break
        rows = Decision.objects.filter(pk__in=some).order_by("state_since")
        part = [one for one in rows if one.state == found[one.id]]
        standings = _standings(part, reached)
        for decision in part:
            following = stages.next_step(standings[decision.id], budget)
            if following.step is not Step.STAY:
                moved += _move(decision, following, reached[reach.door_of(decision.kind)], budget)
                yield
        yield
    return moved


def approve(*, actor: Actor, decision: Decision) -> None:
    """A person puts a decision in force everywhere that was observed, in a canary stage or in review.

    Errors: NotAllowed, Conflict (it ended, or is in force), ProtectedIndicator.
    """
    actor.require_administrator("decide for others")
    warning_lists.load()  # half a second, where nobody in this process asked before
    with transaction.atomic():
        outbox.serialise()
        decision.refresh_from_db()
        if decision.state not in (_State.OBSERVED, _State.CANARY, _State.REVIEW):
            raise Conflict("the decision does not wait")
        decision.rule, decision.strength = stages.DEPARTEMENT, stages.STRONG
        if decision.reason not in rules.COMMAND_SERVER:
            decision.reason = "departement_confirmed"
        put_in_force(decision, actor=actor, ttl_s=_life_s(decision))


def lapse_unanswered() -> int:
    """End questions to a person that outlived what they are about; return how many, 0 when none is left.

    It waited for its own life, and at least a whole working day. What a person asked for stays: an open appeal, a
    commune's or the Département's, is answered by a person, and so is what the Département had decided.
    """
    now, day_s = clock.now(), hours.day_s(**working_hours())
    asked = Appeal.objects.filter(state=Appeal.State.OPEN).values("decision_id")
    due = (
        Decision.objects.filter(state=_State.REVIEW, expires_at__lte=now)
        .filter(Q(state_since__lte=now - timedelta(seconds=day_s)) | Q(looked_at__isnull=False))
        .exclude(rule=stages.DEPARTEMENT)
        .exclude(pk__in=asked)
        .order_by("state_since")
    )
    if not stage_clock.is_sound():
        return 0
    found = [one for one in due if stage_clock.lasted_s(one, now) >= day_s]
    if not found:
        return 0
    with transaction.atomic():
        outbox.serialise()
        still = due.filter(pk__in=[one.pk for one in found[:ENDS_AT_ONCE]])
        return sum(end_unanswered(one, actor=_ACTOR) for one in still)


def note_effect(
    *,
    decision_id: str,
    collectivite_id: str,
    blocked_in: int = 0,
    blocked_out: int = 0,
    looked_back: int = 0,
    days: int = 0,
) -> None:
    """Count what the boxes of a collectivité told about a decision; unknown ones are ignored."""
    if not Decision.objects.filter(pk=decision_id).exists():
        return
    row, _ = DecisionEffect.objects.get_or_create(decision_id=decision_id, collectivite_id=collectivite_id)
    row.blocked_in += blocked_in
    row.blocked_out += blocked_out
    row.looked_back = max(row.looked_back, looked_back)
    row.regular_days = max(row.regular_days, min(days, 30))
    row.last_at = clock.now()
    row.save()


def _moving(budget: Budget) -> QuerySet[Decision]:
    """Those in a stage, and young ones of which anybody told something: of the others nothing can follow."""
    young = clock.now() - hours.longest(budget.rollback_s, **working_hours())
    touched = (
        Q(pk__in=DecisionEffect.objects.filter(last_at__gte=young).values("decision_id"))
        | Q(pk__in=Appeal.objects.filter(created_at__gte=young).values("decision_id"))
        | Q(pk__in=LocalException.objects.filter(created_at__gte=young).values("decision_id"))
    )
    return Decision.objects.filter(
        Q(state__in=(_State.OBSERVED, _State.CANARY), expires_at__gt=clock.paced_now())
        | (Q(state=_State.ACTIVE) & (Q(state_since__gte=young) | Q(looked_at__gte=young)) & touched)
    ).order_by("state_since")


def _standings(found: Sequence[Decision], reached: Mapping[str, Sequence[str]]) -> dict[str, Standing]:
    ids = [one.id for one in found]
    regular: dict[str, set[str]] = defaultdict(set)
    hit: dict[str, set[str]] = defaultdict(set)
    objecting: dict[str, set[str]] = defaultdict(set)
    for row in DecisionEffect.objects.filter(decision_id__in=ids):
        if row.regular_days >= stages.REGULAR_DAYS:
            regular[row.decision_id].add(row.collectivite_id)
        if row.blocked_out:
            hit[row.decision_id].add(row.collectivite_id)
    # A refused appeal is answered: it does not go on against the Département's word.
    appealing = Appeal.objects.exclude(state=Appeal.State.REFUSED).filter(decision_id__in=ids)
    letting = LocalException.objects.filter(decision_id__in=ids)
    for rows in (appealing, letting):
        for decision_id, owner in rows.values_list("decision_id", "collectivite_id"):
            objecting[decision_id].add(owner)
    now = clock.now()
    there = {one.id: reached[reach.door_of(one.kind)] for one in found}
    return {
        one.id: Standing(
            state=one.state,
            strength=one.strength,
            rule=one.rule,
            exposed_s=stage_clock.lasted_s(one, now),
            communes=len(there[one.id]),
            trying=len(set(one.canary_communes).intersection(there[one.id])),
            regular=len(regular[one.id]),
            hit=len(hit[one.id]),
            objecting=len(objecting[one.id]),
            command_server=rules.is_command_server(queries.held_of(one)),
        )
        for one in found
    }


@transaction.atomic
def _move(decision: Decision, following: stages.Next, communes: list[str], budget: Budget) -> bool:
    outbox.serialise()
    before = decision.state
    decision.refresh_from_db()
    if decision.state != before:
        return False
    if following.step is not Step.REVIEW and protected.current().check(decision.indicator):
        # It became so while it was observed.
        return revoke(actor=_ACTOR, decision=decision, reason="protected")
    if following.step is Step.ALL:
        put_in_force(decision, actor=_ACTOR, ttl_s=_life_s(decision))
        return True
    if following.step is Step.REVIEW:
        decision.enter(_State.REVIEW)
        decision.review_reason = following.reason
        decision.save()
        tell(decision, "review", actor=_ACTOR)
        return True
    chosen = stages.canaries(decision.id, communes, budget)
    decision.enter(_State.CANARY)
    decision.canaries = f" {' '.join(chosen)} " if chosen else ""
    decision.save()
    tell(decision, "canary", actor=_ACTOR)
    return True


def _life_s(decision: Decision) -> int:
    """The whole life again: what was observed has not blocked anything yet."""
    assert decision.expires_at is not None
    return max(60, int((decision.expires_at - decision.proposed_at).total_seconds()))
