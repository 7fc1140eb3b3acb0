"""What stands for ``watch.sources``: what an outside source names, what of it is blocked, and what is on trial.

Real:    ``watch.sources.rules`` (what is bulk, what joins, what time and use make of a trial), ``hours``.
Stands in: ``trials.split`` and ``tick``, ``updates.effect``, ``sparing.lived_on``, without Django's ORM. One entry that
         town halls live on hands the list to a person here, so that none is let pass: that has tests on a database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from beffroi.core.decisions import hours
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.watch.sources import rules
from beffroi.watch.sources.rules import TrialState
from beffroi_protocol.indicators import Kind
from beffroi_protocol.messages import Action

from tests.simulation.bulk import Lists

TRIAL_S, SIZE, PERCENT, MOST_USED = 2700, 4, 20, 0
CALLED_BY_THE_INFECTED = ("command_server", "malware")
REGULAR_DAYS = 3
WORK = {"begins_h": 8, "ends_h": 18}


@dataclass
class Trial:
    """``seen_s``: the invariants' own count of its time, beside the rules'."""

    state: TrialState
    looked_at: float
    tried_s: float = 0.0
    seen_s: float = 0.0


@dataclass
class Source:
    name: str
    kind: Kind
    threat: str = ""
    values: set[str] = field(default_factory=set)
    trial: Trial | None = None

    @property
    def trial_name(self) -> str:
        return f"{self.name}.trial"

    @property
    def is_tried(self) -> bool:
        return self.threat not in CALLED_BY_THE_INFECTED


class Sources:
    """``known``: in the book of the centre, so that a backup holds it."""

    def __init__(self, known: dict[str, Source], lists: Lists, database: Database) -> None:
        self.known = known
        self._lists = lists
        self._database = database

    def observing(self) -> list[Source]:
        return [
            s for s in self.known.values() if s.trial is not None and s.trial.state is TrialState.OBSERVING
        ]

    def bring(self, name: str, kind: Kind, values: set[str], *, threat: str) -> Source:
        """The source names exactly these now."""
        source = self.known.setdefault(name, Source(name, kind))
        source.values, source.threat = values, threat
        self.effect(source)
        return source

    def answer(self, source: Source, *, enforce: bool, meanwhile: set[str]) -> None:
        """A person's word; ``meanwhile``: what the source names more before the process ``sources`` heard of it."""
        assert source.trial is not None
        source.trial.state = TrialState.PASSED if enforce else TrialState.REFUSED
        source.values = source.values | meanwhile
        self.effect(source)

    def tick(self, *, communes: int) -> None:
        now = clock.epoch()
        for source in self.observing():
            trial = source.trial
            assert trial is not None
            trial.tried_s = rules.tried_s(
                trial.tried_s, passed_s=now - trial.looked_at, communes=communes,
                worked_s=hours.worked_s(
                    datetime.fromtimestamp(trial.looked_at, UTC), datetime.fromtimestamp(now, UTC), **WORK
                ),
            )  # fmt: skip
            trial.looked_at = now
            trial.state = rules.after_time(
                trial.state, exposed_s=trial.tried_s, communes=communes, used=len(self.used(source)),
                trial_s=TRIAL_S, most_used=MOST_USED,
            )  # fmt: skip
            if trial.state is TrialState.PASSED:
                self.effect(source)

    def used(self, source: Source) -> set[str]:
        """What of it more communes than the budget of one said that they live on."""
        values = self._lists.named(source.trial_name)
        owners: dict[str, set[str]] = {}
        for commune, value in self.told():
            owners.setdefault(value, set()).add(commune)
        return {value for value, some in owners.items() if len(some) > 1 and value in values}

    def told(self) -> Iterator[tuple[str, str]]:
        """(commune, value) of everything that boxes said that their town halls live on."""
        for commune, payload in self._database.execute(
            "SELECT collectivite_id, payload FROM inbox_fact WHERE kind = 'look_back'"
        ):
            fact = json.loads(payload)
            if fact["days"] >= REGULAR_DAYS:
                yield commune, fact["indicator"]["value"]

    def effect(self, source: Source) -> None:
        blocked, observed = self._split(source)
        for name, values, action in (
            (source.name, blocked, Action.BLOCK),
            (source.trial_name, observed, Action.WARN),
        ):
            if values and values != self._lists.named(name):
                self._lists.publish(
                    name, source.kind, sorted(values), scope="all", ends=0, threat=source.threat, action=action
                )  # fmt: skip
            elif not values:
                self._lists.withdraw(name)
        if source.trial is not None and (source.trial.state is TrialState.PASSED or not observed):
            source.trial = None

    def _split(self, source: Source) -> tuple[set[str], set[str]]:
        """As ``trials.split``."""
        trial, values = source.trial, source.values
        if not source.is_tried:
            return values, set()
        passed = trial is not None and trial.state is TrialState.PASSED
        in_force = values & self._lists.named(source.name)
        observed = (
            values & self._lists.named(source.trial_name) - in_force if trial is not None else set[str]()
        )
        new = values - in_force - observed
        known = len(in_force) + len(observed)
        if passed:
            observed = set()
        if rules.is_bulk(known=known, added=len(new), size=SIZE, percent=PERCENT):
            observed |= new
            source.trial = Trial(rules.after_growth(trial.state if trial else None), clock.epoch())
        elif trial is not None and not passed and rules.joins(trial.state, in_force=len(in_force)):
            observed |= new
        return values - observed, observed
