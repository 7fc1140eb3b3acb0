"""Technical logs: set aside when long or a week old, compressed, deleted by date.

Purpose: security logs are there for half a year (ANSSI), and what names people in them not much longer (setting
         ``log_days``): a file that was set aside goes when its last line is that old.
Process: supervisor; root, 0640. The process that writes appends, so its log may be cut under it.
Fails:   open: on a full disk a log stays whole and is tried again. A clock far ahead deletes little: each time a log is
         set aside at most ``AT_ONCE`` old files go. A flood keeps at most ``MOST`` files of each log.
"""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from beffroi.lib import clock

MAX_BYTES = 20_000_000
WEEK_S = 7 * 86400
AT_ONCE = 2
MOST = 100
AHEAD_BYTES = 8 * 2**20
_KEEP_SIZE = 1
_STAMP = "%Y%m%dT%H%M%SZ"


def trim(log: Path, *, keep_days: int) -> None:
    """Set a log aside when its time has come, and delete what is older than ``keep_days``."""
    with contextlib.suppress(OSError):
        begun = _begun(log)
        size = log.stat().st_size
        if size > MAX_BYTES or not 0 <= clock.epoch() - begun <= WEEK_S:
            if size:
                _set_aside(log)
            os.utime(log.with_suffix(".begun"), (clock.epoch(), clock.epoch()))
            _forget(log, keep_days=keep_days)  # of a process that has nothing to say any more, too


def reserve(log: Path) -> None:
    """Keep room for what comes next, so that the log can be written while the disk is full."""
    with contextlib.suppress(OSError):
        descriptor = os.open(log, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            size = ctypes.c_int64(os.fstat(descriptor).st_size)
            ctypes.CDLL(None).fallocate(descriptor, _KEEP_SIZE, size, ctypes.c_int64(AHEAD_BYTES))
        finally:
            os.close(descriptor)


def _begun(log: Path) -> float:
    """When the log was begun: the time of an empty file beside it."""
    mark = log.with_suffix(".begun")
    if not mark.exists():
        mark.touch(0o640)
    return mark.stat().st_mtime


def _set_aside(log: Path) -> None:
    stamp = datetime.fromtimestamp(clock.epoch(), UTC).strftime(_STAMP)
    aside = log.with_name(f"{log.name}.{stamp}.gz")
    draft = log.with_suffix(".new")  # one name: what a power cut left of it is written over
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
    try:
        with os.fdopen(descriptor, "wb") as raw, log.open("rb") as lines, gzip.open(raw, "wb", 6) as packed:
            shutil.copyfileobj(lines, packed)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    draft.replace(aside)
    os.truncate(log, 0)


def _forget(log: Path, *, keep_days: int) -> None:
    files = sorted(log.parent.glob(f"{log.name}.*Z.gz"))
    oldest = datetime.fromtimestamp(clock.epoch() - keep_days * 86400, UTC).strftime(_STAMP)
    old = [one for one in files if one.name.removeprefix(f"{log.name}.") < oldest]
    for one in {*old[:AT_ONCE], *files[: max(0, len(files) - MOST)]}:
        one.unlink(missing_ok=True)
