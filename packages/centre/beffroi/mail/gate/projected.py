"""A file that another process replaces, read again once it is another one.

Process: mailgate; any thread.
Source:  mail/projections.py, mail/sending/exits.py (the writers).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from beffroi_protocol.errors import UNDECODABLE

log = logging.getLogger("beffroi.mailgate")


class Projected[T]:
    """``what`` it is, in words for the log; ``read``: makes of the file what is asked of it. ``may_lack``: it is no
    trouble where the file is not there."""

    def __init__(self, path: Path, what: str, read: Callable[[Path], T], *, may_lack: bool = False) -> None:
        self._path, self._what, self._read, self._may_lack = path, what, read, may_lack
        self._log_path = path.with_name(f"{path.name}-wal")
        self._kept: tuple[tuple[int, ...], T] | None = None
        """(times and numbers of the file and of its log, what was made of it)."""

    def current(self) -> T | None:
        """None while it cannot be read."""
        try:
            return self._current()
        except (OSError, sqlite3.Error, *UNDECODABLE) as error:
            if not (self._may_lack and isinstance(error, FileNotFoundError)):
                log.warning("%s are not read: %s", self._what, type(error).__name__)
            return None

    def _current(self) -> T:
        mark = (*_mark(self._path), *self._mark_of_log())
        kept = self._kept
        if kept is None or kept[0] != mark:
            kept = self._kept = mark, self._read(self._path)
        return kept[1]

    def _mark_of_log(self) -> tuple[int, ...]:
        """What was written to an SQLite file stands here alone while someone reads the file."""
        try:
            return _mark(self._log_path)
        except FileNotFoundError:
            return ()


def _mark(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """An SQLite file to be read alone, closed at the end."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
        yield connection
