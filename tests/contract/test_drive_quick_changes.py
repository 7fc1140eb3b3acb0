"""Quick changes that an event loop asks for: made there or in a thread, whole, on the disk, never in the way."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from beffroi.drive.store import locks, schema, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node, StoreFull
from beffroi.drive.store.sqlite import Connection, SqliteDatabase
from beffroi.drive.store.writing import Writing
from beffroi.lib.errors import Unavailable

from tests.drive_trees import ME, content, folder, listing, put, seen
from tests.fixtures_drive_store import in_one_file
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_drive_store"]


def putting(parent: int, name: str, data: bytes = b"1") -> Callable[[Writing], tuple[Node, bool]]:
    return lambda writing: tree.put(writing, ME, parent, name, content(data))


def run[T](what: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(what(), 30)

    return asyncio.run(bounded())


def test_quick_and_slow_changes_of_one_moment_are_made_in_their_order(metadata: Database, home: Node) -> None:
    order: list[int] = []

    def noting(number: int) -> Callable[[Writing], int]:
        def change(writing: Writing) -> int:
            tree.put(writing, ME, home.id, f"f{number}", content(b"%d" % number))
            order.append(number)
            return number

        return change

    async def main() -> list[int]:
        asked = [metadata.write_async(noting(n), is_quick=n % 3 != 0) for n in range(30)]
        return list(await asyncio.gather(*asked))

    assert run(main) == order == list(range(30))
    assert len(listing(metadata, home.id)) == 30


def test_a_quick_change_that_fails_leaves_nothing_and_takes_no_other_along(
    metadata: Database, home: Node
) -> None:
    def broken(writing: Writing) -> None:
        tree.put(writing, ME, home.id, "broken", content(b"1"))
        raise ZeroDivisionError

    async def main() -> list[object]:
        changes = (putting(home.id, "a"), broken, putting(home.id, "b"))
        asked = [metadata.write_async(one, is_quick=True) for one in changes]
        return list(await asyncio.gather(*asked, return_exceptions=True))

    first, second, third = run(main)
    assert isinstance(first, tuple) and isinstance(third, tuple)
    assert isinstance(second, ZeroDivisionError)
    assert listing(metadata, home.id) == {"a": 1, "b": 1}


def test_an_event_loop_that_waits_for_a_thread_does_not_wait_for_itself(
    metadata: Database, home: Node
) -> None:
    """A look-up that makes a folder writes while the loop waits: a quick change was asked for, or is at work."""

    async def main() -> None:
        quick = [asyncio.create_task(metadata.write_async(putting(home.id, "a"), is_quick=True))]
        await asyncio.sleep(0)  # it is asked for, and not begun
        assert metadata.write(putting(home.id, "b"))[1]
        for n in range(20):
            quick.append(asyncio.create_task(metadata.write_async(putting(home.id, f"q{n}"), is_quick=True)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # begun, perhaps: its commit is a thread's
            assert metadata.write(putting(home.id, f"s{n}"))[1]
        await asyncio.gather(*quick)

    run(main)
    assert len(listing(metadata, home.id)) == 42


def test_who_is_gone_before_a_quick_change_is_made_wants_none(metadata: Database, home: Node) -> None:
    async def main() -> None:
        given_up = asyncio.create_task(metadata.write_async(putting(home.id, "given up"), is_quick=True))
        kept = asyncio.create_task(metadata.write_async(putting(home.id, "kept"), is_quick=True))
        await asyncio.sleep(0)
        given_up.cancel()
        await kept
        assert given_up.cancelled()

    run(main)
    assert listing(metadata, home.id) == {"kept": 1}


def test_a_loop_that_ended_keeps_no_later_one_waiting(metadata: Database, home: Node) -> None:
    loop = asyncio.new_event_loop()
    left: list[asyncio.Future[object]] = []

    async def leaving() -> None:
        left.append(asyncio.ensure_future(metadata.write_async(putting(home.id, "a"), is_quick=True)))
        await asyncio.sleep(0)

    loop.run_until_complete(leaving())
    loop.close()
    assert run(lambda: metadata.write_async(putting(home.id, "b"), is_quick=True))[1]
    assert run(lambda: metadata.write_async(putting(home.id, "c"), is_quick=True))[1]
    assert {"b", "c"} <= set(listing(metadata, home.id))
    assert len(left) == 1  # a task that nobody holds would be ended


def test_changes_of_threads_and_loops_at_once_are_all_kept(metadata: Database, home: Node) -> None:
    places = [folder(metadata, home.id, f"d{n}") for n in range(4)]

    async def many(place: Node) -> None:
        asked = (metadata.write_async(putting(place.id, f"f{n}"), is_quick=True) for n in range(100))
        await asyncio.gather(*asked)

    def blocking(place: Node) -> None:
        for n in range(100):
            metadata.write(putting(place.id, f"f{n}"))

    threads = [threading.Thread(target=run, args=(lambda one=one: many(one),)) for one in places[:2]]
    threads += [threading.Thread(target=blocking, args=(one,)) for one in places[2:]]
    for one in threads:
        one.start()
    for one in threads:
        one.join(120)
    assert seen(metadata, home.id).size_bytes == 400
    closing = metadata.rest()
    assert closing is not None, "nothing is at work"
    closing()


# -- in one file ---------------------------------------------------------------------------------------------


@pytest.fixture
def in_a_file(tmp_path: Path) -> Iterator[SqliteDatabase]:
    with in_one_file(tmp_path / "in_a_file.db") as made:
        yield made


@pytest.fixture
def top(in_a_file: SqliteDatabase) -> Node:
    return in_a_file.write(lambda writing: tree.make_root(writing, schema.COMMON, now_s=ME.now_s))


def test_changes_that_come_while_others_go_to_the_disk_are_gathered_and_one_alone_waits_for_nobody(
    in_a_file: SqliteDatabase, top: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which group a change was made in, its ``Writing`` tells."""
    made: list[list[int]] = []
    groups: list[Writing] = []
    flushes = threading.Event()
    flush = Connection.flush

    def held(connection: Connection) -> None:
        assert flushes.wait(PATIENCE_S)
        flush(connection)

    def noting(number: int) -> Callable[[Writing], None]:
        def change(writing: Writing) -> None:
            tree.put(writing, ME, top.id, f"f{number}", content(b"1"))
            if not made or groups[-1] is not writing:
                groups.append(writing)
                made.append([])
            made[-1].append(number)

        return change

    def ask(number: int) -> asyncio.Task[None]:
        return asyncio.create_task(in_a_file.write_async(noting(number), is_quick=True))

    async def turn() -> None:
        await asyncio.sleep(0)  # one turn of the loop: what is ready runs

    async def main() -> None:
        alone = ask(0)
        await turn()  # it asks
        await turn()
        assert made == [[0]], "one alone is made at once"
        later = []
        for number in range(1, 5):
            later.append(ask(number))
            await turn()
        assert made == [[0]], "while it goes to the disk, the others gather"
        flushes.set()
        await asyncio.gather(alone, *later)

    monkeypatch.setattr(Connection, "flush", held)
    run(main)
    assert made == [[0], [1, 2, 3, 4]]


def test_a_quick_change_is_committed_in_the_loop_and_a_thread_waits_for_the_disk(
    in_a_file: SqliteDatabase, top: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, threading.Thread] = {}
    commit, flush = Connection.commit, Connection.flush

    def committing(connection: Connection) -> None:
        seen["commit"] = threading.current_thread()
        commit(connection)

    def flushing(connection: Connection) -> None:
        seen["flush"] = threading.current_thread()
        flush(connection)

    monkeypatch.setattr(Connection, "commit", committing)
    monkeypatch.setattr(Connection, "flush", flushing)

    def change(writing: Writing) -> None:
        seen["change"] = threading.current_thread()
        tree.put(writing, ME, top.id, "x", content(b"1"))

    run(lambda: in_a_file.write_async(change, is_quick=True))
    assert seen["change"] is seen["commit"] is threading.current_thread() is not seen["flush"]
    assert listing(in_a_file, top.id) == {"x": 1}


def test_while_another_process_writes_the_loop_goes_on(
    in_a_file: SqliteDatabase, top: Node, tmp_path: Path
) -> None:
    path = in_a_file.path
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def main() -> int:
        waiting = asyncio.create_task(in_a_file.write_async(putting(top.id, "x"), is_quick=True))
        turns = 0
        while turns < 50:  # a loop that waited for the lock would wait for itself: nobody else gives it back
            await asyncio.sleep(0.002)
            turns += 1
        assert not waiting.done()
        other.execute("ROLLBACK")
        assert (await waiting)[1]
        return turns

    assert run(main) == 50
    other.close()
    assert listing(in_a_file, top.id) == {"x": 1}


def test_a_commit_that_fails_is_told_to_all_of_the_group_and_leaves_nothing(
    in_a_file: SqliteDatabase, top: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = put(in_a_file, top.id, "before", b"1")
    commit, fails = Connection.commit, [True]

    def broken(connection: Connection) -> None:
        if fails:
            fails.pop()
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorname = "SQLITE_FULL"
            raise error
        commit(connection)

    monkeypatch.setattr(Connection, "commit", broken)

    async def main() -> list[object]:
        asked = [in_a_file.write_async(putting(top.id, name), is_quick=True) for name in "ab"]
        return list(await asyncio.gather(*asked, return_exceptions=True))

    assert [type(one) for one in run(main)] == [StoreFull, StoreFull]
    assert listing(in_a_file, top.id) == {"before": 1}
    assert run(lambda: in_a_file.write_async(putting(top.id, "c"), is_quick=True))[1]
    in_a_file.write(lambda w: locks.release(w, before.id))


def test_a_database_that_cannot_be_opened_is_told(
    in_a_file: SqliteDatabase, top: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> Connection:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(in_a_file, "_session", lost)
    with pytest.raises(Unavailable):
        run(lambda: in_a_file.write_async(putting(top.id, "x"), is_quick=True))
