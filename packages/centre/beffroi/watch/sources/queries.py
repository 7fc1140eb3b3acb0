"""Read sources: the Département alone; and ask whether something is on a list that gives evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from beffroi_protocol.indicators import Indicator, Kind
from django.conf import settings
from django.db.models import QuerySet, Value

from beffroi.core.decisions import reach
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import existing
from beffroi.watch.sources import store
from beffroi.watch.sources.models import FeedSource, SourceTrial, SourceUpdate

LATE = 3
"""A source is late after so many of its pauses without success, and at least a day."""
_DETECTORS = {Kind.URL: "listed_url", Kind.DOMAIN: "listed_name"}


@dataclass(frozen=True)
class SourceState:
    """``state``: held, asks (a trial waits for a person), off, waiting (never fetched yet), failing, late, tried (part
    of it is on trial), given (a file, no address), fresh."""

    source: FeedSource
    state: str
    held: SourceUpdate | None
    last: SourceUpdate | None
    trials: tuple[SourceTrial, ...] = ()


def visible_sources(actor: Actor) -> QuerySet[FeedSource]:
    return actor.departement(FeedSource.objects.order_by("name"))


def access_source(actor: Actor, source_id: str) -> FeedSource:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_sources(actor).filter(pk=source_id).first(), "source")


def access_update(actor: Actor, source: FeedSource, update_id: str) -> SourceUpdate:
    """Errors: NotFound, for absent and forbidden alike."""
    rows = actor.departement(SourceUpdate.objects.filter(pk=update_id, source=source))
    return existing(rows.first(), "update")


def held_count(actor: Actor) -> int:
    """How many updates and trials wait for a person."""
    if not actor.sees_all:
        return 0
    asking = SourceTrial.objects.filter(state=SourceTrial.State.REVIEW, source__active=True)
    held = SourceUpdate.objects.filter(state=SourceUpdate.State.HELD)
    return held.values_list(Value(1)).union(asking.values_list(Value(1)), all=True).count()


def source_states(actor: Actor) -> list[SourceState]:
    """Every source; those that wait for a person first, then those that fail."""
    sources = list(visible_sources(actor))
    held = {one.source_id: one for one in SourceUpdate.objects.filter(state=SourceUpdate.State.HELD)}
    trials: dict[str, list[SourceTrial]] = defaultdict(list)
    for trial in SourceTrial.objects.order_by("kind"):
        trials[trial.source_id].append(trial)
    states = [_with_held(one, held.get(one.id), tuple(trials[one.id])) for one in sources]
    order = ("held", "asks", "late", "failing", "waiting", "tried", "fresh", "given", "off")
    return sorted(states, key=lambda one: (order.index(one.state), one.source.name.lower()))


def state_of(source: FeedSource) -> SourceState:
    held = source.updates.filter(state=SourceUpdate.State.HELD).first()
    return _with_held(source, held, tuple(source.trials.order_by("kind")))


def _with_held(source: FeedSource, held: SourceUpdate | None, trials: tuple[SourceTrial, ...]) -> SourceState:
    in_force = (SourceUpdate.State.APPLIED, SourceUpdate.State.ACCEPTED)
    last = source.updates.filter(state__in=in_force).order_by("-at").first()
    return SourceState(source, _state(source, trials, held=held is not None), held, last, trials)


def history(source: FeedSource, *, limit: int = 20) -> list[SourceUpdate]:
    """Newest first."""
    return list(source.updates.order_by("-at")[:limit])


def alarms(actor: Actor) -> list[SourceState]:
    """Sources that need a person: an update is held, a trial asks, or nothing came for long."""
    return [one for one in source_states(actor) if one.state in ("held", "asks", "late")]


def communes_heard() -> int:
    """How many communes have a box that is heard: who tries a list."""
    return len(reach.communes(reach.BOX))


def _state(source: FeedSource, trials: Sequence[SourceTrial], *, held: bool) -> str:
    if not source.active:
        return "off"
    if held:
        return "held"
    if any(one.state == SourceTrial.State.REVIEW for one in trials):
        return "asks"
    allowed = timedelta(seconds=max(LATE * source.every_s, 86400))
    since = source.last_success_at or source.created_at
    if source.address and clock.now() - since > allowed:
        return "late"
    if source.last_error:
        return "failing"
    if trials:
        return "tried"
    if source.last_success_at is None:
        return "waiting"
    return "fresh" if source.address else "given"


def listed(indicator: Indicator) -> frozenset[str]:
    """Return the detectors that speak because a source of weight ``evidence`` names this very indicator.

    They support a sighting; without one, nothing follows from them. Cheap: a binary search in each list.
    """
    detector = _DETECTORS.get(indicator.kind)
    if detector is None:
        return frozenset()
    for _, index, kind in store.evidence(settings.BEFFROI.state):
        if kind is indicator.kind and store.matches(index, kind, indicator):
            return frozenset({detector})
    return frozenset()
