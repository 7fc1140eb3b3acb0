"""The database of the planes: one suite, run on SQLite and, where a server is named, on PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from beffroi.core.planes import write_lock
from beffroi.core.planes.db import Database, DatabaseUnknown, connect
from beffroi.lib.errors import Unavailable

from tests.waiting import PATIENCE_S

SERVER = os.environ.get("BEFFROI_TEST_DATABASE", "")
BACKENDS = ["sqlite", *(["postgresql"] if SERVER else [])]


class Backend:
    """Opens further connections to one scratch database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[Database] = []

    def __call__(self) -> Database:
        self.opened.append(connect(self.url))
        return self.opened[-1]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "sqlite":
        backend = Backend(f"sqlite:///{tmp_path / 'plane.sqlite'}")
    else:
        with psycopg.connect(SERVER, autocommit=True) as server:
            server.execute("DROP DATABASE IF EXISTS beffroi_plane")
            server.execute("CREATE DATABASE beffroi_plane")
        place = urlsplit(SERVER)  # urlunsplit would drop the // of an address without a host
        backend = Backend(f"postgresql://{place.netloc}/beffroi_plane?{place.query}")
    backend().execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)")
    yield backend
    for one in backend.opened:
        one.close()


def names(database: Database) -> list[str]:
    return [row[0] for row in database.execute("SELECT name FROM thing ORDER BY id")]


def test_statement_outside_of_a_transaction_is_visible_to_others_at_once(backend: Backend) -> None:
    backend().execute("INSERT INTO thing (id, name) VALUES (?, ?)", (1, "50% ? é"))
    assert names(backend()) == ["50% ? é"]


def test_percent_sign_in_sql_is_literal(backend: Backend) -> None:
    one = backend()
    one.executemany("INSERT INTO thing (id, name) VALUES (?, ?)", [(1, "dec_1"), (2, "apw_1")])
    found = one.execute("SELECT name FROM thing WHERE name LIKE 'dec%' AND id = ?", (1,))
    assert [tuple(row) for row in found] == [("dec_1",)]


def test_transaction_is_all_or_nothing(backend: Backend) -> None:
    one = backend()
    with pytest.raises(ZeroDivisionError), one.transaction():
        one.execute("INSERT INTO thing (id, name) VALUES (?, ?)", (1, "lost"))
        raise ZeroDivisionError
    with one.transaction():
        one.execute("INSERT INTO thing (id, name) VALUES (?, ?)", (2, "kept"))
    assert names(backend()) == ["kept"]


def test_inner_transaction_belongs_to_the_outer_one(backend: Backend) -> None:
    one = backend()
    with pytest.raises(ZeroDivisionError), one.transaction():
        with one.transaction():
            one.execute("INSERT INTO thing (id, name) VALUES (?, ?)", (1, "inner"))
        assert one.in_transaction
        raise ZeroDivisionError
    assert names(backend()) == []
    assert not one.in_transaction


def test_uncommitted_row_is_not_seen_by_another_connection(backend: Backend) -> None:
    one, other = backend(), backend()
    with one.transaction():
        one.execute("INSERT INTO thing (id, name) VALUES (?, ?)", (1, "soon"))
        assert names(other) == []
    assert names(other) == ["soon"]


def test_calls_after_commit_run_once_and_only_if_there_was_one(backend: Backend) -> None:
    one = backend()
    calls: list[str] = []

    def call() -> None:
        assert names(one) == ["seen"]
        calls.append("done")

    with pytest.raises(ZeroDivisionError), one.transaction():
        one.on_commit(call)
        raise ZeroDivisionError
    with one.transaction():
        one.execute("INSERT INTO thing (id, name) VALUES (?, ?)", (1, "seen"))
        one.on_commit(call)
        one.on_commit(call)
    assert calls == ["done"]
    one.on_commit(call)
    assert calls == ["done", "done"]


def test_broken_rule_of_the_table_undoes_the_transaction(backend: Backend) -> None:
    one = backend()
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)), one.transaction():
        one.executemany("INSERT INTO thing (id, name) VALUES (?, ?)", [(1, "a"), (1, "b")])
    assert names(one) == []


def test_threads_share_one_connection_without_mixing_transactions(backend: Backend) -> None:
    one = backend()

    def add(number: int) -> Callable[[], None]:
        def run() -> None:
            with one.transaction():
                one.execute("INSERT INTO thing (id, name) VALUES (?, ?)", (number, "first"))
                one.execute("UPDATE thing SET name = ? WHERE id = ?", (f"n{number}", number))

        return run

    threads = [threading.Thread(target=add(number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(backend()) == [f"n{number}" for number in range(8)]


def test_writers_on_two_connections_wait_for_each_other(backend: Backend) -> None:
    backend().execute("INSERT INTO thing (id, name) VALUES (?, ?)", (1, "0"))

    def count() -> None:
        own = backend()
        for _ in range(20):
            with own.transaction():
                own.serialise_outbox()
                (row,) = own.execute("SELECT name FROM thing WHERE id = 1")
                own.execute("UPDATE thing SET name = ? WHERE id = 1", (str(int(row[0]) + 1),))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(backend()) == ["80"]


def test_time_is_read_back_as_the_same_instant(backend: Backend) -> None:
    one = backend()
    one.execute("CREATE TABLE moment (at TIMESTAMP WITH TIME ZONE)")
    instant = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
    one.execute("INSERT INTO moment (at) VALUES (?)", (instant,))
    assert Database.time(one.execute("SELECT at FROM moment")[0][0]) == instant
    assert one.execute("SELECT count(*) FROM moment WHERE at <= ?", (instant,))[0][0] == 1


def test_a_writer_waits_for_the_lock_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_lock, "WAIT_S", 0.05)
    one, two = (connect(f"sqlite:///{tmp_path / 'x.sqlite'}") for _ in range(2))
    one.execute("CREATE TABLE t (n INTEGER)")
    with one.transaction(), pytest.raises(Unavailable), two.transaction():
        pass
    holds = threading.Event()

    def hold() -> None:
        with one.transaction():
            one.execute("INSERT INTO t VALUES (1)")
            holds.set()
            time.sleep(0.3)

    monkeypatch.setattr(write_lock, "WAIT_S", 30.0)
    holder = threading.Thread(target=hold)
    holder.start()
    holds.wait(PATIENCE_S)
    with two.transaction():
        assert two.execute("SELECT n FROM t") == [(1,)]
    holder.join()
    assert two.execute("PRAGMA busy_timeout") == [(30_000,)]


def test_database_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        connect(f"sqlite:///{tmp_path / 'absent' / 'x.sqlite'}")
    with pytest.raises(Unavailable):
        connect("postgresql://nobody@127.0.0.1:1/none")


def test_other_database_address_is_refused_by_name() -> None:
    with pytest.raises(DatabaseUnknown, match="not mysql"):
        connect("mysql://x")


def test_a_thread_that_waits_to_write_comes_before_one_that_writes_again(tmp_path: Path) -> None:
    first, second = (
        sqlite3.connect(tmp_path / "one.sqlite", isolation_level=None, check_same_thread=False) for _ in "ab"
    )
    asked, order = threading.Event(), list[str]()
    second.set_trace_callback(lambda sql: asked.set() if sql == "BEGIN IMMEDIATE" else None)

    def wait() -> None:
        write_lock.begin(second)
        order.append("waited")
        second.execute("COMMIT")

    write_lock.begin(first)
    waiting = threading.Thread(target=wait)
    waiting.start()
    assert asked.wait(PATIENCE_S)
    first.execute("COMMIT")
    write_lock.begin(first)
    order.append("again")
    first.execute("COMMIT")
    waiting.join(PATIENCE_S)
    assert order == ["waited", "again"]
    first.close()
    second.close()
