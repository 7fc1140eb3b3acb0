"""The one source of time in the centre, so that tests can move it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

_shift_s = 0.0


def now() -> datetime:
    """Aware UTC time."""
    return datetime.fromtimestamp(epoch(), UTC)


def epoch() -> float:
    """UTC epoch seconds."""
    return time.time() + _shift_s


def epoch_s() -> int:
    return int(epoch())


@contextmanager
def shifted(seconds: float) -> Iterator[None]:
    """Move the time of this process by ``seconds`` while the block runs."""
    global _shift_s  # noqa: PLW0603 - one process, one time
    _shift_s += seconds
    try:
        yield
    finally:
        _shift_s -= seconds
