"""Stages of decisions on weak evidence: every row of the table, and what liars can and cannot do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from beffroi.core.decisions import rules
from beffroi.core.decisions.hours import longest, worked_s
from beffroi.core.decisions.stages import Budget, Standing, Step, canaries, next_step
from beffroi_protocol.indicators import normalise
from hypothesis import given
from hypothesis import strategies as st

BUDGET = Budget(observe_s=900, canary_s=1800, rollback_s=3600)
OBSERVED = Standing("observed", "weak", "lone_source", 1000, communes=698)
CANARY = replace(OBSERVED, state="canary", exposed_s=2000)
WEAK = replace(OBSERVED, state="active", exposed_s=60)
STRONG = replace(WEAK, strength="strong", rule="two_communes")

CASES = [
    # malicious: hardly anyone lives on it
    ("nobody could try it", replace(OBSERVED, communes=0), Step.STAY, ""),
    ("no canary is heard any more", replace(CANARY, trying=0), Step.STAY, ""),
    ("observed long enough", OBSERVED, Step.CANARY, "under_budget"),
    ("observed too short", replace(OBSERVED, exposed_s=899), Step.STAY, ""),
    ("six of 698 communes live on it", replace(OBSERVED, regular=6), Step.CANARY, "under_budget"),
    ("canaries had no trouble", CANARY, Step.ALL, "canary_passed"),
    ("canaries need time", replace(CANARY, exposed_s=10), Step.STAY, ""),
    ("nothing happens after activation", WEAK, Step.STAY, ""),
    ("strong evidence hits many who are infected", replace(STRONG, hit=400, regular=300), Step.STAY, ""),
    ("three liars object to strong evidence", replace(STRONG, objecting=3), Step.STAY, ""),
    ("the Département's word is never taken back by counts",
     replace(STRONG, rule="departement", objecting=698), Step.STAY, ""),
    ("command servers are not let go by counts",
     replace(STRONG, objecting=698, command_server=True), Step.STAY, ""),
    ("long after activation a person is asked by appeals only",
     replace(WEAK, exposed_s=3601, hit=100, objecting=9), Step.STAY, ""),
    # benign: communes live on it
    ("seven of 698 communes live on it", replace(OBSERVED, regular=7, exposed_s=1), Step.REVIEW, "over_budget"),
    ("two of three communes live on it", replace(OBSERVED, communes=3, regular=2), Step.REVIEW, "over_budget"),
    ("one canary objects", replace(CANARY, objecting=1), Step.REVIEW, "canary_objects"),
    ("look-backs come late", replace(CANARY, regular=7), Step.REVIEW, "over_budget"),
    ("two communes object at once", replace(WEAK, objecting=2), Step.REVIEW, "objections"),
    ("seven communes are refused at once", replace(WEAK, hit=7), Step.REVIEW, "blast"),
    ("fourteen communes object to strong evidence", replace(STRONG, objecting=14), Step.REVIEW, "objections"),
    ("communes live on the address that a lure's name leads to",
     replace(STRONG, rule="landing_address", regular=7), Step.REVIEW, "shared_host"),
    ("a command server's address stays whoever lives on it",
     replace(STRONG, rule="landing_address", regular=7, command_server=True), Step.STAY, ""),
    # a lone commune's word
    ("one commune alone never blocks", replace(OBSERVED, rule="one_commune", exposed_s=10**7), Step.STAY, ""),
    ("a decision in review waits for a person", replace(OBSERVED, state="review"), Step.STAY, ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "standing", "step", "reason"), CASES, ids=[c[0] for c in CASES])
def test_the_table_of_stages(name: str, standing: Standing, step: Step, reason: str) -> None:
    following = next_step(standing, BUDGET)
    assert (following.step, following.reason) == (step, reason)


counts = st.integers(0, 698)


@given(
    counts, counts, counts, st.floats(0, 10**7), st.sampled_from(["observed", "canary", "active", "review"])
)
def test_counts_of_liars_only_slow_a_decision_down(
    regular: int, hit: int, objecting: int, exposed_s: float, state: str
) -> None:
    """No count ever puts in force what would not be in force without it."""
    order = [Step.REVIEW, Step.STAY, Step.CANARY, Step.ALL]
    honest = Standing(state, "weak", "lone_source", exposed_s, 698)
    told = replace(honest, regular=regular, hit=hit, objecting=objecting)
    assert order.index(next_step(told, BUDGET).step) <= order.index(next_step(honest, BUDGET).step)


@given(counts, counts, st.integers(0, 13), st.floats(0, 10**7))
def test_few_liars_never_undo_strong_evidence(
    regular: int, hit: int, objecting: int, exposed_s: float
) -> None:
    standing = replace(STRONG, exposed_s=exposed_s, regular=regular, hit=hit, objecting=objecting)
    assert next_step(standing, BUDGET).step is Step.STAY


def test_canaries_are_the_same_when_asked_again_and_others_for_another_decision() -> None:
    communes = [f"col_{n}" for n in range(698)]
    first = canaries("dec_1", communes, BUDGET)
    assert first == canaries("dec_1", reversed(communes), BUDGET)
    assert len(first) == 35
    assert set(first) < set(communes)
    assert first != canaries("dec_2", communes, BUDGET)
    assert canaries("dec_1", [], BUDGET) == []
    assert len(canaries("dec_1", ["col_a", "col_b"], BUDGET)) == 1


@pytest.mark.parametrize(
    ("wide", "narrow", "covered"),
    [
        (("domain", "evil.com"), ("domain", "a.evil.com"), True),
        (("domain", "evil.com"), ("domain", "notevil.com"), False),
        (("domain", "a.evil.com"), ("domain", "evil.com"), False),
        (("cidr", "51.15.0.0/24"), ("ip", "51.15.0.9"), True),
        (("cidr", "51.15.0.0/24"), ("cidr", "51.15.0.128/25"), True),
        (("cidr", "51.15.0.128/25"), ("cidr", "51.15.0.0/24"), False),
        (("cidr", "51.15.0.0/24"), ("ip", "2001:db8::9"), False),
        (("domain", "evil.com"), ("url", "https://evil.com/a"), False),
        (("domain", "evil.com"), ("sender", "a@evil.com"), False),
    ],
)
def test_what_covers_what(wide: tuple[str, str], narrow: tuple[str, str], covered: bool) -> None:
    assert rules.covers(normalise(*wide), normalise(*narrow)) is covered
    assert rules.touches(normalise(*narrow), normalise(*wide)) is (
        covered or rules.covers(normalise(*narrow), normalise(*wide))
    )


@pytest.mark.parametrize(
    ("reason", "evidence", "person", "departement"),
    [
        ("lone_source", {"communes": 0}, "", ""),
        ("two_communes", {"communes": 2}, "seen_by_several", ""),
        ("machine_proof", {"communes": 1, "detectors": ["listed_url"]}, "", ""),
        ("command_server", {}, "command_server", "command_server"),
        ("two_communes", {"communes": 3, "detectors": ["box_beacon"]}, "command_server", "command_server"),
        ("x", {"communes": "9", "detectors": "box_beacon"}, "", ""),
    ],
)
def test_who_may_set_a_decision_aside(
    reason: str, evidence: dict[str, object], person: str, departement: str
) -> None:
    held = [rules.Held(reason, "rule", evidence)]
    assert rules.exception_refused(held, departement=False) == person
    assert rules.exception_refused(held, departement=True) == departement
    assert rules.exception_refused([], departement=False) == ""


@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        ("2027-03-12T02:00+01:00", "2027-03-12T07:59+01:00", 0),
        ("2027-03-12T17:00+01:00", "2027-03-15T08:30+01:00", 1.5),
        ("2027-03-13T09:00+01:00", "2027-03-14T18:00+01:00", 0),
        ("2027-03-26T17:00+01:00", "2027-03-29T09:00+02:00", 2),  # clocks change on the Sunday
        ("2027-03-08T00:00+00:00", "2027-03-15T00:00+00:00", 50),
        ("2027-03-15T00:00+00:00", "2027-03-08T00:00+00:00", 0),
    ],
)
def test_working_time(since: str, until: str, hours: float) -> None:
    worked = worked_s(datetime.fromisoformat(since), datetime.fromisoformat(until), begins_h=8, ends_h=18)
    assert worked == hours * 3600


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(0, 604800),
)
def test_so_much_is_worked_within_the_longest_time(since: datetime, wanted_s: int) -> None:
    until = since + longest(wanted_s, begins_h=8, ends_h=18)
    assert worked_s(since, until, begins_h=8, ends_h=18) >= wanted_s


def test_every_second_counts_without_working_hours() -> None:
    since = datetime(2027, 3, 13, tzinfo=UTC)
    assert worked_s(since, since + timedelta(seconds=90), begins_h=0, ends_h=0) == 90
