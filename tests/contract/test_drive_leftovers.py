"""Rows that outlive what they name are tidied away in portions, and no others."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.drive.store import leftovers, mounts, received, schema, seen, shares, tags, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.leftovers import tidy
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import Share, Wish
from beffroi.drive.who import Who

from tests.drive_server import A, B
from tests.drive_trees import ME, NOW_S, folder, put

pytest_plugins = ["tests.fixtures_drive_store"]
WHO = Who(ME.person_id, "mem_me", A, "agent", "me", "Me", "")
MEMBERS = {ME.person_id, "per_new"}


def rows(metadata: Database, table: str) -> list[tuple[Any, ...]]:
    with metadata.reading() as reading:
        return sorted(reading.all(f"SELECT * FROM {table}"))


def shared(metadata: Database, node: Node) -> Share:
    return metadata.write(lambda w: shares.make(w, ME, node.id, Wish("role", "agent", "read")))[0]


@pytest.fixture
def left(metadata: Database) -> None:
    """Somebody who left, and may come back: no member, but their folder is here."""
    metadata.write(lambda w: tree.make_root(w, schema.HOME + "per_left", now_s=NOW_S))


@pytest.mark.parametrize("most", [1, 2, 500])
def test_labels_on_what_is_destroyed_go(metadata: Database, home: Node, most: int) -> None:
    made = [
        metadata.write(lambda w, name=name: tags.make(w, ME, name, visible=True, assignable=True))
        for name in ("un", "deux")
    ]
    kept = put(metadata, home.id, "x", b"1")
    for one in made:
        metadata.write(lambda w, tag=one.id: tags.assign(w, WHO, kept.id, tag))
    alive = [(kept.id, one.id) for one in made]
    over = [(kept.id, made[1].id + 9), (kept.id + 900, made[0].id), (1, made[0].id + 9)]
    metadata.write(lambda w: w.many("INSERT INTO tagged (node, tag) VALUES (?, ?)", over))
    tidy(metadata, MEMBERS, most=most)
    assert rows(metadata, "tagged") == sorted(alive)


@pytest.mark.parametrize("most", [1, 500])
def test_names_of_shares_go_with_the_share_and_with_the_person(
    metadata: Database, home: Node, left: None, most: int
) -> None:
    mine, theirs = shared(metadata, folder(metadata, home.id, "Plans")), "shr_elsewhere"
    metadata.write(lambda w: received.offer(w, theirs, "Voirie", owner=B, now_s=NOW_S))
    for share_id in (mine.id, theirs, "shr_gone", "shr_also_gone"):
        for person_id in (*MEMBERS, "per_left", "per_nobody"):
            metadata.write(lambda w, s=share_id, p=person_id: mounts.rename(w, s, p, "A"))
    tidy(metadata, MEMBERS, most=most)
    people = (*MEMBERS, "per_left")
    kept = [(share_id, person_id) for share_id in (mine.id, theirs) for person_id in people]
    assert [row[:2] for row in rows(metadata, "mount")] == sorted(kept)


@pytest.mark.parametrize("most", [1, 3, 500])
def test_when_somebody_looked_goes_with_the_person(metadata: Database, left: None, most: int) -> None:
    for person_id in (*MEMBERS, "per_left", "per_nobody", "per_a", "per_z"):
        metadata.write(lambda w, p=person_id: seen.look(w, p, now_s=NOW_S))
    tidy(metadata, MEMBERS, most=most)
    assert [row[0] for row in rows(metadata, "looked")] == sorted((*MEMBERS, "per_left"))


def test_where_nothing_is_over_nothing_is_written(
    metadata: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for person_id in MEMBERS:
        metadata.write(lambda w, p=person_id: seen.look(w, p, now_s=NOW_S))
    told: list[int] = []
    monkeypatch.setattr(metadata, "write", lambda change: told.append(1))
    leftovers.tidy(metadata, MEMBERS)
    assert not told
