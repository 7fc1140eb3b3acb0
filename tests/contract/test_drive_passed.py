"""Calendars that go with a handover: planned with it, counted, and asked room for, on every metadata."""

from __future__ import annotations

import pytest
from beffroi.drive.store import handed, handovers, passed, room, schema, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.handovers import Handover
from beffroi.drive.store.model import AbsentNode, Node, QuotaFull
from beffroi.drive.store.passed import Going

from tests.drive_trees import ME, NOW_S, OTHER, at, listing, put

pytest_plugins = ["tests.fixtures_drive_store"]
REFERENT = at(NOW_S + 60, OTHER)
HEIR = "per_heir"
GOING = [
    Going("agenda", "agenda", "Agenda de Jeanne", 3, 30),
    Going("contacts", "contacts", "Contacts", 2, 20),
]


@pytest.fixture
def theirs(metadata: Database) -> Node:
    return metadata.write(lambda w: tree.make_root(w, schema.HOME + HEIR, now_s=NOW_S))


def begin(metadata: Database, going: list[Going]) -> Handover:
    with metadata.reading() as reading:
        there = handed.left(reading, ME.person_id)
    return metadata.write(
        lambda w: handovers.begin(
            w, REFERENT, there, person_id=ME.person_id, heir=HEIR, label="Fichiers", going=going
        )
    )


def rows(metadata: Database, one: Handover) -> list[passed.Passed]:
    with metadata.reading() as reading:
        return passed.of(reading, one.id)


def test_calendars_alone_make_no_folder_and_end_without_a_file(metadata: Database, theirs: Node) -> None:
    with pytest.raises(AbsentNode):
        begin(metadata, [])
    made = begin(metadata, GOING)
    assert made.folder == 0 and listing(metadata, theirs.id) == {}
    planned = rows(metadata, made)
    assert [(one.was, one.kind, one.state, one.entries) for one in planned] == [
        ("agenda", "agenda", "due", 3),
        ("contacts", "contacts", "due", 2),
    ]
    assert len({one.made for one in planned}) == 2
    assert not metadata.write(lambda w: handovers.step(w, REFERENT, made.id))
    assert metadata.write(lambda w: handovers.begin_return(w, ME.person_id, since_s=NOW_S))
    assert not metadata.write(lambda w: handovers.return_step(w, REFERENT, made.id))
    with metadata.reading() as reading:
        assert handovers.find(reading, made.id).state == "returned"


def test_what_was_moved_is_counted_and_then_what_came_back(metadata: Database, theirs: Node) -> None:
    made = begin(metadata, GOING)
    dates, people = rows(metadata, made)

    def counts() -> dict[str, int]:
        with metadata.reading() as reading:
            return passed.counts(reading, made.id)

    assert counts() == {"agenda": 0, "contacts": 0}
    metadata.write(lambda w: passed.settle(w, dates._replace(state="done", entries=4)))
    metadata.write(lambda w: passed.settle(w, people._replace(state="done")))
    assert counts() == {"agenda": 4, "contacts": 2}
    metadata.write(lambda w: passed.settle(w, dates._replace(state="back", entries=4, back=1)))
    assert counts() == {"agenda": 1, "contacts": 2}
    with metadata.reading() as reading:
        assert passed.counts(reading, "hov_none") == {}


def test_files_and_calendars_together_must_find_room(metadata: Database, home: Node, theirs: Node) -> None:
    put(metadata, home.id, "a.txt", b"12345")
    metadata.write(lambda w: tree.set_limit(w, theirs.id, 64))
    metadata.write(lambda w: room.add_calendars(w, HEIR, 10))
    with pytest.raises(QuotaFull):
        begin(metadata, GOING)  # 10 there, 5 and 50 to come
    assert listing(metadata, theirs.id) == {}
    with metadata.reading() as reading:
        assert handovers.of_person(reading, ME.person_id) == []
        passed.require_room(reading, HEIR, 54)
        with pytest.raises(QuotaFull):
            passed.require_room(reading, HEIR, 55)
        passed.require_room(reading, "per_without", 10**9)
    metadata.write(lambda w: tree.set_limit(w, theirs.id, 65))
    assert begin(metadata, GOING).files == 1
