"""The one source of time in the centre, so that tests can move it.

Rule:    what doors are told and when a decision ends goes by ``paced``: a clock that is set forward is not followed for
         an hour, in which a person can set it right, and then nothing has ended. One set back is followed at once:
         nothing ends early by it, and doors count on by themselves. Sessions, tokens and codes go by ``now``, as
         programs beside us do.
Limits:  a process that starts takes the clock as it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

log = logging.getLogger("beffroi.clock")

PLACE = ZoneInfo("Europe/Paris")
"""Where people live: what they type, and read of days and hours, is in its time."""
JUMP_S = 10.0
"""A step of this much is no correction of a clock that is kept right."""
BELIEVED_AFTER_S = 3600.0
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


def moment(of_s: float | None) -> datetime | None:
    """Aware UTC time of an epoch second; None where none is said, 0 too."""
    return datetime.fromtimestamp(of_s, UTC) if of_s else None


def steady_s() -> float:
    """Seconds since the machine was started, asleep or not: nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) + _shift_s


@cache
def boot() -> str:
    """Name of this start of the machine: ``steady_s`` of another one says nothing about this."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


class Pace:
    """Wall time of one process that follows no jump forward before the wall has stood by it for BELIEVED_AFTER_S."""

    def __init__(self) -> None:
        self._offset_s = self._doubted_s = self._since_s = 0.0
        self._begun = self._doubts = False

    def epoch(self, wall_s: float, steady_s: float) -> float:
        """UTC epoch seconds. ``steady_s``: as ``steady_s`` says; both of one moment."""
        offset_s = wall_s - steady_s
        if not self._begun or offset_s - self._offset_s <= JUMP_S:
            self._begun, self._doubts, self._offset_s = True, False, offset_s
        elif not self._doubts or abs(offset_s - self._doubted_s) > JUMP_S:
            self._doubts, self._doubted_s, self._since_s = True, offset_s, steady_s
            log.warning("the clock jumped %d s forward: no decision ends by it for an hour", self._ahead_s)
        elif steady_s - self._since_s >= BELIEVED_AFTER_S:
            log.warning("the clock has stood %d s ahead for an hour: it is believed", self._ahead_s)
            self._doubts, self._offset_s = False, offset_s
        return steady_s + self._offset_s

    @property
    def _ahead_s(self) -> float:
        return self._doubted_s - self._offset_s


_pace = Pace()


def paced() -> float:
    """UTC epoch seconds by which decisions end and the feed is stamped: ``epoch`` but for a jump forward."""
    while True:
        before_s, wall_s, after_s = steady_s(), epoch(), steady_s()
        if after_s - before_s < 1.0:  # stopped in between, the process would take its own pause for a jump
            return _pace.epoch(wall_s, after_s)


def paced_s() -> int:
    return int(paced())


def paced_now() -> datetime:
    """Aware UTC time, as ``paced``."""
    return datetime.fromtimestamp(paced(), UTC)


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
