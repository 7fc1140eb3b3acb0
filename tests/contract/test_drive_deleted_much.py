"""Many deletions by one person within a while are one, whatever else is deleted; few, or slow ones, are none."""

from __future__ import annotations

import pytest
from beffroi.drive.store import schema, trash, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.drive.store.trash import MUCH, PAUSE_S, Much

from tests.drive_trees import ME, NOW_S, OTHER, Open, at, folder, put

pytest_plugins = ["tests.fixtures_drive_store"]


def delete(database: Database, node: Node, now_s: int, by: str = "me") -> None:
    act = at(now_s, ME if by == "me" else OTHER)
    database.write(lambda w: tree.delete(w, act, node.id))


def found(database: Database, home: Node, since_s: int = NOW_S) -> list[Much]:
    with database.reading() as reading:
        return trash.much(reading, home.id, since_s=since_s)


def home_of(database: Database, files: int) -> tuple[Node, list[Node]]:
    home = database.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))
    return home, [put(database, home.id, f"{number}.txt", b"x") for number in range(files)]


def test_many_within_a_while_are_one_beside_what_a_colleague_deletes(opens: Open) -> None:
    database = opens()
    home, files = home_of(database, MUCH + 1)
    for number, one in enumerate(files[:MUCH]):
        assert found(database, home) == []
        delete(database, one, NOW_S + 3 * number)
    delete(database, files[MUCH], NOW_S + 50, "other")
    whole = Much(ME.person_id, NOW_S, NOW_S + 3 * (MUCH - 1))
    assert found(database, home) == [whole]
    assert found(database, home, NOW_S + 4) == [], "too few since then"
    database.write(lambda w: trash.restore(w, ME, home.id, files[0].id))
    assert found(database, home) == [], "one is back"


def test_a_pause_begins_another_time(opens: Open) -> None:
    database = opens()
    home, files = home_of(database, MUCH)
    for number, one in enumerate(files):
        delete(database, one, NOW_S + (2 * PAUSE_S if number >= MUCH // 2 else 0))
    assert found(database, home) == []


@pytest.mark.parametrize("count", [MUCH - 1, MUCH])
@pytest.mark.parametrize("versions", [1, 2])
def test_a_folder_counts_with_what_is_in_it_and_without_versions(
    opens: Open, count: int, versions: int
) -> None:
    """``count``: with the two folders."""
    database = opens()
    home, files = home_of(database, 2)
    outer = folder(database, home.id, "2026")
    inner = folder(database, outer.id, "janvier")
    for number in range(count - 4):
        for version in range(versions):
            put(database, inner.id, f"{number}.txt", b"x" * (version + 1))
    for one in (*files, outer):
        delete(database, one, NOW_S)
    assert [one.person_id for one in found(database, home)] == ([ME.person_id] if count == MUCH else [])
