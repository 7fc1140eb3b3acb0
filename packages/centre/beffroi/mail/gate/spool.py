"""Evidence on disk before the answer: what mailgate acknowledged is never lost.

Purpose: a small queue of records, SQLite WAL + FULL, independent of the centre's database.
Process: mailgate; any thread (one lock).
Fails:   SpoolUnavailable (disk full); the caller lets the message pass as unchecked.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from beffroi.lib.errors import Unavailable


class SpoolUnavailable(Unavailable):
    """{} cannot be written; free some disk space."""

    code = "mail.spool_unavailable"


class Spool:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
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
        with self._lock:
            return self._connection.execute(
                "SELECT seq, record FROM spool ORDER BY seq LIMIT ?", (limit,)
            ).fetchall()

    def remove_to(self, sequence: int) -> None:
        """Remove this record and all before it, in one transaction: each waits for the disk, and with it who puts."""
        with self._lock:
            self._connection.execute("DELETE FROM spool WHERE seq <= ?", (sequence,))

    def count(self) -> int:
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM spool").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            self._connection.close()
