"""How deep a tree may become, how much one change or person takes, and what a lock means for what moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.drive.store import locks, look, names, schema, tree, uploads
from beffroi.drive.store.database import Database
from beffroi.drive.store.locks import Lock
from beffroi.drive.store.model import EMPTY, Act, CopyTooLarge, Locked, Node, QuotaFull

from tests.drive_trees import content
from tests.fixtures_drive_store import in_one_file

ME = Act("per_me", "app_1", 1_800_000_000)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with in_one_file(tmp_path / "metadata.db") as made:
        yield made


@pytest.fixture
def home(database: Database) -> Node:
    return database.write(lambda w: tree.make_root(w, schema.HOME + "per_me", now_s=ME.now_s))


def folder(database: Database, parent: int, name: str) -> Node:
    return database.write(lambda w: tree.make_folder(w, ME, parent, name))


def locked(database: Database, node: Node) -> Lock:
    return database.write(
        lambda w: locks.lock(w, ME, node.id, deep=False, shared=False, owner="", timeout_s=60)
    )


def test_nothing_is_moved_or_copied_deeper_than_a_path_can_be(database: Database, home: Node) -> None:
    top = deep = folder(database, home.id, "top")
    for _ in range(names.MAX_DEPTH - 2):
        deep = folder(database, deep.id, "d")
    database.write(lambda w: tree.put(w, ME, deep.id, "x", EMPTY))
    high = folder(database, home.id, "high")
    for change in (tree.move, tree.copy):
        with pytest.raises(names.TooDeep):
            database.write(lambda w, do=change: do(w, ME, top.id, high.id, "top"))
    assert database.write(lambda w: tree.move(w, ME, top.id, home.id, "renamed"))[0].name == "renamed"


def test_a_lock_stays_behind_when_its_file_moves_and_holds_its_folder(database: Database, home: Node) -> None:
    a, b = folder(database, home.id, "a"), folder(database, home.id, "b")
    x = database.write(lambda w: tree.put(w, ME, a.id, "x", EMPTY))[0]
    tokens = locked(database, a).token, locked(database, x).token
    for shown in (frozenset[str](), frozenset(tokens[:1]), frozenset(tokens[1:])):
        with pytest.raises(Locked):
            database.write(lambda w, t=shown: tree.move(w, replace(ME, lock_tokens=t), x.id, b.id, "x"))
    database.write(lambda w: tree.move(w, replace(ME, lock_tokens=frozenset(tokens)), x.id, b.id, "x"))
    assert database.write(lambda w: tree.put(w, ME, b.id, "x", EMPTY))[0].id == x.id
    with database.reading() as reading:
        assert [one.name for one in look.children(reading, a.id)] == []


def test_a_copy_has_an_end(database: Database, home: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty files take no room, and a copy of copies doubles them."""
    monkeypatch.setattr(tree, "MOST_COPIED", 3)
    top = folder(database, home.id, "top")
    for name in ("a", "b"):
        database.write(lambda w, n=name: tree.put(w, ME, top.id, n, EMPTY))
    assert database.write(lambda w: tree.copy(w, ME, top.id, home.id, "three"))[1]
    database.write(lambda w: tree.put(w, ME, top.id, "c", EMPTY))
    with pytest.raises(CopyTooLarge):
        database.write(lambda w: tree.copy(w, ME, top.id, home.id, "four"))
    assert database.write(lambda w: tree.copy(w, ME, top.id, home.id, "alone", deep=False))[1]
    with database.reading() as reading:
        assert {one.name for one in look.children(reading, home.id)} == {"top", "three", "alone"}


def test_a_person_has_so_many_locks(database: Database, home: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "MOST_OF_A_PERSON", 2)
    first, second, third = (folder(database, home.id, name) for name in "abc")
    token = locked(database, first).token
    locked(database, second)
    with pytest.raises(locks.TooManyLocks):
        locked(database, third)
    assert database.write(lambda w: locks.unlock(w, ME, first.id, token))
    assert locked(database, third).node == third.id


def test_a_person_has_so_many_uploads_under_way(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_OF_A_PERSON", 2)
    for name in "ab":
        database.write(lambda w, n=name: uploads.begin(w, ME, n))
    with pytest.raises(uploads.TooManyUploads):
        database.write(lambda w: uploads.begin(w, ME, "c"))
    database.write(lambda w: uploads.begin(w, replace(ME, person_id="per_other"), "c"))
    database.write(lambda w: uploads.abort(w, ME, "a"))
    database.write(lambda w: uploads.begin(w, ME, "c"))


def test_parts_that_nobody_joins_do_not_fill_the_disk(database: Database) -> None:
    database.write(lambda w: tree.set_limit(w, 0, 10))
    database.write(lambda w: uploads.begin(w, ME, "u"))
    database.write(lambda w: uploads.put_part(w, ME, "u", 1, content(b"x" * 8)))
    with pytest.raises(QuotaFull):
        database.write(lambda w: uploads.put_part(w, ME, "u", 2, content(b"y" * 3)))
    database.write(lambda w: uploads.put_part(w, ME, "u", 1, content(b"z" * 10)))
    with database.reading() as reading:
        assert [one.size_bytes for one in uploads.parts(reading, ME.person_id, "u")] == [10]
