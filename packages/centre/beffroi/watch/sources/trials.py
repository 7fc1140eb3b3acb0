"""What a source names in bulk is observed before it is blocked: the trial of a whole list.

Purpose: a list of many thousand values, of a new source or grown at once, refuses nothing until the boîtiers looked
         back on it and worked beside it for a while. Meanwhile its values are a list of their own, ``LIST.trial``, with
         the action ``warn``; what was in force before stays in force.
Process: sources, alone. A person's word comes from ``actions``.
Input:   counts of boxes of which some lie: a lie delays, and hands a list to a person.
Fails:   open for what is on trial: where no boîtier is heard, it stays observed. Closed for what was in force.
Source:  docs/decisions/0030-lists-are-tried-first.md.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator

from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action
from django.conf import settings
from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import hours, listed, reach, sparing
from beffroi.core.decisions.models import IndicatorList
from beffroi.core.decisions.stage_clock import working_hours
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable
from beffroi.watch.sources import queries, rules
from beffroi.watch.sources.models import FeedSource, SourceTrial
from beffroi.watch.sources.rules import TrialState

ACTOR = Actor.system("watch.sources")
log = logging.getLogger("beffroi.sources")
WAITS = "source:trial_waits"
NOTED_S = 60
"""A trial's time is written down so often: less is lost with a crash than anyone would notice."""


def list_name(slug: str, kind: str) -> str:
    return f"source-{slug}-{kind}"


def trial_name(slug: str, kind: str) -> str:
    return f"{list_name(slug, kind)}.trial"


def split(source: FeedSource, kind: Kind, values: Collection[str]) -> tuple[list[str], list[str]]:
    """Return (what is blocked, what is observed) of all that a source names of one kind now; begin a trial, or end one
    that passed or has nothing left. Errors: Unavailable (a list's file is damaged)."""
    config: Config = settings.BEFFROI
    trial = SourceTrial.objects.filter(source=source, kind=kind.value).first()
    if trial is not None and not _is_tried(source, kind):
        SourceTrial.objects.filter(pk=trial.pk).update(state=TrialState.PASSED.value)
    if not _is_tried(source, kind):
        return list(values), []
    passed = trial is not None and trial.state == TrialState.PASSED
    # A million values: nothing but what is new, and what is on trial, is held twice.
    new, observed, in_force = set(values), set[str](), 0
    for some in _pieces(list_name(source.slug, kind.value), Action.BLOCK):
        before = len(new)
        new.difference_update(some)
        in_force += before - len(new)
    for some in _pieces(trial_name(source.slug, kind.value), Action.WARN) if trial is not None else ():
        observed.update(new.intersection(some))
    new -= observed
    known = in_force + len(observed)
    if passed:  # that alone: what was named since a person looked is nobody's word
        observed.clear()
    state = TrialState(trial.state) if trial is not None else None
    if rules.is_bulk(
        known=known,
        added=len(new),
        size=config.list_trial_size,
        percent=config.list_trial_percent,
    ):
        observed |= new
        _begin(source, kind, rules.after_growth(state), len(observed))
    elif state is not None and not passed and rules.joins(state, in_force=in_force):
        observed |= new
    if trial is not None and (observed or not passed):
        SourceTrial.objects.filter(pk=trial.pk).update(count=len(observed))
        if not observed:
            trial.delete()
    return [value for value in values if value not in observed], list(observed)


def forget_passed(source: FeedSource) -> None:
    """After what it names was put in force; a word that came meanwhile stays until the next time."""
    for trial in SourceTrial.objects.filter(source=source, state=TrialState.PASSED):
        if not IndicatorList.objects.filter(name=trial_name(source.slug, trial.kind)).exists():
            trial.delete()


def tick() -> list[FeedSource]:
    """Look at every trial that runs; return the sources of those that passed, to be put in force."""
    communes, config = queries.communes_heard(), settings.BEFFROI
    for trial in SourceTrial.objects.filter(state=TrialState.OBSERVING, source__active=True):
        try:
            used, exposed_s = _used(trial), _look(trial, communes)
        except Unavailable:
            log.error("the trial of %s waits: its list cannot be read", trial.source_id)
            continue
        state = rules.after_time(
            TrialState(trial.state),
            exposed_s=exposed_s,
            communes=communes,
            used=used,
            trial_s=config.list_trial_s,
            most_used=config.list_trial_used,
        )
        if state != trial.state:
            _move(trial, state, used)
        elif used != trial.used:
            SourceTrial.objects.filter(pk=trial.pk).update(used=used)
    return list(FeedSource.objects.filter(active=True, trials__state=TrialState.PASSED).distinct())


def _look(trial: SourceTrial, communes: int) -> float:
    """Return how long it has been observed until now; write that down from time to time."""
    now = clock.now()
    passed_s = (now - trial.looked_at).total_seconds()
    worked_s = hours.worked_s(trial.looked_at, now, **working_hours())
    tried_s = rules.tried_s(trial.tried_s, passed_s=passed_s, worked_s=worked_s, communes=communes)
    if not 0 <= passed_s < NOTED_S:
        SourceTrial.objects.filter(pk=trial.pk, looked_at=trial.looked_at).update(
            tried_s=tried_s, looked_at=now
        )
    return tried_s


def _is_tried(source: FeedSource, kind: Kind) -> bool:
    """Of what boîtiers enforce. Who is infected calls regularly what a list of malware names: nothing is learned of it
    by waiting, and none of its entries would be let pass."""
    at_boxes = reach.door_of(kind.value) == reach.BOX
    return (
        at_boxes
        and bool(settings.BEFFROI.list_trial_s)
        and source.threat not in sparing.CALLED_BY_THE_INFECTED
    )


def _pieces(name: str, action: Action) -> Iterator[list[str]]:
    """Yield the values of a list of ours. Errors: Unavailable."""
    row = IndicatorList.objects.filter(name=name, action=action.value).first()
    for piece in listed.pieces(row.sha256, row.size_bytes) if row is not None else ():
        yield piece.decode().split()


def _used(trial: SourceTrial) -> int:
    """Return how many entries on trial too many communes live on. Errors: Unavailable."""
    kind, source = Kind(trial.kind), trial.source
    told = [Indicator(kind, value) for value in sparing.lived_on(kind, threat=source.threat)]
    row = IndicatorList.objects.filter(name=trial_name(source.slug, kind.value)).first()
    near = listed.touched(row, told) if told and row is not None else set()
    return sum(
        sparing.is_open(one)
        for one in near
        if row is not None and any(found.indicator == one for found in listed.touching([row], one))
    )


@transaction.atomic
def _begin(source: FeedSource, kind: Kind, state: TrialState, count: int) -> None:
    outbox.serialise()
    SourceTrial.objects.update_or_create(
        source=source,
        kind=kind.value,
        defaults={
            "state": state.value,
            "since": clock.now(),
            "tried_s": 0.0,
            "looked_at": clock.now(),
            "count": count,
            "used": 0,
            "why": "",
        },
    )
    record(source, kind.value, count, actor=ACTOR, verb=f"trial_{state.value}")
    if state is TrialState.REVIEW:
        outbox.publish(WAITS, {"source_id": source.id, "kind": kind.value})


@transaction.atomic
def _move(trial: SourceTrial, state: TrialState, used: int) -> None:
    outbox.serialise()
    if not SourceTrial.objects.filter(pk=trial.pk, state=trial.state).update(state=state.value, used=used):
        return  # a person answered meanwhile
    record(trial.source, trial.kind, trial.count, actor=ACTOR, verb=f"trial_{state.value}")
    if state is TrialState.REVIEW:
        outbox.publish(WAITS, {"source_id": trial.source_id, "kind": trial.kind})


def record(source: FeedSource, kind: str, count: int, *, actor: Actor, verb: str) -> None:
    audit.record(
        actor, f"source:{verb}", source.id, collectivite_id=None, details={"kind": kind, "count": count}
    )
