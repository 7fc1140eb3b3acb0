"""Which versions of a file are kept as they grow old."""

from __future__ import annotations

import pytest
from beffroi.drive.store.versions import DAY_S, HOUR_S, QUARTER_S, WEEK_S, spare
from hypothesis import given
from hypothesis import strategies as st

NOW_S = 1_800_000_000 // WEEK_S * WEEK_S + 4 * DAY_S  # a Monday, 00:00 UTC
FOREVER_S = 10**10


@pytest.mark.parametrize(
    ("ages_s", "kept"),
    [
        ((), ()),
        ((1, 2, 3, DAY_S), (1, 2, 3, DAY_S)),
        ((2 * DAY_S + 1, 2 * DAY_S + 2, 2 * DAY_S + HOUR_S), (2 * DAY_S + HOUR_S,)),
        ((2 * DAY_S + 1, 2 * DAY_S + HOUR_S + 1), (2 * DAY_S + 1, 2 * DAY_S + HOUR_S + 1)),
        ((20 * DAY_S + 1, 20 * DAY_S + HOUR_S + 1, 21 * DAY_S), (21 * DAY_S,)),
        ((20 * DAY_S + 1, 21 * DAY_S + 1), (20 * DAY_S + 1, 21 * DAY_S + 1)),
        ((QUARTER_S + DAY_S, QUARTER_S + 2 * DAY_S, QUARTER_S + WEEK_S), (QUARTER_S + WEEK_S,)),
        ((QUARTER_S + DAY_S, QUARTER_S + WEEK_S + 1), (QUARTER_S + DAY_S, QUARTER_S + WEEK_S + 1)),
    ],
)
def test_each_age_keeps_the_first_of_its_hour_day_or_week(
    ages_s: tuple[int, ...], kept: tuple[int, ...]
) -> None:
    gone = spare([(n, NOW_S - age_s) for n, age_s in enumerate(ages_s)], now_s=NOW_S, keep_s=FOREVER_S)
    assert tuple(age_s for n, age_s in enumerate(ages_s) if n not in gone) == kept


def test_none_outlives_the_term() -> None:
    assert spare([(1, NOW_S - 100), (2, NOW_S - 101)], now_s=NOW_S, keep_s=100) == {2}


def test_what_stood_for_months_outlives_what_stood_for_a_minute() -> None:
    """Whoever spoils a file and saves it once more within the hour does not take away what it held before."""
    spoilt_s = NOW_S - 3 * DAY_S + 600
    good, spoilt, again = (1, spoilt_s), (2, spoilt_s + 60), (3, spoilt_s + 1800)
    for now_s in (NOW_S, NOW_S + 20 * DAY_S, NOW_S + 2 * QUARTER_S):
        assert spare([good, spoilt, again], now_s=now_s, keep_s=FOREVER_S) == {2, 3}


@given(
    st.lists(st.integers(0, 2 * QUARTER_S), max_size=40),
    st.lists(st.integers(0, 30 * DAY_S), min_size=1, max_size=5),
)
def test_thinning_often_keeps_what_thinning_once_would(ages_s: list[int], waits_s: list[int]) -> None:
    versions = [(n, NOW_S - age_s) for n, age_s in enumerate(sorted(ages_s, reverse=True))]
    left, now_s = versions, NOW_S
    for wait_s in waits_s:
        now_s += wait_s
        gone = spare(left, now_s=now_s, keep_s=FOREVER_S)
        left = [one for one in left if one[0] not in gone]
    once = spare(versions, now_s=now_s, keep_s=FOREVER_S)
    assert [one for one in versions if one[0] not in once] == left
