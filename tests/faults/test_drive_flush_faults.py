"""Commits that are on their way to the disk: told when they are there, all together; a disk that fails to flush."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from beffroi.drive.store import schema, tree
from beffroi.drive.store.model import Node, StoreFull
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.drive.store.writing import Writing
from beffroi.lib.errors import BeffroiError, Unavailable

from tests.drive_trees import ME, content, listing
from tests.waiting import PATIENCE_S, until


class Disk:
    """Stands before the disk: flushes wait while it is held, and fail as told."""

    def __init__(self) -> None:
        self.flushes, self.errors = 0, list[int]()
        self.free = threading.Event()
        self.free.set()
        self._flush = os.fdatasync

    def fdatasync(self, descriptor: int) -> None:
        self.flushes += 1
        assert self.free.wait(PATIENCE_S)
        if self.errors:
            raise OSError(self.errors.pop(0), "told by the test")
        self._flush(descriptor)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(os, "fdatasync", made.fdatasync)
    return made


@pytest.fixture
def metadata(tmp_path: Path, disk: Disk) -> Iterator[SqliteDatabase]:
    with ThreadPoolExecutor(8) as executor:
        made = SqliteDatabase(tmp_path / "drive.sqlite", executor)
        try:
            yield made
        finally:
            disk.free.set()
            made.close()


@pytest.fixture
def home(metadata: SqliteDatabase) -> Node:
    return metadata.write(lambda writing: tree.make_root(writing, schema.COMMON, now_s=1))


def putting(parent: int, name: str) -> Callable[[Writing], object]:
    return lambda writing: tree.put(writing, ME, parent, name, content(b"1"))


def committed(metadata: SqliteDatabase, home: Node, name: str) -> Future[object]:
    """A file that all see, and whose flush may still be under way."""
    asked = metadata.submit(putting(home.id, name))
    until(lambda: name in listing(metadata, home.id), f"{name} is committed")
    return asked


def test_the_next_group_is_made_while_one_waits_and_one_flush_serves_all(
    metadata: SqliteDatabase, home: Node, disk: Disk
) -> None:
    disk.free.clear()
    before = disk.flushes
    asked = [committed(metadata, home, name) for name in ("a", "b", "c", "d")]
    assert not any(one.done() for one in asked), "committed, and not told: it is not on the disk"
    assert metadata.rest() is None, "somebody waits for the disk"
    disk.free.set()
    for one in asked:
        one.result(30)
    assert disk.flushes - before == 2, "the first one, and one for all that came meanwhile"


@pytest.mark.parametrize(("number", "error"), [(errno.EIO, Unavailable), (errno.ENOSPC, StoreFull)])
def test_what_a_failed_flush_leaves_is_carried_over_before_anything_is_added(
    metadata: SqliteDatabase, home: Node, disk: Disk, number: int, error: type[BeffroiError]
) -> None:
    metadata.write(putting(home.id, "before"))
    disk.errors.append(number)
    with pytest.raises(error):
        metadata.write(putting(home.id, "unsure"))
    log = metadata.path.with_name("drive.sqlite-wal")
    held = log.stat().st_size
    metadata.write(putting(home.id, "after"))
    assert log.stat().st_size < held, "it began anew"
    assert {"before", "after"} <= set(listing(metadata, home.id))
    # What the file alone holds is what was committed before the log began anew.
    alone = metadata.path.with_name("alone.sqlite")
    alone.write_bytes(metadata.path.read_bytes())
    names = {row[0] for row in sqlite3.connect(alone).execute("SELECT name FROM node")}
    assert {"before", "unsure"} <= names and "after" not in names


def test_who_waits_behind_a_failed_flush_is_not_told_that_it_worked(
    metadata: SqliteDatabase, home: Node, disk: Disk
) -> None:
    """The kernel says once that it could not write; the next flush of the same pages succeeds and means nothing."""
    disk.free.clear()
    disk.errors.append(errno.EIO)
    asked = [committed(metadata, home, name) for name in ("a", "b")]
    disk.free.set()
    for one in asked:
        with pytest.raises(Unavailable):
            one.result(30)
    metadata.write(putting(home.id, "c"))
    assert {"a", "b", "c"} == set(listing(metadata, home.id))


def test_while_somebody_reads_the_old_log_nothing_is_added_to_it(
    metadata: SqliteDatabase, home: Node, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beffroi.drive.store.sqlite.BUSY_S", 0.2)
    metadata.close()  # opened anew, it waits as long as that
    metadata.write(putting(home.id, "before"))
    disk.errors.append(errno.EIO)
    with pytest.raises(Unavailable):
        metadata.write(putting(home.id, "unsure"))
    with metadata.reading() as reading:
        reading.one("SELECT 1 FROM node")
        with pytest.raises(Unavailable):
            metadata.write(putting(home.id, "refused"))
    metadata.write(putting(home.id, "after"))
    assert set(listing(metadata, home.id)) == {"before", "unsure", "after"}


def test_closing_leaves_nothing_in_the_air(metadata: SqliteDatabase, home: Node, disk: Disk) -> None:
    disk.free.clear()
    asked = committed(metadata, home, "a")
    closing = threading.Thread(target=metadata.close)
    closing.start()
    disk.free.set()
    closing.join(PATIENCE_S)
    asked.result(30)
    assert "a" in listing(metadata, home.id)
