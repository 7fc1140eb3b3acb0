"""How deep a tree may become, and what a lock means for what moves."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.drive.store import locks, look, names, schema, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.locks import Lock
from beffroi.drive.store.model import EMPTY, Act, Locked, Node
from beffroi.drive.store.sqlite import SqliteDatabase

ME = Act("per_me", "app_1", 1_800_000_000)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with ThreadPoolExecutor(2) as pool:
        made = SqliteDatabase(tmp_path / "metadata.db", pool)
        yield made
        made.close()


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
            database.write(lambda w, do=change: do(w, ME, top.id, high.id, "top"))  # type: ignore[misc]
    assert database.write(lambda w: tree.move(w, ME, top.id, home.id, "renamed"))[0].name == "renamed"


def test_a_lock_stays_behind_when_its_file_moves_and_holds_its_folder(database: Database, home: Node) -> None:
    a, b = folder(database, home.id, "a"), folder(database, home.id, "b")
    x = database.write(lambda w: tree.put(w, ME, a.id, "x", EMPTY))[0]
    tokens = locked(database, a).token, locked(database, x).token
    for shown in (frozenset[str](), frozenset(tokens[:1]), frozenset(tokens[1:])):
        with pytest.raises(Locked):
            database.write(lambda w, t=shown: tree.move(w, replace(ME, lock_tokens=t), x.id, b.id, "x"))  # type: ignore[misc]
    database.write(lambda w: tree.move(w, replace(ME, lock_tokens=frozenset(tokens)), x.id, b.id, "x"))
    assert database.write(lambda w: tree.put(w, ME, b.id, "x", EMPTY))[0].id == x.id
    with database.reading() as reading:
        assert [one.name for one in look.children(reading, a.id)] == []
