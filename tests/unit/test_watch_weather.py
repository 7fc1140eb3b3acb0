"""The weather's formula as a table of cases: what is calm, what is to be watched, what is a storm, and why."""

from __future__ import annotations

import pytest
from beffroi.watch.weather.rules import (
    ACTIONS,
    BASELINE_LEAST_DAYS,
    LEVELS,
    Inputs,
    Level,
    Reason,
    Territory,
    baseline_of,
    of_commune,
    of_territory,
    surges,
    worse,
)

CALM, WATCH, STORM = Level.CALM, Level.WATCH, Level.STORM
COMMUNES = [
    (Inputs(), CALM, [], 0),
    (Inputs(attempts=4000), CALM, [], 0),  # nothing to compare with yet
    (Inputs(attempts=4000, baseline=3900.0), CALM, [], 0),
    (Inputs(attempts=49, baseline=0.0), CALM, [], 0),
    (Inputs(attempts=50, baseline=0.0), WATCH, [("surge", 50)], 0),
    (Inputs(attempts=499, baseline=100.0), CALM, [], 0),
    (Inputs(attempts=500, baseline=100.0), WATCH, [("surge", 500)], 0),
    (Inputs(silent_boxes=1), WATCH, [("box_silent", 1)], 1),
    (Inputs(unreported=2), WATCH, [("unreported", 2)], 0),
    (Inputs(incidents=1), WATCH, [("incident", 1)], 1),
    (Inputs(incidents=2, silent_boxes=1), WATCH, [("incident", 2), ("box_silent", 1)], 3),
    (Inputs(incidents=3), STORM, [("many_incidents", 3), ("incident", 3)], 3),
    (Inputs(incidents=1, severe=1), STORM, [("severe_incident", 1)], 1),
    (Inputs(incidents=2, severe=1), STORM, [("severe_incident", 1), ("incident", 1)], 2),
    (
        Inputs(incidents=3, severe=1, silent_boxes=1, unreported=1, attempts=90, baseline=2.0),
        STORM,
        [
            ("severe_incident", 1),
            ("many_incidents", 3),
            ("incident", 2),
            ("box_silent", 1),
            ("unreported", 1),
            ("surge", 90),
        ],
        4,
    ),
]
TERRITORIES = [
    (Territory({}), CALM, [], 0),
    (Territory({CALM: 698}), CALM, [], 0),
    (Territory({CALM: 600, WATCH: 98}), CALM, [], 0),  # each commune's own business
    (Territory({CALM: 697, STORM: 1}), WATCH, [("some_in_storm", 1)], 0),
    (Territory({CALM: 90, STORM: 10}), STORM, [("communes_in_storm", 10)], 0),
    (Territory({CALM: 91, STORM: 9}), WATCH, [("some_in_storm", 9)], 0),
    (Territory({CALM: 3}, sources_held=2), WATCH, [("sources_held", 2)], 2),
    (Territory({CALM: 3}, reviews=1), WATCH, [("reviews", 1)], 1),
]


@pytest.mark.parametrize(("inputs", "level", "reasons", "actions"), COMMUNES)
def test_a_communes_weather_is_the_worst_of_its_reasons(
    inputs: Inputs, level: Level, reasons: list[tuple[str, int]], actions: int
) -> None:
    weather = of_commune(inputs)
    assert (weather.level, list(weather.reasons), weather.actions) == (level, reasons, actions)


@pytest.mark.parametrize(("territory", "level", "reasons", "actions"), TERRITORIES)
def test_the_departements_weather_follows_from_its_communes_and_from_what_waits(
    territory: Territory, level: Level, reasons: list[tuple[str, int]], actions: int
) -> None:
    weather = of_territory(territory)
    assert (weather.level, list(weather.reasons), weather.actions) == (level, reasons, actions)


def test_every_reason_has_a_level_above_calm_and_blocked_attacks_ask_nothing_of_anybody() -> None:
    assert set(LEVELS) == set(Reason)
    assert CALM not in LEVELS.values()
    assert LEVELS[Reason.SURGE] is WATCH and Reason.SURGE not in ACTIONS


def test_a_usual_day_is_known_after_a_week() -> None:
    assert baseline_of([5] * (BASELINE_LEAST_DAYS - 1)) is None
    assert baseline_of([0, 0, 0, 2, 90, 900, 9000]) == 2.0
    assert not surges(10**6, None)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("calm", "watch", WATCH),
        ("storm", "watch", STORM),
        ("calm", "calm", CALM),
        ("", "watch", WATCH),
    ],
)
def test_the_worst_of_a_day_stays(one: str, other: str, expected: Level) -> None:
    assert worse(one, other) is expected
