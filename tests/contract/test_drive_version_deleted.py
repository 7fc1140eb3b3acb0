"""One earlier version of a file is deleted for good: what goes with it, what stays, and what ways back make of it."""

from __future__ import annotations

import pytest
from beffroi.drive import alarms, recovery
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Sign
from beffroi.drive.recovery import Line
from beffroi.drive.store import frozen, going_back, locks, look, moments, shares, tree, versions, weights
from beffroi.drive.store.database import Database
from beffroi.drive.store.frozen import Frozen
from beffroi.drive.store.model import Act, Locked, Node
from beffroi.drive.store.shares import Wish
from beffroi.drive.store.versions import VersionAbsent

from tests.drive_trees import ME, NOW_S, OTHER, at, folder, listing, loose, put, require_whole, seen, way_to

pytest_plugins = ["tests.fixtures_drive_store"]
THEN_S, LATER_S = NOW_S + 10, NOW_S + 1000
EVIL = at(NOW_S + 20)


def delete(metadata: Database, one: Node, act: Act = ME) -> None:
    metadata.write(lambda w: versions.delete(w, act, one.id, one.etag))


def etags(metadata: Database, node_id: int) -> list[int]:
    with metadata.reading() as reading:
        return [one.etag for one in versions.of(reading, node_id)]


def test_its_room_and_its_chunks_are_given_back_and_nothing_that_something_else_names(
    metadata: Database, home: Node
) -> None:
    first = put(metadata, home.id, "x", b"personal")
    second = put(metadata, home.id, "x", b"22")
    third = put(metadata, home.id, "x", b"333")
    put(metadata, home.id, "copy", b"22", OTHER)
    before = seen(metadata, home.id)
    with metadata.reading() as reading:
        kept = weights.of(reading, before)
    delete(metadata, second)
    assert loose(metadata) == 0, "another file has the same"
    delete(metadata, first)
    assert loose(metadata) == 1 and etags(metadata, first.id) == []
    after = seen(metadata, home.id)
    assert (after.etag, after.size_bytes) == (before.etag, 5), "no client has anything to fetch"
    with metadata.reading() as reading:
        require_whole(reading)
        now = weights.of(reading, after)
        asked = [(first.id, first.etag), (first.id, second.etag), (third.id, third.etag)]
        assert versions.erased(reading, asked) == set(asked[:2]) and versions.erased(reading, []) == set()
    assert (kept.entries - now.entries, kept.version_bytes - now.version_bytes) == (2, 10)
    with pytest.raises(VersionAbsent):
        delete(metadata, first)
    with pytest.raises(VersionAbsent):
        metadata.write(lambda w: versions.restore(w, ME, first.id, first.etag))
    metadata.write(lambda w: versions.forget_erased(w, before_s=NOW_S + 1))
    with metadata.reading() as reading:
        assert versions.erased(reading, asked) == set()


def test_what_is_open_elsewhere_or_held_keeps_its_versions(metadata: Database, home: Node) -> None:
    first = put(metadata, home.id, "x", b"1")
    put(metadata, home.id, "x", b"22")
    metadata.write(lambda w: shares.make(w, ME, first.id, Wish("person", OTHER.person_id, rights="write")))
    lock = metadata.write(
        lambda w: locks.lock(w, OTHER, first.id, deep=False, shared=False, owner="", timeout_s=600)
    )
    with pytest.raises(Locked):
        delete(metadata, first)
    metadata.write(lambda w: locks.unlock(w, OTHER, first.id, lock.token))
    metadata.write(lambda w: frozen.freeze(w, sha256=first.sha256, decision_id="dec_1", now_s=NOW_S))
    with pytest.raises(Frozen, match="dec_1"):
        delete(metadata, first)
    assert etags(metadata, first.id) == [first.etag]
    with metadata.reading() as reading:
        assert versions.erased(reading, [(first.id, first.etag)]) == set()
    metadata.write(lambda w: frozen.thaw(w, sha256=first.sha256))
    delete(metadata, first)
    assert etags(metadata, first.id) == []


def test_a_way_back_leaves_the_file_its_present_content_and_counts_it(metadata: Database, home: Node) -> None:
    place = folder(metadata, home.id, "Budget")
    one, two, gone = (put(metadata, place.id, name, b"then") for name in ("one", "two", "gone"))
    for name in ("one", "two", "gone"):
        put(metadata, place.id, name, b"since then", EVIL)
    metadata.write(lambda w: tree.move(w, EVIL, two.id, place.id, "renamed"))
    metadata.write(lambda w: tree.delete(w, EVIL, gone.id))
    for each in (one, two, gone):
        delete(metadata, each)
    with metadata.reading() as reading:
        past = moments.seen(reading, place.id, THEN_S).children(place.id)
        assert [each.is_kept for each in past] == [False] * 3
        assert [moments.content(reading, each) for each in past] == [None] * 3
        assert len(versions.erased(reading, [(each.node, each.etag) for each in past])) == 3
        plan = way_to(reading, place.id, THEN_S)
    assert (plan.stayed, plan.lost, plan.rewritten, plan.removed, plan.moved) == (2, 1, 0, 0, 1)
    going_back.begin(metadata, at(LATER_S), plan)
    while metadata.write(lambda w: going_back.go_on(w, place.id, now_s=LATER_S)):
        pass
    assert listing(metadata, place.id) == {"Budget/one": 10, "Budget/two": 10}
    with metadata.reading() as reading:
        found = going_back.find(reading, place.id)
        require_whole(reading)
    assert found is not None and (found.state, found.done, found.missed) == ("done", 1, 0)


def test_one_that_is_deleted_on_the_way_is_passed_over_and_counted(metadata: Database, home: Node) -> None:
    place = folder(metadata, home.id, "Budget")
    there, away = (put(metadata, place.id, name, b"then") for name in ("there", "away"))
    for name in ("there", "away"):
        put(metadata, place.id, name, b"since then", EVIL)
    metadata.write(lambda w: tree.move(w, EVIL, away.id, home.id, "away"))
    with metadata.reading() as reading:
        plan = way_to(reading, place.id, THEN_S)
    assert (plan.rewritten, plan.copied, plan.stayed, plan.lost) == (1, 1, 0, 0)
    going_back.begin(metadata, at(LATER_S), plan)
    for one in (there, away):
        delete(metadata, one)
    while metadata.write(lambda w: going_back.go_on(w, place.id, now_s=LATER_S)):
        pass
    with metadata.reading() as reading:
        found = going_back.find(reading, place.id)
        require_whole(reading)
    assert found is not None
    assert (found.state, found.missed, found.why) == ("done", 2, "drive.version_absent")
    assert listing(metadata, place.id) == {"Budget/there": 10}


def test_what_a_device_did_is_taken_back_but_for_what_was_deleted(metadata: Database, home: Node) -> None:
    files = [put(metadata, home.id, f"{number}.txt", b"work", OTHER) for number in range(4)]
    for one in files:
        put(metadata, home.id, one.name, b"scrambled", EVIL)
    metadata.write(lambda w: tree.delete(w, EVIL, files[3].id))
    for one in (files[0], files[3]):
        delete(metadata, one, at(NOW_S + 30, OTHER))
    alarm = Alarm(ME.device_id, float(EVIL.now_s), 3, {Sign.LOST: 3})
    metadata.write(lambda w: alarms.raise_(w, alarm, now_s=EVIL.now_s))
    with metadata.reading() as reading:
        (line,) = recovery.preview(reading, ME.device_id)
    assert line == Line("per_me", "", reverted=2, revived=0, moved=0, copied=0, removed=0, lost=2)
    over = recovery.carry_out(metadata, Act("per_referent", "", LATER_S), ME.device_id)
    assert (over.state, over.missed) == ("restored", 2)
    assert listing(metadata, home.id) == {"0.txt": 9, "1.txt": 4, "2.txt": 4, "3.txt": 9}
    with metadata.reading() as reading:
        assert look.node(reading, files[3].id) is not None
        require_whole(reading)
