"""The one source of time in the centre, so that tests can move it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

_shift_s = 0.0
_jump_s = 0.0


def now() -> datetime:
    """Aware UTC time."""
    return datetime.fromtimestamp(epoch(), UTC)


def epoch() -> float:
    """UTC epoch seconds."""
    return time.time() + _shift_s + _jump_s


def epoch_s() -> int:
    return int(epoch())


def steady_s() -> float:
    """Seconds since the machine was started, asleep or not: nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) + _shift_s


@cache
def boot() -> str:
    """Name of this start of the machine: ``steady_s`` of another one says nothing about this."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


@contextmanager
def jumped(seconds: float) -> Iterator[None]:
    """Set the clock on the wall by ``seconds`` while the block runs, as an operator or a wrong time source does."""
    global _jump_s  # noqa: PLW0603 - one process, one time
    _jump_s += seconds
    try:
        yield
    finally:
        _jump_s -= seconds


@contextmanager
def shifted(seconds: float) -> Iterator[None]:
    """Move the time of this process by ``seconds`` while the block runs: so much passes."""
    global _shift_s  # noqa: PLW0603 - one process, one time
    _shift_s += seconds
    try:
        yield
    finally:
        _shift_s -= seconds
