"""Metadata in PostgreSQL: one schema a collectivité, so that several processes, on several machines, serve one drive.

Rule:    one writer of a collectivité at a time, in whatever process: an advisory lock that ends with the transaction.
         Readers see one picture (REPEATABLE READ). Connections are shared by all collectivités of a process.
Fails:   closed; a connection that breaks is dropped, and its change fails as Unavailable; so does a change that waits
         ``BUSY_S`` for another process, as with SQLite.
Source:  postgresql.org/docs/17, "Explicit Locking" (advisory locks), "Transaction Isolation", "lock_timeout".
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import lru_cache
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from beffroi.drive.store.database import BUSY_S, Database, MetadataMissing
from beffroi.drive.store.model import Limits, StoreFull
from beffroi.drive.store.preparing import prepare
from beffroi.drive.store.writing import Picture, Reading, Row, Session
from beffroi.lib.errors import Unavailable

MANY = 100
MOST_IDLE = 16
CONNECT_S = 10
_BY_INDEX: LiteralString = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off"
)
"""Each statement of the drive is written for an index that leads to its few rows. A planner without statistics, or with
those of yesterday, thinks of many, and reads a table of all files for one folder. Where no index helps, a table is
read all the same."""

type Connection = psycopg.Connection[Row]


class Connections:
    """Those of one process to the centre's database. ``url``: postgresql://... with its password: never shown."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def begun(self, begin: LiteralString) -> Connection:
        """A connection on which ``begin`` was said; one that the server has closed meanwhile is passed over.

        Errors: psycopg.Error.
        """
        while True:
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            connection = idle or psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_S)
            try:
                if idle is None:
                    connection.execute(_BY_INDEX)
                    connection.execute(sql.SQL("SET lock_timeout = {}").format(int(BUSY_S * 1000)))
                connection.execute(begin)
            except psycopg.OperationalError:
                connection.close()
                if idle is None:
                    raise
            else:
                return connection

    def give(self, connection: Connection) -> None:
        """Back; one that is broken or in the middle of something, or one too many, is closed."""
        if connection.info.transaction_status == TransactionStatus.IDLE:
            with self._lock:
                if len(self._idle) < MOST_IDLE:
                    self._idle.append(connection)
                    return
        connection.close()

    def opened(
        self, schema: str, executor: Executor, usual: Limits | None, *, may_begin: bool = True
    ) -> Database:
        """Errors: MetadataMissing, where it is not there and may not begin."""
        return PostgresDatabase(self, schema, executor, usual, may_begin=may_begin)

    def close(self) -> None:
        with self._lock:
            closing, self._idle = self._idle, []
        for connection in closing:
            connection.close()


class _Reading:
    def __init__(self, connection: Connection) -> None:
        self.raw = connection

    def one(self, sql: LiteralString, parameters: Sequence[object] = ()) -> Row | None:
        return self.raw.execute(_translated(sql), parameters).fetchone()

    def all(self, sql: LiteralString, parameters: Sequence[object] = ()) -> list[Row]:
        return self.raw.execute(_translated(sql), parameters).fetchall()

    def run(self, sql: LiteralString, parameters: Sequence[object] = ()) -> int:
        return self.raw.execute(_translated(sql), parameters).rowcount

    def many(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        copied = _copied(sql) if len(rows) >= MANY else None
        with self.raw.cursor() as cursor:
            if copied is None:
                cursor.executemany(_translated(sql), rows)
                return
            with cursor.copy(copied) as copy:
                for row in rows:
                    copy.write_row(row)


class _Writer:
    """The session of one collectivité's writer: it has a connection from ``begin`` to ``commit`` or ``rollback``."""

    one: Callable[..., Row | None]
    all: Callable[..., list[Row]]
    run: Callable[..., int]
    many: Callable[..., None]

    def __init__(self, connections: Connections, schema: str) -> None:
        self._connections, self._schema = connections, schema
        self._raw: Connection | None = None

    def begin(self, *, is_patient: bool = True) -> bool:
        assert is_patient, "no group is made in an event loop"
        self._raw = self._connections.begun("BEGIN ISOLATION LEVEL READ COMMITTED")
        on = _Reading(self._raw)
        self.one, self.all, self.run, self.many = on.one, on.all, on.run, on.many
        try:
            self._raw.execute("SELECT pg_advisory_xact_lock(%s)", (_lock_number(self._schema),))
            _enter(self._raw, self._schema)
        except BaseException:
            self.rollback()
            raise
        return True

    def make_schema(self) -> None:
        assert self._raw is not None, "begun"
        self._raw.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)))

    def commit(self) -> None:
        self._end("COMMIT")

    def flush(self) -> None:
        """The server's commit is on its disk."""

    def rollback(self) -> None:
        if self._raw is not None:
            self._end("ROLLBACK")

    def _end(self, how: LiteralString) -> None:
        assert self._raw is not None, "begun"
        raw, self._raw = self._raw, None
        try:
            if not raw.closed:
                raw.execute(how)
        finally:
            self._connections.give(raw)


class PostgresDatabase(Database):
    """``schema``: the collectivité's identifier; made where it is absent and ``may_begin``."""

    def __init__(
        self,
        connections: Connections,
        schema: str,
        executor: Executor,
        usual: Limits | None = None,
        *,
        may_begin: bool = True,
    ) -> None:
        super().__init__(executor, usual)
        self._connections, self._schema = connections, schema
        self._writer = _Writer(connections, schema)
        try:
            self._prepare(may_begin=may_begin)
        except psycopg.Error as error:
            raise self._said(error) from None

    def _prepare(self, *, may_begin: bool) -> None:
        self._writer.begin()
        try:
            if not may_begin and self._writer.one("SELECT to_regclass(?)", (f"{self._schema}.meta",)) == (
                None,
            ):
                raise MetadataMissing(self._schema)
            self._writer.make_schema()
            prepare(self._writer, bytes_type="BYTEA", key_type="BIGINT", usual=self._usual)
            self._writer.commit()
        except BaseException:
            self._writer.rollback()
            raise

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        with self._lock:
            self._readers_at_work += 1
        connection: Connection | None = None
        try:
            connection = self._connections.begun("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            _enter(connection, self._schema)
            yield Picture(_Reading(connection))
        except psycopg.Error as error:
            raise self._said(error) from None
        finally:
            if connection is not None:
                self._ended(connection)
            with self._lock:
                self._readers_at_work -= 1

    def _ended(self, connection: Connection) -> None:
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            pass  # it is broken, and ``give`` closes it
        self._connections.give(connection)

    def _session(self) -> Session:
        return self._writer

    def close(self) -> None:
        """Nothing is its own."""

    def _let_go(self) -> Callable[[], None]:
        return self.close

    def _tidy(self) -> None:
        """The server does."""

    def _catch_up(self) -> None:
        """It never is behind."""

    def _said(self, error: Exception) -> Exception:
        if not isinstance(error, psycopg.Error):
            return error
        return (
            StoreFull() if isinstance(error, psycopg.errors.DiskFull) else Unavailable("The drive's database")
        )


@lru_cache(maxsize=512)
def _translated(sql: LiteralString) -> LiteralString:
    return sql.replace("?", "%s")


@lru_cache(maxsize=512)
def _copied(sql: LiteralString) -> LiteralString | None:
    """What takes the rows of a plain INSERT in a quarter of its time: others wait for a restore. None for another."""
    head, values, marks = sql.partition(" VALUES (")
    if not head.startswith("INSERT INTO ") or not values or set(marks) - set("?, )"):
        return None
    return head.replace("INSERT INTO", "COPY", 1) + " FROM STDIN"


def _enter(connection: Connection, schema: str) -> None:
    connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(schema)))


def _lock_number(schema: str) -> int:
    digest = hashlib.blake2b(f"beffroi drive {schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
