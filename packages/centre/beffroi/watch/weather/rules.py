"""The weather (météo cyber): what a mayor sees in ten seconds. Pure: typed values in, a level and its reasons out.

Rule:    each reason has one published condition and one level; the weather is the worst of them. No weight, no score:
         whoever doubts it can check it by hand. Blocked attacks alone never make a storm: blocked is good news.
Source:  docs/internals/weather.md, and the page "Météo" that prints the same conditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

SILENT_AFTER_S = 3600
"""A box that restarts or is moved to another plug is no news."""
BASELINE_DAYS = 28
BASELINE_LEAST_DAYS = 7
SURGE_TIMES = 5
SURGE_LEAST = 50
STORM_INCIDENTS = 3
UNREPORTED_DAYS = 7
STORM_SHARE_PERCENT = 10
FIGURES = (
    "flows_in",
    "flows_out",
    "names",
    "mails_refused",
    "mails_set_aside",
    "mails_withdrawn",
    "packets",
    "unnamed",
)
"""What a day counts, each for itself; never added to one sum. ``packets`` and ``unnamed``: as in counting.md."""


class Level(StrEnum):
    CALM = "calm"
    WATCH = "watch"
    STORM = "storm"


_ORDER = (Level.CALM, Level.WATCH, Level.STORM)


class Reason(StrEnum):
    """Most urgent first."""

    SEVERE_INCIDENT = "severe_incident"
    MANY_INCIDENTS = "many_incidents"
    INCIDENT = "incident"
    BOX_SILENT = "box_silent"
    UNREPORTED = "unreported"
    SURGE = "surge"
    COMMUNES_IN_STORM = "communes_in_storm"
    SOME_IN_STORM = "some_in_storm"
    SOURCES_HELD = "sources_held"
    REVIEWS = "reviews"


LEVELS = {
    Reason.SEVERE_INCIDENT: Level.STORM,
    Reason.MANY_INCIDENTS: Level.STORM,
    Reason.INCIDENT: Level.WATCH,
    Reason.BOX_SILENT: Level.WATCH,
    Reason.UNREPORTED: Level.WATCH,
    Reason.SURGE: Level.WATCH,
    Reason.COMMUNES_IN_STORM: Level.STORM,
    Reason.SOME_IN_STORM: Level.WATCH,
    Reason.SOURCES_HELD: Level.WATCH,
    Reason.REVIEWS: Level.WATCH,
}
ACTIONS = frozenset(
    {
        Reason.SEVERE_INCIDENT,
        Reason.INCIDENT,
        Reason.BOX_SILENT,
        Reason.SOURCES_HELD,
        Reason.REVIEWS,
    }
)
"""Reasons that ask someone to do something, each as often as it counts. The others only inform."""


@dataclass(frozen=True)
class Inputs:
    """What a commune's weather depends on.

    ``severe`` and ``incidents``: open ones, the severe among all. ``silent_boxes``: without a sign for SILENT_AFTER_S.
    ``unreported``: campaigns withdrawn from its mailboxes within UNREPORTED_DAYS that nobody there reported.
    ``attempts``: refused today; ``baseline``: a usual day's, None while too few days are known.
    """

    incidents: int = 0
    severe: int = 0
    silent_boxes: int = 0
    unreported: int = 0
    attempts: int = 0
    baseline: float | None = None


@dataclass(frozen=True)
class Territory:
    """What the département's weather depends on. ``levels``: how many communes have which."""

    levels: Mapping[Level, int]
    sources_held: int = 0
    reviews: int = 0


@dataclass(frozen=True)
class Weather:
    """``reasons``: code and count, most urgent first. ``actions``: how many things someone should do."""

    level: Level
    reasons: tuple[tuple[Reason, int], ...] = ()

    @property
    def actions(self) -> int:
        return sum(count for reason, count in self.reasons if reason in ACTIONS)


def of_commune(inputs: Inputs) -> Weather:
    """Return the weather of one commune."""
    found = {
        Reason.SEVERE_INCIDENT: inputs.severe,
        Reason.MANY_INCIDENTS: inputs.incidents if inputs.incidents >= STORM_INCIDENTS else 0,
        Reason.INCIDENT: inputs.incidents - inputs.severe,
        Reason.BOX_SILENT: inputs.silent_boxes,
        Reason.UNREPORTED: inputs.unreported,
        Reason.SURGE: inputs.attempts if surges(inputs.attempts, inputs.baseline) else 0,
    }
    return _weather(found)


def of_territory(territory: Territory) -> Weather:
    """Return the weather of the département: stormy where a tenth of its communes is, watchful where one is."""
    storms, total = territory.levels.get(Level.STORM, 0), sum(territory.levels.values())
    many = total and storms * 100 >= STORM_SHARE_PERCENT * total
    found = {
        Reason.COMMUNES_IN_STORM: storms if many else 0,
        Reason.SOME_IN_STORM: 0 if many else storms,
        Reason.SOURCES_HELD: territory.sources_held,
        Reason.REVIEWS: territory.reviews,
    }
    return _weather(found)


def surges(attempts: int, baseline: float | None) -> bool:
    """Whether far more was refused today than on a usual day."""
    return baseline is not None and attempts >= max(SURGE_LEAST, SURGE_TIMES * baseline)


def baseline_of(attempts: Sequence[int]) -> float | None:
    """The median of the days before today; None while fewer than BASELINE_LEAST_DAYS are known."""
    return float(median(attempts)) if len(attempts) >= BASELINE_LEAST_DAYS else None


def worse(one: str, other: str) -> Level:
    """The worse of two levels; an unknown one counts as calm."""
    return max((_level(one), _level(other)), key=_ORDER.index)


def of_day(level: str, reasons: list[list[str | int]], now: Weather) -> tuple[str, list[list[str | int]]]:
    """Level and reasons of a day, once it is like that: the worst stays, with the reasons of its last moment."""
    if worse(level, now.level) == now.level:
        return str(now.level), [[str(reason), count] for reason, count in now.reasons]
    return level, reasons


def _weather(found: Mapping[Reason, int]) -> Weather:
    reasons = tuple((reason, found[reason]) for reason in Reason if found.get(reason, 0) > 0)
    level = max((LEVELS[reason] for reason, _ in reasons), key=_ORDER.index, default=Level.CALM)
    return Weather(level, reasons)


def _level(name: str) -> Level:
    return Level(name) if name in _ORDER else Level.CALM
