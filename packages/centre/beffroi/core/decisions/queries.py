"""Read decisions on someone's behalf: the Département sees all, a commune what applies to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action
from django.db.models import Exists, Model, OuterRef, Q, QuerySet, Value

from beffroi.core.decisions import rules
from beffroi.core.decisions.models import (
    SCOPE_ALL,
    Appeal,
    AppealAddition,
    Decision,
    DecisionEffect,
    FeedBatch,
    IndicatorList,
    ListGrowth,
    LocalException,
    NeverAgain,
    SharedAddress,
)
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import existing

SHARED_KEPT = timedelta(days=7)
_TOLD = (Decision.State.ACTIVE, Decision.State.EXPIRED, Decision.State.REVOKED)


def visible_decisions(actor: Actor) -> QuerySet[Decision]:
    """Newest first."""
    rows = Decision.objects.order_by("-proposed_at")
    if actor.sees_all:
        return rows
    if actor.collectivite_id is None:
        return rows.none()
    own = actor.collectivite_id
    # What is only observed, or waits for a person, is a suspicion: it applies to nobody.
    in_force = Q(state__in=_TOLD, activated_at__isnull=False) & (Q(scope=SCOPE_ALL) | Q(scope=own))
    return rows.filter(in_force | Q(state=Decision.State.CANARY, canaries__contains=f" {own} "))


def active_decisions(actor: Actor) -> QuerySet[Decision]:
    return visible_decisions(actor).filter(state=Decision.State.ACTIVE)


def held_of(decision: Decision) -> rules.Held:
    return rules.Held(decision.reason, decision.rule, decision.evidence)


def stands(indicator: Indicator, *, ttl_s: int) -> bool:
    """Whether several communes saw it, it is refused for all, and who demands that for ``ttl_s`` seconds changes
    nothing at any door."""
    ends = clock.paced_now() + timedelta(seconds=ttl_s)
    held = Decision.objects.filter(
        kind=indicator.kind.value, value=indicator.value, scope=SCOPE_ALL, state=Decision.State.ACTIVE
    ).first()
    return (
        held is not None
        and held.expires_at is not None
        and rules.seen_by_several(held_of(held))
        and not rules.gains(ends - held.expires_at, ttl_s)
    )


def access_decision(actor: Actor, decision_id: str) -> Decision:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_decisions(actor).filter(pk=decision_id).first(), "decision")


def decisions_of_campaign(actor: Actor, campaign_id: str) -> QuerySet[Decision]:
    return (
        visible_decisions(actor).filter(campaign_id=campaign_id) if campaign_id else Decision.objects.none()
    )


def review_queue(actor: Actor) -> QuerySet[Decision]:
    """Decisions that wait for a person, the oldest first; none for others than the Département."""
    rows = Decision.objects.filter(state=Decision.State.REVIEW).order_by("state_since")
    return actor.departement(rows)


def spared_entries(actor: Actor) -> QuerySet[NeverAgain]:
    """Entries of lists that pass until a person has looked, the oldest first; none for others than the Département."""
    rows = NeverAgain.objects.filter(pending=True, revoked_at=None).order_by("created_at")
    return actor.departement(rows)


def undecided_count(actor: Actor) -> int:
    """How many decisions, entries of lists and appeals wait for a person."""
    if not actor.sees_all:
        return 0
    appeals = visible_appeals(actor).filter(state=Appeal.State.OPEN)
    waiting = (review_queue(actor), spared_entries(actor), appeals)
    first, *others = (rows.order_by().values_list(Value(1)) for rows in waiting)
    return first.union(*others, all=True).count()


def applying_decisions(actor: Actor) -> QuerySet[Decision]:
    """What is refused for the actor's commune now, newest first."""
    return visible_decisions(actor).filter(state__in=(Decision.State.ACTIVE, Decision.State.CANARY))


def staged(actor: Actor) -> QuerySet[Decision]:
    """Decisions that are observed or in a canary stage; none for others than the Département."""
    rows = Decision.objects.filter(state__in=(Decision.State.OBSERVED, Decision.State.CANARY))
    return actor.departement(rows.order_by("-state_since"))


def visible_exceptions(actor: Actor) -> QuerySet[LocalException]:
    """Newest first; a commune sees its own."""
    return actor.visible(LocalException.objects.order_by("-created_at"))


def let_through(collectivite_id: str) -> list[Indicator]:
    """What passes at every door of a collectivité, by exceptions of its own."""
    rows = _exceptions_in_force().filter(collectivite_id=collectivite_id)
    return [one.indicator for one in rows]


def letting_through(indicator: Indicator) -> set[str]:
    """The collectivités that let some of what ``indicator`` refuses pass."""
    found = near(_exceptions_in_force(), indicator)
    return {one.collectivite_id for one in found if rules.touches(one.indicator, indicator)}


def _exceptions_in_force() -> QuerySet[LocalException]:
    return LocalException.objects.filter(state=LocalException.State.ACTIVE, expires_at__gt=clock.paced_now())


def access_exception(actor: Actor, exception_id: str) -> LocalException:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_exceptions(actor).filter(pk=exception_id).first(), "exception")


def visible_appeals(actor: Actor) -> QuerySet[Appeal]:
    """Newest first; a commune sees its own."""
    return actor.visible(Appeal.objects.order_by("-created_at"))


def access_appeal(actor: Actor, appeal_id: str) -> Appeal:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_appeals(actor).filter(pk=appeal_id).first(), "appeal")


def additions_to(actor: Actor, appeal: Appeal) -> QuerySet[AppealAddition]:
    """Oldest first; a commune sees its own."""
    return actor.visible(AppealAddition.objects.filter(appeal_id=appeal.id).order_by("created_at", "id"))


def visible_effects(actor: Actor, decision: Decision) -> QuerySet[DecisionEffect]:
    """What boxes counted for a decision, by collectivité; a commune sees its own."""
    return actor.visible(DecisionEffect.objects.filter(decision_id=decision.id).order_by("-last_at"))


_TIME_ENDED = Q(state=Decision.State.EXPIRED, end_reason="ttl")
_WAS_HELD = _TIME_ENDED | Q(state=Decision.State.ACTIVE)


def were_blocked(pairs: Collection[tuple[str, str]], *, over: bool = False) -> Counter[tuple[str, str]]:
    """Count how often each of these (kind, value) was in force for all until its time was over, or is now (without
    ``over``). What anybody took back once is none of them."""
    rows = Decision.objects.filter(value__in={value for _, value in pairs}, scope=SCOPE_ALL)
    rows = rows.exclude(activated_at=None).order_by()
    revoked = set(rows.filter(state=Decision.State.REVOKED).values_list("kind", "value"))
    held = rows.filter(_TIME_ENDED if over else _WAS_HELD)
    return Counter(one for one in held.values_list("kind", "value") if one in pairs and one not in revoked)


def naming_blocked[M: Model](rows: QuerySet[M]) -> QuerySet[M]:
    """Those of the rows, each with ``kind`` and ``value``, of which ``were_blocked`` would speak."""
    same = Decision.objects.filter(kind=OuterRef("kind"), value=OuterRef("value"), scope=SCOPE_ALL)
    same = same.exclude(activated_at=None)
    return rows.filter(Exists(same.filter(_WAS_HELD)), ~Exists(same.filter(state=Decision.State.REVOKED)))


def not_taken_back() -> QuerySet[Decision]:
    """The open ones, and those that their time ended: a person may still say of each that it was a mistake."""
    return Decision.objects.filter(state__in=(*Decision.OPEN, Decision.State.EXPIRED))


def near[M: (Decision, LocalException, NeverAgain, Appeal)](
    rows: QuerySet[M], indicator: Indicator
) -> QuerySet[M]:
    """Few rows, and all that can touch it: of addresses, which boxes have blocked by the thousand, the database
    chooses by their text. Of ranges there are few."""
    if (network := rules.network_of(indicator)) is not None:
        one = network.num_addresses == 1
        named = Q(value=str(network[0])) if one else Q(value__startswith=rules.shared_text(network))
        return rows.filter(Q(kind="cidr") | Q(named, kind="ip"))
    if indicator.kind is Kind.DOMAIN:
        return rows.filter(kind="domain", value__endswith=_registered(indicator.value))
    return rows.filter(kind=indicator.kind.value, value=indicator.value)


def _registered(name: str) -> str:
    """The last two labels: every name above or below that can be decided ends so."""
    return ".".join(name.split(".")[-2:])


def count_in_force(kind: Kind) -> int:
    """How many decisions about this kind block for all."""
    return Decision.objects.filter(kind=kind.value, scope=SCOPE_ALL, state=Decision.State.ACTIVE).count()


def goes_on_as(decision: Decision) -> Decision | None:
    """What a person made of one that was withdrawn (``actions.DECIDED_ANEW``); None where nothing came after it."""
    if decision.ended_at is None:
        return None
    rows = Decision.objects.filter(kind=decision.kind, value=decision.value, scope=decision.scope)
    # It begins as that one ends; not surely after that one began, for the clock may have been set back since.
    begun = decision.ended_at - timedelta(minutes=1)
    return rows.exclude(pk=decision.pk).filter(proposed_at__gte=begun).order_by("proposed_at").first()


def covering_decisions(actor: Actor, indicator: Indicator) -> list[Decision]:
    """The open decisions, as far as the actor sees them, for which ``indicator`` is refused or observed."""
    rows = visible_decisions(actor).filter(state__in=Decision.OPEN)
    return [one for one in near(rows, indicator) if rules.covers(one.indicator, indicator)]


def never_blocked(indicator: Indicator) -> NeverAgain | None:
    """What lets ``indicator`` pass at every door, None where nothing does. That it passes is no secret: the feed says
    it to all; who said so, and why, is for the Département."""
    alive = NeverAgain.objects.filter(Q(until=None) | Q(until__gt=clock.paced_now()), revoked_at=None)
    found = (one for one in near(alive, indicator) if rules.covers(one.indicator, indicator))
    return next(found, None)


def shared_addresses() -> QuerySet[SharedAddress]:
    """The addresses that serve a member or a protected name, as far as somebody looked of late."""
    return SharedAddress.objects.filter(seen_at__gte=clock.paced_now() - SHARED_KEPT)


@dataclass(frozen=True)
class Grown:
    """What a publication of a list in force added."""

    row: IndicatorList
    growth: ListGrowth


def grown(payload: Mapping[str, object]) -> Grown | None:
    """What the event ``list:published`` told, where the list still refuses something and something was new."""
    alive = Q(expires_at=None) | Q(expires_at__gt=clock.paced_now())
    row = IndicatorList.objects.filter(alive, pk=str(payload.get("list_id", "")), action=Action.BLOCK).first()
    growth_id = payload.get("growth_id")
    if row is None or not isinstance(growth_id, int):
        return None
    growth = ListGrowth.objects.filter(pk=growth_id, list_id=row.id).first()
    return Grown(row, growth) if growth is not None else None


def lists_in_force(actor: Actor) -> QuerySet[IndicatorList]:
    """The lists that refuse something now at doors that the actor may know of."""
    alive = Q(expires_at=None) | Q(expires_at__gt=clock.paced_now())
    return visible_lists(actor).filter(alive, action=Action.BLOCK)


def never_again_entries(actor: Actor) -> QuerySet[NeverAgain]:
    """In force first, newest first; none for others than the Département."""
    rows = NeverAgain.objects.order_by("-revoked_at", "-created_at")
    return actor.departement(rows)


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
    return existing(visible_lists(actor).filter(name=name).first(), "list")


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
