"""The machine's own clock: set from signed time, and what the resolver does until that is known.

Purpose: Unbound validates by the machine's clock. With a wrong one every signed name fails, those of time servers too,
         so NTP alone cannot mend a box without a battery. Trusted time comes by the feed, which asks no clock.
Process: ``resolver-config`` judges the clock at a start. The agent, which may not set it, writes down what it should be
         (RUN/time); ``set-clock``, root with CAP_SYS_TIME only, does it when that file is written.
Until:   Unbound checks signatures and not their dates. Old answers may be replayed to it that long, forged ones not.
Fails:   without the unit nobody sets the clock, and the dates stay unchecked.
Source:  unbound.conf(5), val-override-date: -1; unbound(8), SIGHUP; clock_settime(2).
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from beffroi_box.config import BoxConfig
from beffroi_box.resolver import UNDATED, unbound_configuration, unbound_file
from beffroi_box.store import write_atomic

log = logging.getLogger("beffroi_box.clock")

BOUND_S = 60
"""Signatures and TOTP bear minutes; NTP is more exact than a line of the feed, and is left alone within this."""
ASK_EVERY_S, FRESH_S = 30.0, 60
BUILT = int(Path(__file__).stat().st_mtime)
"""The package's files carry the date of its build."""
MOST_BEHIND_S = 2 * 366 * 86400
"""A box whose software, and last signed time, are older than that was off for so long, or has a clock of the future."""


def plausible(floor: int) -> bool:
    """Whether the machine's clock may be right: not before the last signed time on disk, nor before this software, nor
    years after both. ``floor`` 0: none was ever signed for this box, and a clock without a battery stands where the
    workshop switched it off; nothing tells that from a right one."""
    return floor > 0 and -BOUND_S <= time.time() - max(floor, BUILT) <= MOST_BEHIND_S


def set_machine(now: int) -> None:
    """Errors: OSError."""
    time.clock_settime(time.CLOCK_REALTIME, now)


def time_file(config: BoxConfig) -> Path:
    """``TRUSTED MONOTONIC``: signed time in epoch seconds, and the steady clock of this boot at that moment."""
    return config.run_directory / "time"


def correct(
    config: BoxConfig, setter: Callable[[int], None], *, local: Callable[[], float] = time.time
) -> int:
    """Set the clock as the agent wrote; return by how many seconds it was off, 0 when nothing was to do.

    Errors: OSError."""
    try:
        trusted, written_at = map(int, time_file(config).read_text("ascii").split())
    except (FileNotFoundError, ValueError):
        return 0
    age_s = int(time.monotonic()) - written_at
    now = trusted + age_s
    off_s = now - int(local())
    # A file of another boot says nothing.
    if not 0 <= age_s <= FRESH_S or abs(off_s) <= BOUND_S or now < BUILT - BOUND_S:
        return 0
    setter(now)
    return off_s


class MachineClock:
    """The agent's side. ``local``: what the machine's clock says."""

    def __init__(self, config: BoxConfig, *, local: Callable[[], float] = time.time) -> None:
        self._config = config
        self._local = local
        self._dated = False
        self._asked_at = -ASK_EVERY_S

    def keep(self, trusted: int) -> None:
        """``trusted``: epoch seconds, by a signed message of this run. Errors: OSError (disk)."""
        off_s = trusted - int(self._local())
        if abs(off_s) <= BOUND_S:
            if not self._dated:
                self._check_dates()
                self._dated = True
            return
        self._dated = False  # whoever wrote the resolver's configuration meanwhile judged by a wrong clock
        if (monotonic := time.monotonic()) - self._asked_at >= ASK_EVERY_S:
            log.warning("the machine's clock is off by %d s", off_s)
            self._asked_at = monotonic
            write_atomic(time_file(self._config), f"{trusted} {int(monotonic)}\n".encode())

    def _check_dates(self) -> None:
        """Make Unbound check dates again, if it does not."""
        path = unbound_file(self._config)
        if path.exists() and UNDATED in path.read_text("utf-8"):
            write_atomic(path, unbound_configuration(self._config).encode(), mode=0o644)
            for process in _unbound(path):
                os.kill(process, signal.SIGHUP)
            log.info("the time is known: the resolver checks the dates of signatures")


def _unbound(path: Path) -> list[int]:
    """The processes that run with this configuration; a file with a number would be Unbound's to forge."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if Path(os.fsdecode(words[0])).name == "unbound" and os.fsencode(path) in words:
            found.append(int(entry.name))
    return found
