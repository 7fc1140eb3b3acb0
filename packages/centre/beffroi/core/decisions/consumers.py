"""Timers and consumers of the decisions, in worker.

Input:  counts that boxes told; the collectivité comes from the box's row.
"""

from __future__ import annotations

from beffroi_protocol.indicators import Indicator, Kind

from beffroi.core.decisions import actions, exceptions, lists, never_again, protected, staging
from beffroi.core.decisions.models import IndicatorList
from beffroi.core.events import periodic
from beffroi.core.events.registry import Event, consumer
from beffroi.core.identity.actor import Actor


@periodic("decisions.expiry", every_s=1.0)
def expire() -> None:
    actions.expire_due()
    exceptions.expire_due()
    lists.expire_due()
    never_again.expire_due()


@periodic("decisions.stages", every_s=5.0)
def move_stages() -> None:
    staging.tick()


@consumer(name="decisions.lists", kinds=(lists.PUBLISHED,), atomic=False)
def close_what_a_list_names(event: Event) -> None:
    row = IndicatorList.objects.filter(pk=str(event.payload.get("list_id", ""))).first()
    if row is not None:
        exceptions.end_listed(row, actor=Actor.system("decisions.lists"))


@consumer(name="decisions.effects", kinds=("box:flows_counted", "box:looked_back"))
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


@periodic("decisions.list_files", every_s=3600.0)
def prune_list_files() -> None:
    lists.prune_files()


@periodic("decisions.protected", every_s=3600.0)
def warm_protected_list() -> None:
    """Read the lists before the first decision needs them: they cost 70 ms once, a third of its budget."""
    protected.current().check(Indicator(Kind.DOMAIN, "example.net"))
