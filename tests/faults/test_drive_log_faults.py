"""The log of a collectivité's metadata goes over to its file beside the writer, and stays short."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from beffroi.drive.store import schema, sqlite, tree
from beffroi.drive.store.model import Node
from beffroi.drive.store.sqlite import SqliteDatabase

from tests.drive_trees import ME, content, listing
from tests.waiting import until

PAGE_BYTES = 4096 + 24
"""Of the log: a page and its head."""


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[SqliteDatabase]:
    with ThreadPoolExecutor(4) as executor:
        made = SqliteDatabase(tmp_path / "drive.sqlite", executor)
        yield made
        made.close()


@pytest.fixture
def home(metadata: SqliteDatabase) -> Node:
    return metadata.write(lambda writing: tree.make_root(writing, schema.COMMON, now_s=1))


def put(metadata: SqliteDatabase, home: Node, first: int, count: int, *, size_bytes: int = 1) -> None:
    asked = [
        metadata.submit(lambda w, n=n: tree.put(w, ME, home.id, f"{n}", content(b"%0*d" % (size_bytes, n))))
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
    threads = [
        threading.Thread(target=put, args=(metadata, home, first, 1500), kwargs={"size_bytes": 8000})
        for first in (0, 10_000)
    ]
    for one in threads:
        one.start()
    longest = 0
    while any(one.is_alive() for one in threads):
        longest = max(longest, log.stat().st_size)
        threads[0].join(0.01)
        threads[1].join(0.01)
    # Two groups of MOST_GROUPED, each of some three pages a change, may be on their way when the writer looks.
    assert longest < 1.5 * sqlite.MOST_LOG_PAGES * PAGE_BYTES
    assert len(listing(metadata, home.id)) == 3000


def test_a_reader_of_the_past_keeps_the_log_and_its_picture(metadata: SqliteDatabase, home: Node) -> None:
    put(metadata, home, 0, 1)
    with metadata.reading() as reading:
        assert len(reading.all("SELECT id FROM node WHERE is_folder = 0")) == 1
        put(metadata, home, 1, 2 * sqlite.CARRIED_ROWS // 2)
        assert len(reading.all("SELECT id FROM node WHERE is_folder = 0")) == 1, "its own picture"
    put(metadata, home, 10_000, sqlite.CARRIED_ROWS // 2)
    until(lambda: "10000" in alone(metadata), "the log went over once it was gone")


def test_one_who_cannot_carry_the_log_over_hinders_nobody(
    metadata: SqliteDatabase, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(metadata, home, 0, 1)
    log = metadata.path.with_name("drive.sqlite-wal")

    def refused(*arguments: object, **named: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patch:
        patch.setattr("beffroi.drive.store.sqlite.sqlite3.connect", refused)
        put(metadata, home, 1, 3000, size_bytes=8000)
    assert log.stat().st_size > sqlite.MOST_LOG_PAGES * PAGE_BYTES / 2
    put(metadata, home, 10_000, 1)
    assert {"0", "1", "10000"} <= set(listing(metadata, home.id))
    until(lambda: "1" in alone(metadata), "the writer did it")


def test_an_erased_file_is_not_made_anew(metadata: SqliteDatabase, home: Node) -> None:
    metadata.path.unlink()
    put(metadata, home, 0, sqlite.CARRIED_ROWS // 2)  # by who still holds it
    metadata.close()
    assert not metadata.path.exists()
