"""Whose word counts: a table of honest and lying reporters, and what time does to it."""

from __future__ import annotations

import pytest
from beffroi.watch.detectors import is_box_proof
from beffroi.watch.reputation import COMMUNE_LEAST, HALF_LIFE_S, PERSON_LEAST, Outcome, is_low, weights
from hypothesis import given
from hypothesis import strategies as st

DAY_S = 86400.0


def outcomes(confirmed: int, dismissed: int, age_s: float = 0.0) -> list[Outcome]:
    return [Outcome(True, age_s)] * confirmed + [Outcome(False, age_s)] * dismissed


@pytest.mark.parametrize(
    ("name", "found", "least", "low"),
    [
        ("nobody knows them", [], PERSON_LEAST, False),
        ("erred once", outcomes(0, 1), PERSON_LEAST, False),
        ("erred twice, never right", outcomes(0, 2), PERSON_LEAST, True),
        ("erred twice, right once", outcomes(1, 2), PERSON_LEAST, False),
        ("careful, errs at times", outcomes(10, 12), PERSON_LEAST, False),
        ("reports everything", outcomes(2, 9), PERSON_LEAST, True),
        ("a liar who told the truth long ago", outcomes(9, 0, 200 * DAY_S) + outcomes(0, 3), PERSON_LEAST, True),
        ("erred long ago", outcomes(0, 4, 90 * DAY_S), PERSON_LEAST, False),
        ("a commune of beginners", outcomes(1, 4), COMMUNE_LEAST, False),
        ("a commune that lies", outcomes(1, 6), COMMUNE_LEAST, True),
    ],
)  # fmt: skip
def test_who_counts(name: str, found: list[Outcome], least: float, low: bool) -> None:
    assert is_low(found, least=least) is low, name


def test_an_outcome_weighs_half_after_its_half_life() -> None:
    assert weights([Outcome(True, HALF_LIFE_S), Outcome(False, 2 * HALF_LIFE_S)]) == (0.5, 0.25)


ages = st.floats(0, 400 * DAY_S)


@given(st.lists(st.builds(Outcome, st.booleans(), ages), max_size=30), ages)
def test_a_confirmed_report_never_lowers_and_a_dismissed_one_never_raises(
    found: list[Outcome], age_s: float
) -> None:
    low = is_low(found, least=PERSON_LEAST)
    assert is_low([*found, Outcome(True, age_s)], least=PERSON_LEAST) <= low
    assert is_low([*found, Outcome(False, age_s)], least=PERSON_LEAST) >= low


@pytest.mark.parametrize(
    ("door", "detector", "evidence", "proof"),
    [
        ("packet", "box_honeyport", {"completed_tcp": "true"}, True),
        ("packet", "box_brute_force", {"completed_tcp": "true", "port": "22"}, True),
        ("packet", "box_port_scan", {"completed_tcp": "false"}, False),
        ("packet", "box_port_scan", {"completed_tcp": "true"}, False),
        ("packet", "box_honeyport", {"completed_tcp": "false"}, False),
        ("packet", "box_honeyport", {}, False),
        ("mail", "box_honeyport", {"completed_tcp": "true"}, False),
        ("packet", "honeyport", {"completed_tcp": "true"}, False),
    ],
)
def test_which_sightings_of_boxes_prove(
    door: str, detector: str, evidence: dict[str, str], proof: bool
) -> None:
    assert is_box_proof(door, detector, evidence) is proof
