"""Parts of a long folder, as pages deliver them: in order, each entry once, whoever writes meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import LiteralString

import pytest
from beffroi.drive.store import listing, look, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.listing import Entry
from beffroi.drive.store.model import EMPTY, Node
from beffroi.drive.store.orders import Orders, Part
from beffroi.drive.store.writing import Reading, Row

from tests.drive_trees import ME, OTHER, at, put, seen

pytest_plugins = ["tests.fixtures_drive_store"]
FILES, MOST = 23, 5
OWNER = "col_a"


@pytest.fixture
def folder(metadata: Database, home: Node) -> Node:
    made = metadata.write(lambda w: tree.make_folder(w, ME, home.id, "long"))
    for number in range(FILES):
        metadata.write(lambda w, it=number: tree.put(w, ME, made.id, f"f{it * 7 % FILES}", EMPTY, mtime_s=it))
    return seen(metadata, made.id)


def part(metadata: Database, kept: Orders, folder: Node, first: int, *, etag: int = 0, **how: bool) -> Part:
    with metadata.reading() as reading:
        now = look.node(reading, folder.id)
        assert now is not None
        return kept.part(reading, OWNER, now, first=first, most=MOST, etag=etag, **how)


@pytest.mark.parametrize("newest_first", [False, True])
def test_parts_together_are_the_folder_in_its_order(
    metadata: Database, folder: Node, newest_first: bool
) -> None:
    kept = Orders()
    for _ in range(2):
        parts = [
            part(metadata, kept, folder, first, newest_first=newest_first)
            for first in range(0, FILES + MOST, MOST)
        ]
        with metadata.reading() as reading:
            whole = listing.folder(reading, folder.id, newest_first=newest_first)
        assert list(itertools.chain.from_iterable(one.entries for one in parts)) == whole
        assert {(one.total, one.etag) for one in parts} == {(FILES, folder.etag)}


def test_an_order_is_made_once_for_a_state_of_the_folder(
    metadata: Database, folder: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, truly = list[int](), listing.folder
    monkeypatch.setattr(
        listing, "folder", lambda *given, **how: made.append(given[1]) or truly(*given, **how)
    )
    kept = Orders()
    for first in (0, 5, 10, 0):
        part(metadata, kept, folder, first)
    assert made == [folder.id]
    part(metadata, kept, folder, 0, newest_first=True)
    assert made == [folder.id] * 2
    metadata.write(lambda w: tree.put(w, ME, folder.id, "f1", EMPTY))
    part(metadata, kept, folder, 0)
    assert made == [folder.id] * 3


def test_who_goes_on_keeps_the_order_in_which_they_began(metadata: Database, folder: Node) -> None:
    kept = Orders()
    first = part(metadata, kept, folder, 0)
    gone, moved = first.entries[0], part(metadata, kept, folder, 5).entries[0]
    metadata.write(lambda w: tree.delete(w, ME, gone.id))
    metadata.write(lambda w: tree.delete(w, ME, moved.id))
    metadata.write(lambda w: tree.put(w, ME, folder.id, "f1a", EMPTY))
    second = part(metadata, kept, folder, 5, etag=first.etag)
    assert (second.etag, second.total) == (first.etag, FILES)
    assert [one.name for one in second.entries] == ["f6", "f7", "f8", "f9"], "but for what left"
    anew = part(metadata, kept, folder, 0, etag=first.etag)
    assert anew.etag != first.etag and anew.total == FILES - 1, "the first part is of today"
    assert part(metadata, Orders(), folder, 5, etag=first.etag).etag == anew.etag, "where none is kept"


def test_no_etag_of_another_folder_or_collectivite_leads_anywhere(
    metadata: Database, home: Node, folder: Node
) -> None:
    kept = Orders()
    shown = part(metadata, kept, folder, 0)
    other = metadata.write(lambda w: tree.make_folder(w, at(1), home.id, "other"))
    found = part(metadata, kept, seen(metadata, other.id), 5, etag=shown.etag)
    assert (found.entries, found.total) == ([], 0)


def test_no_more_is_kept_than_is_meant_to_be(metadata: Database, home: Node, folder: Node) -> None:
    kept = Orders(most_kept=FILES)
    part(metadata, kept, folder, 0)
    part(metadata, kept, folder, 0, newest_first=True)
    assert [one.newest_first for one in kept._kept] == [True]
    short = metadata.write(lambda w: tree.make_folder(w, ME, home.id, "short"))
    metadata.write(lambda w: tree.put(w, ME, short.id, "one", EMPTY))
    part(metadata, kept, seen(metadata, short.id), 0)
    assert len(kept._kept) == 1, "what comes in one part is put in order at once"


def test_who_changed_the_files_of_a_page_is_one_question(metadata: Database, folder: Node) -> None:
    inner = metadata.write(lambda w: tree.make_folder(w, OTHER, folder.id, "inner"))
    mine, theirs = put(metadata, folder.id, "a", b"1"), put(metadata, folder.id, "b", b"1", OTHER)
    entries = [Entry(*one[:7]) for one in (inner, mine, theirs)]

    class Asked:
        def __init__(self, reading: Reading) -> None:
            self.reading, self.times = reading, 0

        def one(self, sql: LiteralString, parameters: Sequence[object] = ()) -> Row | None:
            raise AssertionError(sql)

        def all(self, sql: LiteralString, parameters: Sequence[object] = ()) -> list[Row]:
            self.times += 1
            return self.reading.all(sql, parameters)

    with metadata.reading() as reading:
        asked = Asked(reading)
        found = listing.changed_by(asked, entries)
        assert listing.changed_by(asked, [entries[0]]) == {}
    assert {node: one.person_id for node, one in found.items()} == {
        mine.id: ME.person_id,
        theirs.id: OTHER.person_id,
    }
    assert asked.times == 1
