"""What programs write against the letter of RFC 5545 is stored whole, as it should have been written."""

from __future__ import annotations

import pytest
from beffroi.drive.calendars import lenient
from radicale.item import read_components

lenient.install()


def stored(kind: str, *lines: str) -> list[str]:
    text = ("BEGIN:VCALENDAR", "VERSION:2.0", f"BEGIN:{kind}", "UID:a", "DTSTAMP:20260101T000000Z",
            "DTSTART:20260701T100000Z", *lines, f"END:{kind}", "END:VCALENDAR", "")  # fmt: skip
    (whole,) = read_components("\r\n".join(text))
    written: str = whole.serialize()
    return written.splitlines()


@pytest.mark.parametrize(("kind", "end"), [("VEVENT", "DTEND"), ("VTODO", "DUE")])
def test_of_an_end_and_a_length_the_end_counts(kind: str, end: str) -> None:
    both = stored(kind, f"{end}:20260701T120000Z", "DURATION:PT1H")
    assert f"{end}:20260701T120000Z" in both and "DURATION:PT1H" not in both
    assert "DURATION:PT1H" in stored(kind, "DURATION:PT1H")


def test_a_line_of_dates_that_names_none_is_left_out() -> None:
    for line in ("EXDATE:", "RDATE;TZID=Europe/Paris:"):
        assert stored("VEVENT", "RRULE:FREQ=DAILY;COUNT=3", line, "EXDATE:20260702T100000Z") == stored(
            "VEVENT", "RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20260702T100000Z"
        )


@pytest.mark.parametrize("rule", ["FREQ=WEEKLY;BYDAY=WE,FR;COUNT=3;", " FREQ=WEEKLY; BYDAY=WE, FR;COUNT=3"])
def test_blanks_in_a_rule_and_a_semicolon_at_its_end_are_none(rule: str) -> None:
    assert "RRULE:FREQ=WEEKLY;BYDAY=WE,FR;COUNT=3" in stored("VEVENT", f"RRULE:{rule}")
    assert stored("VEVENT", "RRULE:") == stored("VEVENT")


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("FREQ=DAILY;UNTIL=20260701", "FREQ=DAILY;COUNT=1"),
        ("FREQ=DAILY;UNTIL=20260702", "FREQ=DAILY;UNTIL=20260702"),
        ("UNTIL=20260701T120000Z;FREQ=DAILY", "UNTIL=20260701T120000Z;FREQ=DAILY"),
    ],
)
def test_a_rule_that_ends_on_its_first_day_has_one_date(rule: str, kept: str) -> None:
    assert f"RRULE:{kept}" in stored("VEVENT", f"RRULE:{rule}")


def test_a_name_in_two_scripts_is_kept() -> None:
    names = ["N;ALTID=1;LANGUAGE=fr:Dupont;Jean;;;", "N;ALTID=1;LANGUAGE=el:X;Y;;;"]
    text = "\r\n".join(("BEGIN:VCARD", "VERSION:4.0", "UID:a", "FN:Jean", *names, "END:VCARD", ""))
    (card,) = read_components(text)
    assert set(card.serialize().splitlines()).issuperset(names)
