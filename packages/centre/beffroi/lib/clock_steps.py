"""A step of the machine's clock, as a file that needs no database: STATE/supervisor/clock.json. No Django.

Purpose: much is said to be late, or over, when the clock is wrong: `./beffroi status` and the console name it first.
Start:   a clock that stands before the centre's last sign of life, or days after it, is given two minutes to be set
         (NTP) before anything is started: decisions would end by it everywhere, and doors hear of a time to come.
Process: written by the supervisor when something changes, where nobody else writes; read by anyone. Times only.
Input:   whoever reads it trusts nothing: a file that cannot be read says nothing.
Limits:  one that nobody keeps, and that is wrong by less than ``OFF_S``, is seen by nobody; one that is set right only
         later has acted meanwhile, and is named. The purge has rules of its own (``core.retention.rules``).
Source:  adjtimex(2): TIME_ERROR while nothing keeps the clock.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from beffroi.lib import clock, json_file
from beffroi.lib.config import Config

TOLD_FOR_S = 86400.0
"""Then the clock that stood so long is the machine's: one whose person was told, or who knew better."""


OFF_S = 3 * 86400.0
"""A machine may be off over a week-end."""
WAIT_S = 120.0
_TIME_ERROR = 5


class Told(msgspec.Struct, frozen=True):
    """``boot``: the start of the machine. Seconds of the wall before those since that start: ``right_s`` as long as
    nobody set the clock, ``seen_s`` at the last look; ``at_s``: when the last step was seen, since that start.
    ``from_former``: ``right_s`` is what the former run knew, less the time for which the machine was off."""

    boot: str
    right_s: float
    seen_s: float
    at_s: float = 0.0
    from_former: bool = False

    @property
    def step_s(self) -> float:
        """Forward, or negative for backward; 0 where the clock is as it was."""
        found = self.seen_s - self.right_s
        return found if abs(found) > clock.JUMP_S else 0.0


def _path(config: Config) -> Path:
    return config.state / "supervisor" / "clock.json"


def is_kept() -> bool:
    """Whether something keeps the machine's clock right, as the kernel knows."""
    nothing_is_set = ctypes.create_string_buffer(1024)  # struct timex has 208 bytes
    return ctypes.CDLL(None).adjtimex(nothing_is_set) not in {-1, _TIME_ERROR}


def begin(
    config: Config,
    *,
    last_s: float,
    say: Callable[[str], None],
    is_kept: Callable[[], bool] = is_kept,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Before anything of the centre is started. ``last_s``: epoch seconds of the former run's last sign of life, 0 for
    none. Within one start of the machine steps are seen as they happen. Errors: OSError."""
    told = json_file.read(_path(config), Told)
    if not last_s or (told is not None and told.boot == clock.boot()):
        return
    end_s = clock.steady_s() + WAIT_S
    if _doubtful(last_s) and not is_kept():
        say("the clock of this machine cannot be right, or was off for days: it has two minutes to be set")
    while _doubtful(last_s) and not is_kept() and clock.steady_s() < end_s:
        sleep(1.0)
    now_s = clock.steady_s()
    seen_s = clock.epoch() - now_s
    doubted = _doubtful(last_s) and not is_kept()
    right_s = last_s - now_s if doubted else seen_s
    json_file.write(
        _path(config),
        Told(clock.boot(), right_s, seen_s, now_s if doubted else 0.0, from_former=doubted),
        mode=0o644,
    )


def _doubtful(last_s: float) -> bool:
    return not -clock.JUMP_S <= clock.epoch() - last_s <= OFF_S


def look(config: Config) -> None:
    """One look; what is less than ``clock.JUMP_S`` off is a clock that is kept right. Errors: OSError."""
    now_s = clock.steady_s()
    seen_s = clock.epoch() - now_s
    found = json_file.read(_path(config), Told)
    told = found if found is not None and found.boot == clock.boot() else Told(clock.boot(), seen_s, seen_s)
    if abs(seen_s - told.seen_s) > clock.JUMP_S:
        told = msgspec.structs.replace(told, seen_s=seen_s, at_s=now_s)
        if told.from_former and 0 <= seen_s - told.right_s <= OFF_S:
            told = Told(told.boot, seen_s, seen_s)  # set, to what can be right
    if not told.step_s or now_s - told.at_s > TOLD_FOR_S:
        told = Told(told.boot, seen_s, seen_s)  # slewed a little each day, it is right all the same
    if (
        found is None
        or found.boot != told.boot
        or abs(found.right_s - told.right_s) > 1
        or found.at_s != told.at_s
    ):
        json_file.write(_path(config), told, mode=0o644)


def step_s(config: Config) -> float:
    """Seconds by which the clock was set forward (negative: back) in the last day; 0 where it was not."""
    told = json_file.read(_path(config), Told)
    return told.step_s if told is not None and told.boot == clock.boot() else 0.0


def cause(config: Config) -> tuple[str, ...]:
    """Names the step; empty where there is none."""
    told = json_file.read(_path(config), Told)
    return (f"{told.boot} {told.at_s:.0f}",) if told is not None and step_s(config) else ()


def problem(config: Config) -> str:
    """One sentence with the next step, or ""."""
    moved_s = step_s(config)
    if not moved_s:
        return ""
    was = datetime.fromtimestamp(clock.epoch() - moved_s, UTC)
    told = json_file.read(_path(config), Told)
    if told is not None and told.from_former:
        return (
            f"The clock of this machine stood {_length(abs(moved_s))} {'after' if moved_s > 0 else 'before'} the"
            " centre's last sign of life when the centre was started, and nothing keeps it right (NTP). What is said to"
            " be late, or over, may be so by the clock alone. Next: compare `date -u` with a clock you trust; wrong:"
            " set it (timedatectl); right: this goes in a day (docs/runbooks/retention.md)"
        )
    return (
        f"The clock of this machine was set {_length(abs(moved_s))} {'forward' if moved_s > 0 else 'back'}: it would"
        f" be {was:%Y-%m-%d %H:%M} UTC. What is said to be late, or over, may be so by the clock alone."
        " Next: compare `date -u` with a clock you trust; wrong: set it (timedatectl); right: this goes in a day"
        " (docs/runbooks/retention.md)"
    )


def _length(seconds: float) -> str:
    for name, unit_s in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {name}"
    return f"{seconds:.0f} s"
