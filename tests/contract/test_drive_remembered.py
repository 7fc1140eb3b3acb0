"""What a change remembers of its look-ups is what the database would say."""

from __future__ import annotations

from typing import LiteralString

import pytest
from beffroi.drive.store import tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.drive.store.writing import Writing

from tests.drive_trees import ME, content

pytest_plugins = ["tests.fixtures_drive_store"]
QUESTIONS: tuple[LiteralString, ...] = (
    "SELECT id FROM node WHERE parent = ? AND folded = 'b.txt'",
    "SELECT id FROM node WHERE parent = ? AND folded = 'a.txt'",
    "SELECT size_bytes FROM node WHERE parent = ? AND folded = 'a.txt'",
    "SELECT COUNT(*) FROM node WHERE parent = ?",
    "SELECT SUM(size_bytes) FROM node WHERE parent = ?",
    "SELECT name FROM node WHERE parent = ? ORDER BY name DESC LIMIT 1",
    "SELECT 1 FROM node WHERE parent = ? AND folded = 'a.txt' AND id NOT IN (SELECT node FROM trash)",
    "SELECT n.id FROM node n JOIN change c ON c.node = n.id WHERE n.parent = ? AND n.folded = 'b.txt'",
)


def test_after_each_change_the_same_question_has_the_answer_of_the_database(
    metadata: Database, home: Node
) -> None:
    def ask(writing: Writing) -> None:
        for sql in QUESTIONS:
            assert writing.one(sql, (home.id,)) == writing._session.one(sql, (home.id,)), sql

    def change(writing: Writing) -> None:
        ask(writing)
        one = tree.put(writing, ME, home.id, "a.txt", content(b"one"))[0]
        ask(writing)
        tree.put(writing, ME, home.id, "b.txt", content(b"two"))
        ask(writing)
        tree.put(writing, ME, home.id, "a.txt", content(b"three"))
        ask(writing)
        tree.move(writing, ME, one.id, home.id, "c.txt")
        ask(writing)
        tree.delete(writing, ME, one.id)
        ask(writing)

    metadata.write(change)


def test_what_one_change_looked_up_and_lost_is_looked_up_again(metadata: Database, home: Node) -> None:
    def fails(writing: Writing) -> None:
        tree.put(writing, ME, home.id, "a.txt", content(b"one"))
        assert writing.one(QUESTIONS[1], (home.id,)) is not None
        raise ValueError

    with pytest.raises(ValueError):
        metadata.write(fails)
    assert metadata.write(lambda w: w.one(QUESTIONS[1], (home.id,))) is None


def test_a_folder_is_looked_up_once_for_all_files_of_a_group(metadata: Database, home: Node) -> None:
    asked: list[str] = []

    def change(writing: Writing) -> None:
        session = writing._on
        counted = session.one

        def count(sql: LiteralString, parameters: tuple[object, ...] = ()) -> object:
            asked.append(sql)
            return counted(sql, parameters)

        session.one = count
        try:
            for number in range(20):
                tree.put(writing, ME, home.id, f"{number}.txt", content(b"%d" % number))
        finally:
            session.one = counted

    metadata.write(change)
    assert sum("WHERE id = ?" in sql for sql in asked) <= 3
