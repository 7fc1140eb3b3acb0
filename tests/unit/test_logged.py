"""What a line of a log of ours begins with."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime

import pytest
from beffroi.lib import logged


@pytest.fixture
def record() -> logging.LogRecord:
    return logging.LogRecord("beffroi.x", logging.WARNING, "", 0, "%d files wait", (3,), None)


def test_a_line_says_its_moment_with_the_zone_and_who_says_what(record: logging.LogRecord) -> None:
    said = logged.Line().format(record)
    moment, rest = said.split(" ", 1)
    assert rest == "WARNING beffroi.x 3 files wait"
    read = datetime.fromisoformat(moment)
    assert read.utcoffset() is not None
    assert abs(read.timestamp() - record.created) < 0.002


def test_the_hour_that_comes_twice_in_october_is_two(record: logging.LogRecord) -> None:
    lines = []
    for hour in (0, 1):
        record.created = datetime(2026, 10, 25, hour, 30, tzinfo=UTC).timestamp()
        lines.append(re.match(r"\S+", logged.Line().format(record))[0])
    assert lines == ["2026-10-25T02:30:00.000+02:00", "2026-10-25T02:30:00.000+01:00"]
