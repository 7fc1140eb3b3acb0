"""When an update of a source waits for a person, and what stays in force: as tables of cases."""

from __future__ import annotations

import pytest
from beffroi.watch.sources import rules
from beffroi.watch.sources.rules import TrialState
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("before", "kept", "protected", "expected"),
    [
        (0, 5000, 0, ()),
        (0, 5001, 0, ("first_large",)),
        (100_000, 120_000, 0, ()),
        (100_000, 200_001, 0, ("grew",)),
        (10, 210, 0, ()),
        (10, 211, 0, ("grew",)),
        (100_000, 49_999, 0, ("shrank",)),
        (100_000, 50_000, 0, ()),
        (200, 3, 0, ()),
        (5, 0, 0, ("empty",)),
        (0, 0, 0, ()),
        (1000, 1000, 3, ()),
        (1000, 1000, 4, ("protected",)),
        (100_000, 100_000, 100, ()),
        (100_000, 100_000, 101, ("protected",)),
        (1000, 0, 50, ("empty", "protected")),
        (0, 9000, 50, ("first_large", "protected")),
    ],
)
def test_an_update_waits_when_its_source_behaves_differently(
    before: int, kept: int, protected: int, expected: tuple[str, ...]
) -> None:
    assert rules.doubts(before=before, kept=kept, protected=protected, first_size=5000) == expected


@pytest.mark.parametrize("kept", [10, 1000, 100_000])
def test_one_name_of_the_state_or_a_member_is_enough(kept: int) -> None:
    told = rules.doubts(before=kept, kept=kept, protected=1, grave=1, first_size=5000)
    assert told == ("protected",)


def test_a_list_that_doubles_at_every_poll_is_held_within_a_week() -> None:
    week = 1000
    assert rules.doubts(before=1000, kept=2000, week=week, protected=0, first_size=5000) == ()
    assert rules.doubts(before=2000, kept=4000, week=week, protected=0, first_size=5000) == ("grew",)
    assert rules.doubts(before=2000, kept=2000, week=week, protected=0, first_size=5000) == ()


def test_what_is_not_named_again_stays_until_its_ttl_and_what_is_withdrawn_goes_at_once() -> None:
    old = {"ip\ta": (1000, 0), "ip\tb": (1000, 0), "ip\tc": (1000, 0), "ip\tover": (10, 0)}
    merged = rules.merge(old, {"ip\ta": 0, "ip\tnew": 4000}, ["ip\tc"], now_s=3000, ttl_s=2500)
    assert merged.entries == {"ip\ta": (3000, 0), "ip\tnew": (3000, 4000), "ip\tb": (1000, 0)}
    assert (merged.new, merged.gone) == (1, 2)
    assert rules.alive(merged.entries, now_s=4000, ttl_s=2500).keys() == {"ip\ta"}


def test_unchanged_renews_what_was_named_the_last_time_only() -> None:
    entries = {"ip\ta": (2000, 0), "ip\told": (1000, 0)}
    assert rules.renewed(entries, now_s=3000) == {"ip\ta": (3000, 0), "ip\told": (1000, 0)}
    assert rules.renewed({}, now_s=3000) == {}


@pytest.mark.parametrize(("failures", "pause_s"), [(0, 6 * 3600), (1, 300), (3, 1200), (40, 6 * 3600)])
def test_a_source_that_fails_is_asked_again_soon_then_seldom(failures: int, pause_s: int) -> None:
    assert rules.pause_s(6 * 3600, failures) == pause_s


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.tuples(st.integers(0, 2000), st.sampled_from([0, 1500, 9000]))
    ),
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([0, 1500, 9000])),
    st.sets(st.sampled_from("abcdef")),
)
def test_nothing_in_force_is_older_than_its_ttl_over_or_withdrawn(
    old: dict[str, tuple[int, int]], named: dict[str, int], withdrawn: set[str]
) -> None:
    merged = rules.merge(old, named, withdrawn, now_s=2000, ttl_s=700)
    for key, (last, until) in merged.entries.items():
        assert key not in withdrawn
        assert 2000 - last < 700 or last == 2000
        assert not until or until > 2000
    assert {k for k, until in named.items() if not until and k not in withdrawn} <= merged.entries.keys()


@pytest.mark.parametrize(
    ("known", "added", "expected"),
    [
        (0, 1, True),
        (0, 0, False),
        (50, 200, False),
        (50, 201, True),
        (10_000, 2000, False),
        (10_000, 2001, True),
    ],
)
def test_a_new_list_and_one_that_grows_much_at_once_are_tried(known: int, added: int, expected: bool) -> None:
    assert rules.is_bulk(known=known, added=added, size=200, percent=20) is expected


@pytest.mark.parametrize(
    ("state", "exposed_s", "communes", "used", "expected"),
    [
        ("observing", 2699, 700, 0, "observing"),
        ("observing", 2700, 700, 0, "passed"),
        ("observing", 2700, 700, 10, "passed"),
        ("observing", 9e9, 0, 0, "observing"),
        ("observing", 1, 700, 11, "review"),
        ("observing", 1, 0, 11, "review"),
        ("review", 9e9, 700, 0, "review"),
        ("refused", 9e9, 700, 0, "refused"),
        ("passed", 0, 0, 99, "passed"),
    ],
)
def test_a_trial_ends_by_working_time_where_boxes_are_heard_and_asks_where_much_is_lived_on(
    state: str, exposed_s: float, communes: int, used: int, expected: str
) -> None:
    found = rules.after_time(
        TrialState(state), exposed_s=exposed_s, communes=communes, used=used, trial_s=2700, most_used=10
    )
    assert found == expected


@pytest.mark.parametrize(
    ("passed_s", "worked_s", "communes", "expected"),
    [
        (10, 10, 700, 110),
        (rules.UNHEARD_S, rules.UNHEARD_S, 1, 100 + rules.UNHEARD_S),
        (rules.UNHEARD_S + 1, rules.UNHEARD_S + 1, 700, 100),
        (10, 10, 0, 100),
        (10, 0, 700, 100),
        (-3600, 0, 700, 100),
    ],
)
def test_a_trial_counts_working_time_in_which_boxes_were_heard(
    passed_s: float, worked_s: float, communes: int, expected: float
) -> None:
    assert rules.tried_s(100, passed_s=passed_s, worked_s=worked_s, communes=communes) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "observing"),
        ("observing", "observing"),
        ("review", "review"),
        ("refused", "review"),
        ("passed", "review"),
    ],
)
def test_what_much_joins_is_observed_anew_and_never_overrules_a_person(
    before: str | None, after: str
) -> None:
    assert rules.after_growth(TrialState(before) if before else None) == after


@pytest.mark.parametrize(
    ("state", "in_force", "expected"),
    [
        ("observing", 0, True),
        ("observing", 9, True),
        ("review", 9, True),
        ("refused", 0, True),
        ("refused", 9, False),
    ],
)
def test_a_few_that_come_during_a_trial_join_it_unless_a_person_refused_that(
    state: str, in_force: int, expected: bool
) -> None:
    assert rules.joins(TrialState(state), in_force=in_force) is expected
