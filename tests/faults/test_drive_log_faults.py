"""The log of a collectivité's metadata goes over to its file beside the writer, and stays short."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from beffroi.drive.store import schema, sqlite, tree
from beffroi.drive.store.model import Node
from beffroi.drive.store.sqlite import SqliteDatabase

from tests.drive_trees import ME, content, listing
from tests.fixtures_drive_store import in_one_file
from tests.waiting import until

PAGE_BYTES = 4096 + 24
"""Of the log: a page and its head."""


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[SqliteDatabase]:
    with in_one_file(tmp_path / "drive.sqlite") as made:
        yield made


@pytest.fixture
def home(metadata: SqliteDatabase) -> Node:
    return metadata.write(lambda writing: tree.make_root(writing, schema.COMMON, now_s=1))


def put(metadata: SqliteDatabase, home: Node, first: int, count: int) -> None:
    asked = [
        metadata.submit(lambda w, n=n: tree.put(w, ME, home.id, f"{n}", content(b"%d" % n)))
        for n in range(first, first + count)
    ]
    for one in asked:
        one.result(60)


def alone(metadata: SqliteDatabase) -> set[str]:
    """What the file holds without its log."""
    copied = metadata.path.with_name("alone.sqlite")
    shutil.copyfile(metadata.path, copied)
    with sqlite3.connect(copied) as raw:
        try:
            return {row[0] for row in raw.execute("SELECT name FROM node")}
        except sqlite3.Error:
            return set()


def test_what_was_told_goes_over_while_the_writer_does_not(metadata: SqliteDatabase, home: Node) -> None:
    put(metadata, home, 0, sqlite.CARRIED_ROWS // 2)
    until(lambda: "0" in alone(metadata), "the log was carried over")
    assert metadata.path.with_name("drive.sqlite-wal").stat().st_size < sqlite.MOST_LOG_PAGES * PAGE_BYTES


def test_few_changes_stay_in_the_log(metadata: SqliteDatabase, home: Node) -> None:
    put(metadata, home, 0, 5)
    assert "0" not in alone(metadata) and "0" in listing(metadata, home.id)


def test_a_log_under_changes_without_a_pause_stays_short(metadata: SqliteDatabase, home: Node) -> None:
    log = metadata.path.with_name("drive.sqlite-wal")

    async def writing(first: int) -> None:
        for number in range(first, first + 250):
            change = partial(
                tree.put, act=ME, parent=home.id, name=f"{number}", content=content(b"%08000d" % number)
            )
            await metadata.write_async(change, is_quick=True)

    async def written(firsts: range) -> None:
        await asyncio.gather(*map(writing, firsts))

    with metadata.reading() as reading:  # until it ends, the log cannot begin anew
        assert reading.all("SELECT id FROM node WHERE is_folder = 0") == []
        asyncio.run(written(range(0, 2500, 250)))
        assert reading.all("SELECT id FROM node WHERE is_folder = 0") == [], "its own picture"
    longest = log.stat().st_size
    assert longest > sqlite.MOST_LOG_PAGES * PAGE_BYTES
    asyncio.run(written(range(10_000, 12_500, 250)))
    assert log.stat().st_size < longest * 1.5, "it began anew"
    assert len(listing(metadata, home.id)) == 5000


def test_where_no_other_connection_can_be_opened_it_is_done_between_two_groups(
    metadata: SqliteDatabase, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object, **named: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patch:
        patch.setattr("beffroi.drive.store.sqlite.sqlite3.connect", refused)
        put(metadata, home, 0, sqlite.CARRIED_ROWS)
    assert {"0", "1"} <= alone(metadata)
    assert len(listing(metadata, home.id)) == sqlite.CARRIED_ROWS


def test_an_erased_file_is_not_made_anew(metadata: SqliteDatabase, home: Node) -> None:
    metadata.path.unlink()
    put(metadata, home, 0, sqlite.CARRIED_ROWS // 2)  # by who still holds it
    metadata.close()
    assert not metadata.path.exists()
