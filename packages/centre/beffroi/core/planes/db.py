"""The centre's database for the planes without Django: the same tables, by plain SQL.

Purpose: ``connect(url)`` gives one ``Database`` on SQLite or PostgreSQL, with ``?`` for parameters.
Process: stream, mailgate; unprivileged. One connection, guarded by a lock, so threads may share it.
Input:   values only ever travel as parameters; SQL is constant text and holds no literal ``?``.
Fails:   closed; a statement outside ``transaction()`` commits by itself, inside it all or nothing.
Source:  sqlite.org/wal.html; the durability figures in docs/internals/data.md.
"""

from __future__ import annotations

import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, LiteralString

from beffroi.core.planes import write_lock
from beffroi.lib.errors import BeffroiError, Unavailable

Row = tuple[Any, ...]


class DatabaseUnknown(BeffroiError):
    """The database address must begin with sqlite:/// or postgresql://, not {}."""

    code = "database.unknown"


class Database(ABC):
    """One connection. Errors of all methods: Unavailable when the database does not answer."""

    backend: Literal["sqlite", "postgresql"]

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._after: list[Callable[[], object]] = []

    def execute(self, sql: LiteralString, parameters: Sequence[object] = ()) -> list[Row]:
        """Run one statement and return its rows, if it has any."""
        with self._lock:
            return self._run(sql, [self._value(value) for value in parameters])

    def executemany(self, sql: LiteralString, rows: Iterable[Sequence[object]]) -> None:
        with self._lock:
            self._run_many(sql, [[self._value(value) for value in row] for row in rows])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; begins as a writer at once. A nested one belongs to the outer one."""
        with self._lock:
            if self._depth:
                yield
                return
            self._depth += 1
            try:
                with self._begin():
                    yield
            except BaseException:
                self._after.clear()
                raise
            finally:
                self._depth -= 1
            done, self._after = self._after, []
            for call in done:
                call()

    def on_commit(self, call: Callable[[], object]) -> None:
        """Call once the present transaction is durable (at once, outside of one); equal calls count once."""
        if not self._depth:
            call()
        elif call not in self._after:
            self._after.append(call)

    @property
    def in_transaction(self) -> bool:
        return self._depth > 0

    @staticmethod
    def time(value: datetime | str) -> datetime:
        """A column of time, as either backend returns it, as aware UTC."""
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def serialise_outbox(self) -> None:
        """Let no other transaction publish until this one ends, so that ids are in order of commit."""

    @abstractmethod
    def announce_outbox(self) -> None:
        """Wake who listens to the database (``planes.listen``) once this transaction is committed."""

    @abstractmethod
    def _run(self, sql: LiteralString, parameters: list[object]) -> list[Row]: ...

    @abstractmethod
    def _run_many(self, sql: LiteralString, rows: list[list[object]]) -> None: ...

    @abstractmethod
    def _begin(self) -> AbstractContextManager[Any]: ...

    @abstractmethod
    def _value(self, value: object) -> object: ...


class SqliteDatabase(Database):
    backend = "sqlite"

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            self._connection = sqlite3.connect(
                path, timeout=write_lock.WAIT_S, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA foreign_keys=ON")
        except sqlite3.OperationalError:
            raise Unavailable("The database") from None

    def close(self) -> None:
        self._connection.close()

    def serialise_outbox(self) -> None:
        """Nothing to do: BEGIN IMMEDIATE lets one writer in at a time."""

    def announce_outbox(self) -> None:
        """Nothing to do: everyone is on this machine."""

    def _run(self, sql: LiteralString, parameters: list[object]) -> list[Row]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as error:
            raise _sqlite_error(error) from error

    def _run_many(self, sql: LiteralString, rows: list[list[object]]) -> None:
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.OperationalError as error:
            raise _sqlite_error(error) from error

    @contextmanager
    def _begin(self) -> Iterator[None]:
        try:
            write_lock.begin(self._connection)
        except sqlite3.OperationalError as error:
            raise _sqlite_error(error) from error
        try:
            yield
            self._run("COMMIT", [])
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _value(self, value: object) -> object:
        if isinstance(value, datetime):  # Django's own spelling, so that texts compare as times
            return str(value.astimezone(UTC).replace(tzinfo=None))
        return value


OUTBOX_CHANNEL = "beffroi_outbox"
"""Channel of NOTIFY: an outbox row was committed."""

OUTBOX_LOCK = 0x6265666672
"""Advisory lock of publishing transactions; ``beffroi.core.events.outbox`` takes the same one."""


def connect(url: str) -> Database:
    """Open ``sqlite:///PATH`` or ``postgresql://...``. Errors: DatabaseUnknown, Unavailable."""
    if url.startswith("sqlite:///"):
        return SqliteDatabase(Path(url.removeprefix("sqlite:///")))
    if url.startswith(("postgresql://", "postgres://")):
        from beffroi.core.planes.db_postgresql import PostgresqlDatabase  # noqa: PLC0415 - a third of a start

        return PostgresqlDatabase(url)
    raise DatabaseUnknown(url.partition(":")[0])


def errors(url: str) -> tuple[type[Exception], ...]:
    """Of the driver: what ``connect`` and statements raise beside Unavailable."""
    if url.startswith("sqlite:///"):
        return (sqlite3.Error,)
    from psycopg import Error  # noqa: PLC0415 - as above

    return (Error,)


def _sqlite_error(error: sqlite3.OperationalError) -> Exception:
    busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)
    return Unavailable("The database") if busy else error
