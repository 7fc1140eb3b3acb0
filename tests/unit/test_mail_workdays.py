"""One working day later, in mainland France."""

from __future__ import annotations

from datetime import datetime

import pytest
from beffroi.lib.clock import PLACE
from beffroi.mail.held.workdays import is_working, one_later


@pytest.mark.parametrize(
    ("moment", "later"),
    [
        ("2026-11-24 10:00", "2026-11-25 10:00"),  # Tuesday
        ("2026-11-27 16:30", "2026-11-30 16:30"),  # Friday: the weekend does not count
        ("2026-11-28 09:00", "2026-12-01 00:00"),  # Saturday: counts from Monday's midnight
        ("2026-12-24 15:00", "2026-12-28 15:00"),  # Christmas is a Friday
        ("2026-05-13 11:00", "2026-05-15 11:00"),  # Ascension
        ("2027-03-26 11:00", "2027-03-30 11:00"),  # Easter Monday; Good Friday is worked in Burgundy
        ("2026-07-14 11:00", "2026-07-16 00:00"),  # 14 July
    ],
)
def test_a_working_day_passes_on_working_days_only(moment: str, later: str) -> None:
    at, wanted = (datetime.fromisoformat(one).replace(tzinfo=PLACE) for one in (moment, later))
    assert one_later(at) == wanted


def test_public_holidays_are_those_of_mainland_france() -> None:
    off = ("2026-01-01", "2026-05-01", "2026-05-08", "2026-07-14", "2026-11-11", "2026-12-25")
    assert not any(is_working(datetime.fromisoformat(one).date()) for one in off)
    assert is_working(datetime.fromisoformat("2025-12-26").date())  # a holiday in Alsace and Moselle alone
