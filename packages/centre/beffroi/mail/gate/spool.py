"""Evidence on disk before the answer: what mailgate acknowledged is never lost.

Purpose: a small queue of records, SQLite WAL + FULL, independent of the centre's database.
Process: mailgate; any thread (one lock).
Fails:   SpoolUnavailable (disk full); the caller lets the message pass as unchecked.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

from beffroi.lib.errors import Unavailable

LEFT = 100
"""Records that stay at most when they are in the database; none while no mail comes."""


class SpoolUnavailable(Unavailable):
    """{} cannot be written; free some disk space."""

    code = "mail.spool_unavailable"


class Spool:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._taken = self._removed = 0
        self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = wal")
        self._connection.execute("PRAGMA synchronous = full")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS spool (seq INTEGER PRIMARY KEY AUTOINCREMENT, record BLOB NOT NULL)"
        )

    def put(self, record: bytes) -> None:
        """On disk when this returns. Errors: SpoolUnavailable."""
        with self._lock:
            try:
                self._connection.execute("INSERT INTO spool (record) VALUES (?)", (record,))
            except sqlite3.Error:
                raise SpoolUnavailable("The evidence spool") from None

    def first(self, limit: int) -> list[tuple[int, bytes]]:
        """(number, record) of those that were not taken, the oldest first."""
        with self._lock:
            return self._connection.execute(
                "SELECT seq, record FROM spool WHERE seq > ? ORDER BY seq LIMIT ?", (self._taken, limit)
            ).fetchall()

    def taken(self, sequence: int) -> None:
        """This record and all before it are in the database; after a crash some of them are handed out again."""
        self._taken = sequence
        if sequence - self._removed >= LEFT:
            self.tidy()

    def tidy(self) -> None:
        """Remove what was taken: a transaction waits for the disk, and with it who puts. What is not removed for want
        of room is later."""
        if self._removed < self._taken:
            with self._lock, contextlib.suppress(sqlite3.Error):
                self._connection.execute("DELETE FROM spool WHERE seq <= ?", (self._taken,))
                self._removed = self._taken

    def count(self) -> int:
        """How many were not taken."""
        with self._lock:
            found = self._connection.execute("SELECT count(*) FROM spool WHERE seq > ?", (self._taken,))
            return int(found.fetchone()[0])

    def close(self) -> None:
        self.tidy()
        with self._lock:
            self._connection.close()
