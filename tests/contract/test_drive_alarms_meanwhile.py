"""A way back that broke off goes on hours later: what colleagues did meanwhile is theirs, as what they did before it
began; and what they have open is no hindrance."""

from __future__ import annotations

from dataclasses import replace

import pytest
from beffroi.drive import alarms, recovery
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Sign
from beffroi.drive.store import locks, schema, trash, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node, StoreFull

from tests.contract.test_drive_alarms import EVIL, REFERENT, breaking_after, stop
from tests.drive_trees import ME, NOW_S, OTHER, at, content, folder, listing, put, require_whole, seen

pytest_plugins = ["tests.fixtures_drive_store"]
LATER = at(REFERENT.now_s + 3600, OTHER)


def begun(metadata: Database, home: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planned, nothing taken yet: the disk is full after the first step, of a file that nobody asks about."""
    put(metadata, home.id, "0 first", b"pay", EVIL)
    stop(metadata)
    monkeypatch.setattr(recovery, "MOST_STEPS", 1)
    with breaking_after(1, monkeypatch), pytest.raises(StoreFull):
        recovery.carry_out(metadata, REFERENT, ME.device_id)


def ended(metadata: Database) -> int:
    """How many steps were passed over."""
    over = recovery.carry_out(metadata, at(LATER.now_s + 60, REFERENT), ME.device_id)
    assert over.state == "restored"
    with metadata.reading() as reading:
        require_whole(reading)
    return over.missed


def test_what_a_colleague_wrote_meanwhile_stays_and_the_version_before_lies_beside_it(
    metadata: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (put(metadata, home.id, f"{name}.txt", b"work", OTHER) for name in "ab")
    for each in (one, other):
        put(metadata, home.id, each.name, b"scrambled", EVIL)
    begun(metadata, home, monkeypatch)
    put(metadata, home.id, "a.txt", b"written anew", LATER)
    put(metadata, home.id, "b.txt", b"written anew", LATER)
    put(metadata, home.id, "b (avant).txt", b"a name that is taken", LATER)
    assert ended(metadata) == 0
    assert listing(metadata, home.id) == {
        "a.txt": 12,
        "a (avant).txt": 4,
        "b.txt": 12,
        "b (avant).txt": 20,
        "b (avant) (2).txt": 4,
    }


def test_a_file_that_a_colleague_brought_somewhere_meanwhile_stays_there(
    metadata: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = folder(metadata, home.id, "Budget", OTHER)
    moved, deleted, spoiled = (put(metadata, inside.id, name, b"work", OTHER) for name in ("m", "d", "s"))
    metadata.write(lambda w: tree.move(w, EVIL, moved.id, home.id, "locked"))
    put(metadata, inside.id, "d", b"scrambled", EVIL)
    metadata.write(lambda w: tree.delete(w, EVIL, deleted.id))
    put(metadata, inside.id, "s", b"scrambled", EVIL)
    begun(metadata, home, monkeypatch)
    metadata.write(lambda w: tree.move(w, LATER, moved.id, home.id, "retrouvé"))
    metadata.write(lambda w: trash.restore(w, LATER, home.id, deleted.id))
    metadata.write(lambda w: tree.move(w, LATER, deleted.id, home.id, "sauvé"))
    metadata.write(lambda w: tree.move(w, LATER, spoiled.id, home.id, "spoiled"))
    missed = ended(metadata)
    assert listing(metadata, home.id) == {"Budget": 0, "retrouvé": 4, "sauvé": 4, "spoiled": 4}
    assert missed == 1, "the place of the one that the device had moved alone"
    assert {seen(metadata, one.id).sha256 for one in (moved, deleted, spoiled)} == {content(b"work").sha256}


def test_what_a_colleague_made_of_a_file_of_the_device_meanwhile_stays(
    metadata: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        put(metadata, home.id, name, b"begun", EVIL)
    begun(metadata, home, monkeypatch)
    name = max(listing(metadata, home.id))
    put(metadata, home.id, name, b"work", LATER)
    assert ended(metadata) == 1
    assert listing(metadata, home.id) == {name: 4}


def test_a_name_that_a_colleague_took_meanwhile_is_theirs_and_the_file_comes_beside_it(
    metadata: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = put(metadata, home.id, "a.txt", b"work", OTHER)
    metadata.write(lambda w: tree.move(w, EVIL, one.id, home.id, "a.k9x2"))
    begun(metadata, home, monkeypatch)
    put(metadata, home.id, "a.txt", b"in its place", LATER)
    assert ended(metadata) == 0
    assert listing(metadata, home.id) == {"a.txt": 12, "a (2).txt": 4}


def test_what_a_colleague_has_open_comes_back_all_the_same(metadata: Database) -> None:
    """They looked into what they could not read any more; their lock is left to them."""
    common = metadata.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))
    one, other = (put(metadata, common.id, name, b"work", OTHER) for name in ("a.txt", "b.txt"))
    put(metadata, common.id, "a.txt", b"scrambled", EVIL)
    metadata.write(lambda w: tree.move(w, EVIL, other.id, common.id, "b.k9x2"))
    note = put(metadata, common.id, "LISEZ-MOI.txt", b"pay", EVIL)
    for each in (one, other, note):
        metadata.write(
            lambda w, it=each.id: locks.lock(w, OTHER, it, deep=False, shared=False, owner="", timeout_s=3600)
        )
    stop(metadata)
    over = recovery.carry_out(metadata, REFERENT, ME.device_id)
    assert (over.state, over.missed) == ("restored", 0)
    assert listing(metadata, common.id) == {"a.txt": 4, "b.txt": 4}
    with metadata.reading() as reading:
        assert [it.person_id for it in locks.held(reading, one.id, now_s=REFERENT.now_s)] == [OTHER.person_id]


@pytest.mark.parametrize("is_first_first", [True, False])
def test_what_two_stopped_devices_did_to_one_file_in_turn_is_taken_back_whichever_comes_first(
    metadata: Database, home: Node, is_first_first: bool
) -> None:
    """Neither is a colleague of the other, nor is who took it back before."""
    another = replace(EVIL, device_id="app_3")
    put(metadata, home.id, "a.txt", b"work", OTHER)
    put(metadata, home.id, "a.txt", b"emptied", EVIL)
    put(metadata, home.id, "a.txt", b"scrambled", another)
    for device in (ME.device_id, another.device_id):
        alarm = Alarm(device, float(EVIL.now_s), 3, {Sign.LOST: 3})
        metadata.write(lambda w, it=alarm: alarms.raise_(w, it, now_s=EVIL.now_s))
    devices = [ME.device_id, another.device_id]
    for device in devices if is_first_first else reversed(devices):
        over = recovery.carry_out(metadata, REFERENT, device)
        assert (over.state, over.missed) == ("restored", 0)
        assert listing(metadata, home.id) == {"a.txt": 4}
