"""The centre's database for the planes, on PostgreSQL: see ``db``, which imports this where it is asked for.

Reason:  psycopg takes a third of a plane's start, and on SQLite nobody needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg

from beffroi.core.planes import db
from beffroi.lib.errors import Unavailable


class PostgresqlDatabase(db.Database):
    backend = "postgresql"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._connection = self._connect()

    def close(self) -> None:
        self._connection.close()

    def serialise_outbox(self) -> None:
        self._run("SELECT pg_advisory_xact_lock(?)", [db.OUTBOX_LOCK])

    def announce_outbox(self) -> None:
        self._run("SELECT pg_notify(?, '')", [db.OUTBOX_CHANNEL])

    def _connect(self) -> psycopg.Connection[db.Row]:
        try:
            return psycopg.connect(self._url, autocommit=True, connect_timeout=5)
        except psycopg.OperationalError:
            raise Unavailable("The database") from None

    def _ready(self) -> psycopg.Connection[db.Row]:
        # A connection lost between two transactions is replaced; one lost inside ends that transaction.
        if self._connection.closed and not self._depth:
            self._connection = self._connect()
        return self._connection

    def _run(self, sql: LiteralString, parameters: list[object]) -> list[db.Row]:
        try:
            cursor = self._ready().execute(_placeholders(sql), parameters)
            return cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError:
            raise Unavailable("The database") from None

    def _run_many(self, sql: LiteralString, rows: list[list[object]]) -> None:
        try:
            with self._ready().cursor() as cursor:
                cursor.executemany(_placeholders(sql), rows)
        except psycopg.OperationalError:
            raise Unavailable("The database") from None

    @contextmanager
    def _begin(self) -> Iterator[None]:
        if self._connection.closed:
            self._connection = self._connect()
        try:
            with self._connection.transaction():
                yield
        except psycopg.OperationalError:
            raise Unavailable("The database") from None

    def _value(self, value: object) -> object:
        return value


def _placeholders(sql: LiteralString) -> LiteralString:
    return sql.replace("%", "%%").replace("?", "%s")
