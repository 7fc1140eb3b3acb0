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
