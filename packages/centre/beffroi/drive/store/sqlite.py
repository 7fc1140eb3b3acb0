"""Metadata in one SQLite file a collectivité: WAL, synchronous=FULL, one writer thread, readers beside it.

Source: sqlite.org/wal.html. A commit is on disk when it returns; a kill or a power cut loses none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import LiteralString

from beffroi.drive.store.database import Database, prepare
from beffroi.drive.store.model import Limits, StoreFull
from beffroi.drive.store.writing import Picture, Reading, Row, Session
from beffroi.lib.errors import Unavailable

BUSY_S = 20.0
CACHE_KIB = 8 * 1024
HEAP_MIB = 512
"""Of all connections of a process: from there on each keeps to the pages that it has."""
MOST_IDLE_READERS = 2
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_SHMSIZE")


class Connection:
    """One open file. Implements ``Session``."""

    def __init__(self, path: Path, *, reads_only: bool) -> None:
        self.raw = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=BUSY_S, cached_statements=256
        )
        self._is_patient = True
        try:
            self.raw.execute("PRAGMA journal_mode = WAL")
            self.raw.execute("PRAGMA synchronous = FULL")
            self.raw.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self.raw.execute(f"PRAGMA soft_heap_limit = {HEAP_MIB << 20}")
            if reads_only:
                self.raw.execute("PRAGMA query_only = 1")
        except sqlite3.Error:
            self.raw.close()
            raise

    def one(self, sql: LiteralString, parameters: Sequence[object] = ()) -> Row | None:
        found: Row | None = self.raw.execute(sql, parameters).fetchone()
        return found

    def all(self, sql: LiteralString, parameters: Sequence[object] = ()) -> list[Row]:
        return self.raw.execute(sql, parameters).fetchall()

    def run(self, sql: LiteralString, parameters: Sequence[object] = ()) -> int:
        return self.raw.execute(sql, parameters).rowcount

    def many(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        self.raw.executemany(sql, rows)

    def close(self) -> None:
        self.raw.close()

    def begin(self, *, is_patient: bool = True) -> bool:
        if is_patient != self._is_patient:
            self.raw.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000) if is_patient else 0}")
            self._is_patient = is_patient
        try:
            self.raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if is_patient or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    def commit(self) -> None:
        self.raw.execute("COMMIT")

    def rollback(self) -> None:
        if self.raw.in_transaction:
            self.raw.execute("ROLLBACK")


class SqliteDatabase(Database):
    """``path``: the file, made where it is absent; its directory exists."""

    IS_LOCAL = True

    def __init__(self, path: Path, executor: Executor, usual: Limits | None = None) -> None:
        super().__init__(executor, usual)
        self._path = path
        self._readers: list[Connection] = []
        self._writer: Connection | None = None
        try:
            self._session()
        except sqlite3.Error as error:
            raise self._said(error) from None

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        with self._lock:
            self._readers_at_work += 1
            found = self._readers.pop() if self._readers else None
        connection: Connection | None = None
        try:
            connection = found or Connection(self._path, reads_only=True)
            connection.raw.execute("BEGIN")
            yield Picture(connection)
        except sqlite3.Error as error:
            raise self._said(error) from None
        finally:
            if connection is not None:
                connection.rollback()
            with self._lock:
                self._readers_at_work -= 1
                if connection is not None and len(self._readers) < MOST_IDLE_READERS:
                    self._readers.append(connection)
                    connection = None
            if connection is not None:
                connection.close()

    def _session(self) -> Session:
        if self._writer is None:
            made = Connection(self._path, reads_only=False)
            try:
                made.begin()
                # INTEGER is the row's own number: no second index
                prepare(
                    made, bytes_type="BLOB", key_type="INTEGER", usual=self._usual, clustered="WITHOUT ROWID"
                )
                made.commit()
            except BaseException:
                made.raw.close()
                raise
            self._writer = made
        return self._writer

    def copy_to(self, path: Path) -> None:
        """All of one moment in a new file; writers go on meanwhile. Errors: StoreFull, Unavailable."""
        try:
            source = Connection(self._path, reads_only=True)
            try:
                with closing(sqlite3.connect(path)) as target:
                    source.raw.backup(target)
            finally:
                source.close()
        except sqlite3.Error as error:
            raise self._said(error) from None

    def close(self) -> None:
        with self._lock:
            closing = self._let_go()
        closing()

    def _let_go(self) -> Callable[[], None]:
        leaving = [*self._readers, *([self._writer] if self._writer else [])]
        self._readers, self._writer = [], None

        def closing() -> None:
            for connection in leaving:
                connection.close()

        return closing

    def _said(self, error: Exception) -> Exception:
        if not isinstance(error, sqlite3.Error):
            return error
        return StoreFull() if is_full(error) else Unavailable("The drive's database")


def is_full(error: sqlite3.Error) -> bool:
    """Whether the disk is."""
    return getattr(error, "sqlite_errorname", "") in _FULL
