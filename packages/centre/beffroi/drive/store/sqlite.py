"""Metadata in one SQLite file a collectivité: WAL, one writer at a time, readers beside it.

Rule:   the writer commits without waiting for the disk (synchronous=NORMAL, which keeps the file whole), and flushes
        the log itself before anybody is told: the next group is made while one waits, and one flush serves all that
        were committed before it began. What was told is on the disk, as with FULL; a kill or a power cut loses none.
        What the log holds is carried over to the file beside the writer, after an answer: nobody waits for it.
Source: sqlite.org/wal.html; sqlite.org/pragma.html#pragma_synchronous.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import LiteralString

from beffroi.drive.store.database import BUSY_S, Database
from beffroi.drive.store.model import Limits, StoreFull
from beffroi.drive.store.preparing import prepare
from beffroi.drive.store.writing import Picture, Reading, Row, Session
from beffroi.lib import durable
from beffroi.lib.errors import BeffroiError, Unavailable

CACHE_KIB = 32 * 1024
"""Of a connection at most: what leads to the rows of a million files takes a third of it."""
HEAP_MIB = 512
"""Of all connections of a process: from there on each keeps to the pages that it has."""
MOST_IDLE_READERS = 2
CARRIED_ROWS = 600
"""Rows that were changed, those of 200 small files and about a thousand pages of the log, after which what it holds is
carried over to the file."""
MOST_LOG_PAGES = 4_000
"""From there on that is done between two groups: under changes without a pause the log begins anew only so. The index
of as many is one block (sqlite.org/walformat.html)."""
_CARRY: LiteralString = "PRAGMA wal_checkpoint(PASSIVE)"
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_SHMSIZE")
_FILE = "STATE/drive/COMMUNE/metadata.db"
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class MetadataDamaged(Unavailable):
    """{} is damaged on the disk. Next: docs/runbooks/restore-drive.md"""

    code = "drive.metadata_damaged"
    retryable = False


class Connection:
    """One open file. Implements ``Session``."""

    def __init__(self, path: Path, *, reads_only: bool) -> None:
        self.raw = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=BUSY_S, cached_statements=256
        )
        self._is_patient = True
        self._log = _Log(path)
        self._carried_rows = 0
        try:
            self.raw.execute("PRAGMA journal_mode = WAL")
            self.raw.execute("PRAGMA synchronous = NORMAL")
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
        """Errors: OSError."""
        try:
            self._log.close()
        finally:
            self.raw.close()

    def begin(self, *, is_patient: bool = True) -> bool:
        if self._log.is_broken:
            if not is_patient:
                return False
            self._carry_over()
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
        self._log.grew()

    def flush(self) -> None:
        try:
            self._log.flush()
        except OSError as error:
            has_room = error.errno not in (errno.ENOSPC, errno.EDQUOT)
            raise (Unavailable("The drive's disk") if has_room else StoreFull()) from error

    def is_to_carry(self) -> bool:
        """Whether enough was changed since this said so."""
        rows = self.raw.total_changes
        if rows - self._carried_rows < CARRIED_ROWS:
            return False
        self._carried_rows = rows
        return True

    def rollback(self) -> None:
        if self.raw.in_transaction:
            self.raw.execute("ROLLBACK")

    def _carry_over(self) -> None:
        """Whether the log of before a flush that failed is on the disk, nobody knows: nothing is added to it any more,
        but all of it goes to the file, and the log begins anew."""
        is_busy, *_ = self.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_busy:
            raise sqlite3.OperationalError("the log is in use")
        self._log.begun_anew()


class _Log:
    """The write-ahead log of a writer's file, on its way to the disk. It stays the same file while a connection is
    open; SQLite keeps no lock on it that closing this descriptor would end."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + "-wal")
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._grown = self._flushed = 0
        self.is_broken = False
        """A flush failed: what was committed since the last one that did not may be lost."""

    def grew(self) -> None:
        self._grown += 1

    def flush(self) -> None:
        """Errors: OSError."""
        wanted = self._grown
        with self._lock:
            if self._flushed >= wanted:
                return
            # The kernel says it once, and calls what it could not write written from then on.
            if self.is_broken:
                raise OSError(errno.EIO, "an earlier flush failed")
            grown = self._grown
            try:
                if self._descriptor is None:
                    self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                    durable.sync_directory(self._path.parent)
                os.fdatasync(self._descriptor)
            except OSError:
                self.is_broken = True
                raise
            self._flushed = grown

    def begun_anew(self) -> None:
        """All that was in it is in the file, and on the disk."""
        with self._lock:
            self._flushed, self.is_broken = self._grown, False

    def close(self) -> None:
        """Errors: OSError."""
        try:
            self.flush()
        finally:
            with self._lock:
                if self._descriptor is not None:
                    os.close(self._descriptor)
                    self._descriptor = None


class SqliteDatabase(Database):
    """``path``: the file, made where it is absent; its directory exists."""

    IS_LOCAL = True

    def __init__(self, path: Path, executor: Executor, usual: Limits | None = None) -> None:
        super().__init__(executor, usual)
        self.path = path
        self._readers: list[Connection] = []
        self._writer: Connection | None = None
        self._carrying = threading.Lock()
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
            connection = found or Connection(self.path, reads_only=True)
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
            made = Connection(self.path, reads_only=False)
            try:
                made.begin()
                # INTEGER is the row's own number: no second index
                prepare(
                    made, bytes_type="BLOB", key_type="INTEGER", usual=self._usual, clustered="WITHOUT ROWID"
                )
                made.commit()
                made.flush()
                # A commit in the event loop waits for no disk.
                made.raw.execute("PRAGMA wal_autocheckpoint = 0")
                # What a savepoint would bring back: in a file it cost a tenth of a change, and is little.
                made.raw.execute("PRAGMA temp_store = MEMORY")
            except BaseException:
                made.raw.close()
                raise
            self._writer = made
        return self._writer

    def _tidy(self) -> None:
        """Carry the log over to the file, by a connection of its own, which waits for nobody."""
        with self._lock:
            is_due = self._writer is not None and self._writer.is_to_carry()
        if not is_due or not self._carrying.acquire(blocking=False):
            return
        try:
            with closing(
                sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=0)
            ) as raw:
                _, pages, _ = raw.execute(_CARRY).fetchone()
            self._is_behind = pages > MOST_LOG_PAGES
        except sqlite3.Error:
            self._is_behind = True
        finally:
            self._carrying.release()

    def _catch_up(self) -> None:
        assert self._writer is not None, "it made a group"
        with suppress(sqlite3.Error):  # the log stays as it is until it succeeds
            self._writer.raw.execute(_CARRY)

    def copy_to(self, path: Path) -> None:
        """All of one moment in a new file, proved; writers go on meanwhile. Errors: StoreFull, Unavailable."""
        try:
            source = Connection(self.path, reads_only=True)
            try:
                with closing(sqlite3.connect(path)) as target:
                    source.raw.backup(target)
                    require_whole(target, _FILE)
            finally:
                source.close()
        except sqlite3.Error as error:
            raise self._said(error) from None

    def close(self) -> None:
        with self._lock:
            close = self._let_go()
        close()

    def _let_go(self) -> Callable[[], None]:
        leaving = [*self._readers, *([self._writer] if self._writer else [])]
        self._readers, self._writer = [], None

        def close() -> None:
            with self._carrying:
                for connection in leaving:
                    connection.close()

        return close

    def _said(self, error: Exception) -> Exception:
        return said(error, _FILE) if isinstance(error, sqlite3.Error) else error


def said(error: sqlite3.Error, what: str) -> BeffroiError:
    """A failure in our words; ``what``: the file, where it is damaged."""
    name = getattr(error, "sqlite_errorname", "")
    if name in _FULL:
        return StoreFull()
    return MetadataDamaged(what) if name.startswith(_DAMAGED) else Unavailable("The drive's database")


def require_whole(raw: sqlite3.Connection, what: str) -> None:
    """Its pages hang together: SQLite itself reads on where a bit of one is wrong. Errors: MetadataDamaged."""
    if raw.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise MetadataDamaged(what)
