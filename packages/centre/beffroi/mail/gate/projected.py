"""A file that another process replaces, read again once it is another one.

Process: mailgate; any thread.
Source:  mail/projections.py, mail/sending/exits.py (the writers).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path


class Projected[T]:
    """``read``: makes of the file what is asked of it."""

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path, self._read = path, read
        self._kept: tuple[tuple[int, int], T] | None = None
        """(time and number of the file, what was made of it)."""

    def current(self) -> T:
        """Errors: OSError, those of ``read``."""
        status = self._path.stat()
        mark = (status.st_mtime_ns, status.st_ino)
        kept = self._kept
        if kept is None or kept[0] != mark:
            kept = self._kept = mark, self._read(self._path)
        return kept[1]


def opened(path: Path) -> sqlite3.Connection:
    """An SQLite file to be read alone."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)
