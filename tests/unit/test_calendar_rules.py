"""Rules of calendars that repeat within a day are found however they are written, and in one walk."""

from __future__ import annotations

import re

import pytest
from beffroi.drive.calendars.rules import repeats_within_a_day
from hypothesis import given
from hypothesis import strategies as st

ONE_WALK_EACH = re.compile(r"FREQ=(?:SECONDLY|MINUTELY|HOURLY)|BY(?:SECOND|MINUTE|HOUR)=[^;]*,")
"""The same as one pattern, which takes minutes for a rule as long as an item may be."""


def entry(rule: str) -> str:
    lines = (
        "BEGIN:VCALENDAR",
        "BEGIN:VEVENT",
        "UID:a",
        "DTSTART:20260101T000000Z",
        f"RRULE:{rule}",
        "END:VEVENT",
    )
    return "\r\n".join((*lines, "END:VCALENDAR", ""))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=DAILY", False), ("FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=9", False), ("FREQ=DAILY;BYHOUR=9;BYDAY=MO,TU", False),
        ("FREQ=HOURLY", True), ("freq=minutely", True), ("FREQ=DAILY;BYHOUR=1,2", True),
        ("FREQ=DAILY FREQ=HOURLY", True),
        ("RRULE:FREQ=SECONDLY", True), ("FREQ=DAILY;BYHOUR=BYHOUR=1,2", True),
        ("FREQ=DAILY;" + "BYHOUR=" * 200_000, False),
    ],
)  # fmt: skip
def test_a_rule_is_taken_or_not(rule: str, expected: bool) -> None:
    assert repeats_within_a_day(entry(rule)) is expected


@given(
    st.lists(st.sampled_from(["FREQ=", "HOURLY", "DAILY", "BYHOUR=", "BYMINUTE=", "1", ",", ";", " ", "x"]))
)
def test_any_rule_is_judged_as_the_pattern_says(pieces: list[str]) -> None:
    rule = "".join(pieces)
    found = ONE_WALK_EACH.search(re.sub(r"\s", "", rule))
    assert repeats_within_a_day(entry(rule)) is (found is not None)
