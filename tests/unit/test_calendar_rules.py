"""Rules of calendars that repeat within a day are found however they are written, and in one walk."""

from __future__ import annotations

import re

import pytest
from beffroi.drive.calendars.questions import why_refused
from beffroi.drive.calendars.rules import repeats_within_a_day, walks_far
from hypothesis import given
from hypothesis import strategies as st

ONE_WALK_EACH = re.compile(r"FREQ=(?:SECONDLY|MINUTELY|HOURLY)|BY(?:SECOND|MINUTE|HOUR)=[^;]*,")
"""The same as one pattern, which takes minutes for a rule as long as an item may be."""


DAYS = ",".join(str(day) for day in range(1, 367))


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


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=DAILY", False), ("FREQ=WEEKLY;COUNT=1", False), ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", False),
        ("FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20270101T000000Z", False), ("FREQ=YEARLY;INTERVAL=100", False),
        ("RRULE:FREQ=DAILY", False), ("FREQ=nothing", False),
        ("FREQ=DAILY;INTERVAL=0", True), ("FREQ=DAILY;INTERVAL=00", True), ("FREQ=DAILY;INTER\\VAL=0", True),
        ("FREQ=DAILY;INTERVAL=-1", True), ("FREQ=DAILY;INTERVAL=1;INTERVAL=0_0", True),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", True), ("FREQ=DAILY;COUNT=2;BYMONTH=2;BYMONTHDAY=30", True),
        ("FREQ=WEEKLY;BYMONTH=2;BYMONTHDAY=30;UNTIL=20270101T000000Z", True),
        ("FREQ=DAILY\r\nRRULE:FREQ=DAILY" * 11, True),
        (f"FREQ=YEARLY;BYYEARDAY={DAYS};BYSETPOS={DAYS}", False),
        ("FREQ=YEARLY;BYDAY=MO;BYSETPOS=" + "1," * 2100 + "1", True),
    ],
)  # fmt: skip
def test_a_rule_that_never_comes_again_is_found(rule: str, expected: bool) -> None:
    """Each would have held a thread: the first ones for good."""
    assert walks_far(entry(rule)) is expected


def test_a_zone_s_rules_are_not_the_entry_s() -> None:
    zone = "BEGIN:VTIMEZONE\r\nTZID:Europe/Paris\r\n" + 30 * (
        "BEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n"
        "TZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\n"
    )
    text = entry("FREQ=DAILY").replace("BEGIN:VEVENT", f"{zone}END:VTIMEZONE\r\nBEGIN:VEVENT")
    assert not walks_far(text)


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [("DAILY", "19000101", False), ("DAILY", "00010101", True), ("YEARLY", "00010101", False)],
)
def test_a_rule_that_began_long_ago_has_not_too_many_dates(rule: str, start: str, expected: bool) -> None:
    assert walks_far(entry(f"FREQ={rule}").replace("DTSTART:20260101", f"DTSTART:{start}")) is expected


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ('time-range start="20260101T000000Z" end="99991231T000000Z"', False),
        ('time-range end="20260101T000000Z"', False),
        ('time-range start="21001231T000000Z"', False), ('time-range start="21010101T000000Z"', True),
        ('expand start="99980101T000000Z" end="99990101T000000Z"', True), ('expand start="&#57;9980101T000000Z"', True),
        ('limit-recurrence-set start="30000101T000000Z"', True), ('prop start="99980101T000000Z"', False),
    ],
)  # fmt: skip
def test_a_question_about_a_far_time_is_found(span: str, expected: bool) -> None:
    body = (
        f'<calendar-query xmlns="urn:ietf:params:xml:ns:caldav"><filter><{span}/></filter></calendar-query>'
    )
    with_encoding = f'<?xml version="1.0" encoding="utf-7"?>{body}'
    assert why_refused(body) == why_refused(with_encoding) == ("far" if expected else "")
    assert not why_refused(body.removesuffix(">")), "what is no XML Radicale refuses, in its own words"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<a/>" * 199, False), ("<a/>" * 200, True), ("<D:href>/caldav/x</D:href>" * 50_000, False),
        ("<a>" * 49 + "</a>" * 49, False), ("<a>" * 50 + "</a>" * 50, True), ("<D:href>" * 50 + "</D:href>" * 50, True),
        ("<a>" * 300, True), ("<a", False),
    ],
)  # fmt: skip
def test_a_question_of_more_than_anybody_asks_is_found(inner: str, *, expected: bool) -> None:
    """Each property is told of each entry, and what is nested deep is read by functions that call themselves."""
    body = f'<D:propfind xmlns:D="DAV:">{inner}</D:propfind>'
    with_encoding = f'<?xml version="1.0" encoding="utf-7"?>{body}'
    assert why_refused(body) == why_refused(with_encoding) == ("vast" if expected else "")
