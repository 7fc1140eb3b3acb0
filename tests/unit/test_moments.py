"""A moment that a person types after ``--at``, in the centre's own time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from beffroi.cli.mail_backup import local, moment_of


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-03-02", datetime(2026, 3, 2, 22, 59, 59, tzinfo=UTC)),
        ("2026-03-02 14:30", datetime(2026, 3, 2, 13, 30, 59, tzinfo=UTC)),
        (" 2026-03-02T14:30+00:00 ", datetime(2026, 3, 2, 14, 30, 59, tzinfo=UTC)),
        ("2026-03-02 14:30:05", datetime(2026, 3, 2, 13, 30, 5, tzinfo=UTC)),
        ("2026-03-02 14:30:00+00:00", datetime(2026, 3, 2, 14, 30, tzinfo=UTC)),
    ],
)
def test_a_day_or_a_minute_alone_means_its_end(typed: str, meant: datetime) -> None:
    assert moment_of(typed) == meant


def test_a_moment_that_a_list_shows_finds_what_the_list_shows() -> None:
    at_s = int(datetime(2026, 3, 2, 13, 30, 47, tzinfo=UTC).timestamp())
    assert moment_of(local(at_s)).timestamp() >= at_s
