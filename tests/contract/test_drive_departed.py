"""What a departure took is kept with the change that took it, for this departure alone, on every metadata."""

from __future__ import annotations

import pytest
from beffroi.drive.store import departed, shares
from beffroi.drive.store.database import Database
from beffroi.drive.store.departed import Taken
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import NEVER, Wish
from beffroi.drive.store.writing import Writing

from tests.drive_trees import ME, OTHER, folder

pytest_plugins = ["tests.fixtures_drive_store"]


def kept(metadata: Database, person_id: str, left_s: int) -> list[Taken]:
    with metadata.reading() as reading:
        return departed.of(reading, person_id, left_s=left_s)


def take(metadata: Database, person_id: str, *groups: str, left_s: int) -> None:
    metadata.write(lambda w: departed.take(w, person_id, "group", groups, left_s=left_s))


def test_each_departure_knows_what_it_took_and_the_last_one_counts(metadata: Database) -> None:
    take(metadata, ME.person_id, "grp_1", "grp_2", left_s=100)
    take(metadata, OTHER.person_id, "grp_1", left_s=100)
    take(metadata, ME.person_id, "grp_2", left_s=200)
    assert kept(metadata, ME.person_id, 100) == [Taken("group", "grp_1", 100)]
    assert kept(metadata, ME.person_id, 200) == [Taken("group", "grp_2", 200)]
    metadata.write(lambda w: departed.give_back(w, ME.person_id, left_s=200))
    with metadata.reading() as reading:
        assert departed.every(reading, ME.person_id) == [Taken("group", "grp_1", 100)]
    metadata.write(lambda w: departed.forget(w, before_s=101))
    assert kept(metadata, ME.person_id, 100) == kept(metadata, OTHER.person_id, 100) == []


def test_what_a_change_that_fails_took_is_not_written_down(metadata: Database) -> None:
    def fails(writing: Writing) -> None:
        departed.take(writing, ME.person_id, "share", ["shr_1"], left_s=100)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        metadata.write(fails)
    assert kept(metadata, ME.person_id, 100) == []


def test_a_share_that_ended_is_open_again_as_it_was(metadata: Database, home: Node) -> None:
    node = folder(metadata, home.id, "Plans")
    wish = Wish("person", OTHER.person_id, "write")
    made, _ = metadata.write(lambda w: shares.make(w, ME, node.id, wish))
    assert metadata.write(lambda w: shares.end(w, made.id, now_s=ME.now_s))
    metadata.write(lambda w: shares.reopen(w, made.id))
    with metadata.reading() as reading:
        assert shares.find(reading, made.id) == made and made.ended_s == NEVER
        assert shares.every(reading) == [made]
