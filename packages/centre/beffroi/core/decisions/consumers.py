"""Timers and consumers of the decisions, in worker.

Input:  counts that boxes told; the collectivité comes from the box's row.
"""

from __future__ import annotations

from collections.abc import Generator

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, normalise

from beffroi.core.decisions import (
    actions,
    by_hand,
    exceptions,
    lists,
    never_again,
    protected,
    sparing,
    staging,
)
from beffroi.core.decisions.models import Decision, IndicatorList
from beffroi.core.events import periodic
from beffroi.core.events.registry import DECISIONS, Event, consumer
from beffroi.core.identity.actor import Actor


@periodic("decisions.expiry", every_s=1.0, lane=DECISIONS)
def expire() -> Generator[None]:
    """In portions: thousands that were decided together end together."""
    for some in (actions.expire_due, exceptions.expire_due, lists.expire_due, never_again.expire_due):
        while some():
            yield


periodic("decisions.stages", every_s=5.0, lane=DECISIONS)(staging.tick)


@periodic("decisions.unanswered", every_s=60.0, lane=DECISIONS)
def lapse() -> Generator[None]:
    while staging.lapse_unanswered():
        yield


@consumer(name="decisions.lists", kinds=(lists.PUBLISHED,), atomic=False)
def close_what_a_list_names(event: Event) -> None:
    row = IndicatorList.objects.filter(pk=str(event.payload.get("list_id", ""))).first()
    if row is not None:
        exceptions.end_listed(row, actor=Actor.system("decisions.lists"))


@consumer(name="decisions.effects", kinds=("box:flows_counted", "box:looked_back"), lane=DECISIONS)
def count_effect(event: Event) -> None:
    """``count`` flows or look-ups of ``entry_id``: refused in a direction, or found on ``days`` days before."""
    entry_id, count = event.payload.get("entry_id"), event.payload.get("count")
    if not isinstance(entry_id, str) or not isinstance(count, int) or not event.collectivite_id:
        return
    if event.kind == "box:looked_back":
        days = event.payload.get("days")
        counts = {"looked_back": count, "days": days if isinstance(days, int) else 0}
    else:
        counts = {"blocked_in" if event.payload.get("direction") == "in" else "blocked_out": count}
    staging.note_effect(decision_id=entry_id[:40], collectivite_id=event.collectivite_id, **counts)


@consumer(name="decisions.uses", kinds=("box:flows_counted", "box:looked_back"), lane=DECISIONS, atomic=False)
def note_use(event: Event) -> None:
    """What a list names and a town hall met before, or was refused. Runs again after a crash, to the same end."""
    told = event.payload
    back = event.kind == "box:looked_back"
    names = ("indicator_kind", "indicator_value") if back else ("kind", "value")
    if not event.collectivite_id or str(told.get("entry_id", "")).startswith("dec_"):
        return
    if not back and told.get("direction") == "in":
        return
    try:
        indicator = normalise(*(str(told.get(name, "")) for name in names))
    except IndicatorInvalid:
        return
    days = told.get("days")
    if sparing.note_use(
        indicator=indicator,
        collectivite_id=event.collectivite_id,
        days=days if back and isinstance(days, int) else 0,
        refused=not back,
    ):
        sparing.judge(indicator)


@consumer(name="decisions.sparing", kinds=("decision:activated",), lane=DECISIONS)
def end_what_would_let_it_pass(event: Event) -> None:
    decision = Decision.objects.filter(pk=str(event.payload.get("decision_id", ""))).first()
    if decision is not None:
        sparing.end_touched(decision)


@consumer(name="decisions.by_hand", kinds=("approval:granted",), lane=DECISIONS, urgent=True)
def block_by_hand(event: Event) -> None:
    """Two administrators agreed: what was asked for is blocked, not what rows say later."""
    payload = event.payload.get("payload")
    if event.payload.get("verb") == by_hand.VERB and isinstance(payload, dict):
        by_hand.carry_out(payload, decided_by=str(event.payload.get("decided_by", "")))


@periodic("decisions.list_files", every_s=3600.0)
def prune_list_files() -> None:
    lists.prune_files()
    sparing.forget_old()


@periodic("decisions.protected", every_s=3600.0)
def warm_protected_list() -> None:
    """Read the lists before the first decision needs them: they cost 70 ms once, a third of its budget."""
    protected.current().check(Indicator(Kind.DOMAIN, "example.net"))
