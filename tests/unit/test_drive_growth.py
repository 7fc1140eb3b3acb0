"""What SQLite does for one operation, in its own instructions, does not grow with what lies elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from beffroi.drive.store import look, moments, schema, tree
from beffroi.drive.store.model import Act, Node
from beffroi.drive.store.orders import Orders
from beffroi.drive.store.sqlite import Connection, SqliteDatabase
from beffroi.drive.store.writing import Writing

from tests.drive_trees import ME, NOW_S, at, content
from tests.fixtures_drive_store import in_one_file

EACH = 10
"""Instructions between two calls of the counter."""
LATER = at(NOW_S + 60)
NEXT_DAY = at(NOW_S + 61 + moments.APART_S)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    with in_one_file(tmp_path / "metadata.db") as made:
        yield made


@pytest.fixture
def common(database: SqliteDatabase) -> Node:
    return database.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))


def _folder(writing: Writing, parent: int, name: str, files: int, *, act: Act = ME) -> Node:
    made = tree.make_folder(writing, act, parent, name)
    for number in range(files):
        tree.put(writing, act, made.id, f"f{number}", content(f"{name}{number}".encode()))
    return made


def _instructions(connection: Connection, work: Callable[[], object]) -> int:
    """Of a second time: its statements are ready then."""
    counted = 0

    def one_more() -> int:
        nonlocal counted
        counted += EACH
        return 0

    work()
    connection.raw.set_progress_handler(one_more, EACH)
    try:
        work()
    finally:
        connection.raw.set_progress_handler(None, 0)
    return counted


def test_a_folder_as_it_was_costs_nothing_of_what_changed_elsewhere(
    database: SqliteDatabase, common: Node
) -> None:
    box = database.write(lambda w: _folder(w, common.id, "box", 20))
    then = database.write(lambda w: tree.make_folder(w, ME, common.id, "other"))

    def change(writing: Writing) -> None:
        files = writing.all("SELECT id, name FROM node WHERE parent = ? ORDER BY id LIMIT 3", (box.id,))
        tree.delete(writing, LATER, files[0][0])
        tree.move(writing, LATER, files[1][0], then.id, "moved")
        tree.put(writing, LATER, box.id, files[2][1], content(b"new"))

    def look_back() -> list[moments.Past]:
        with database.reading() as reading:
            moment = moments.Moment(reading, NOW_S)
            assert moment.node(box.id) is not None
            return moment.children(box.id)

    database.write(change)
    look_back()
    (reader,) = database._readers
    before = _instructions(reader, look_back)
    for number in range(8):
        database.write(lambda w, it=number: _folder(w, then.id, f"d{it}", 200, act=NEXT_DAY))
    assert len(look_back()) == 20
    with database.reading() as reading:
        assert reading.one("SELECT COUNT(*) FROM change WHERE at_s > ?", (NOW_S,)) == (8 * 201 + 3,)
    assert _instructions(reader, look_back) <= 1.1 * before


def test_a_folder_is_moved_and_renamed_without_a_look_at_its_files(
    database: SqliteDatabase, common: Node
) -> None:
    here, there = (database.write(lambda w, it=one: tree.make_folder(w, ME, common.id, it)) for one in "ab")
    writer = database._writer
    assert writer is not None

    def moves(box: Node) -> int:
        def move() -> None:
            database.write(lambda w: tree.move(w, ME, box.id, there.id, box.name))
            database.write(lambda w: tree.move(w, ME, box.id, there.id, f"{box.name}2"))
            database.write(lambda w: tree.move(w, ME, box.id, here.id, box.name))

        return _instructions(writer, move)

    def box(name: str, files: int) -> Node:
        return database.write(lambda w: _folder(w, here.id, name, files))

    small, large = box("small", 5), box("large", 2000)
    assert moves(large) <= 1.1 * moves(small)


def _calls(work: Callable[[], object]) -> int:
    """Of functions, Python's own among them."""
    counted = 0

    def one_more(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(one_more)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


def _long(writing: Writing, parent: int, entries: int) -> int:
    made = tree.make_folder(writing, ME, parent, f"of {entries}").id
    writing.run(
        "INSERT INTO node (id, parent, name, is_folder, size_bytes, mtime_s, etag, created_s, sha1, sha256, manifest,"
        " properties, folded) WITH RECURSIVE up (at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM up WHERE at < ?)"
        " SELECT ? + at, ?, 'f' || at, 0, 0, at, ? + at, 0, '', '', x'', '', 'f' || at FROM up",
        (entries, made, made, made),
    )
    for _ in range(entries):
        writing.number()
    return made


def test_a_part_of_a_long_folder_costs_the_part(database: SqliteDatabase, common: Node) -> None:
    kept, costs = Orders(), []
    for entries in (10_000, 50_000):
        folder = database.write(lambda w, it=entries: _long(w, common.id, it))

        def part(folder: int = folder, entries: int = entries) -> None:
            with database.reading() as reading:
                one = look.node(reading, folder)
                assert one is not None
                found = kept.part(reading, "col_a", one, first=entries // 2, most=200)
            assert [each.name for each in found.entries] == [f"f{entries // 2 + n}" for n in range(1, 201)]

        whole = _calls(part)
        assert whole > entries, "of the first one it is counted that names are put in order"
        (reader,) = database._readers
        costs.append((_instructions(reader, part), _calls(part)))
    (few_said, few_called), (many_said, many_called) = costs
    assert many_said <= 1.1 * few_said and many_called <= 1.1 * few_called
    assert many_called < 5000
