"""Locks of an office editor beside WebDAV's, on each database."""

from __future__ import annotations

import pytest
from beffroi.drive.store import editor_locks, locks, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.editor_locks import HOLDER, LASTS_S, LockDiffers, token
from beffroi.drive.store.model import Act, Locked, Node

from tests.drive_trees import ME, NOW_S, OTHER, content, put
from tests.fixtures_drive_store import home, metadata, opens

__all__ = ["home", "metadata", "opens"]
STRANGE = "cool é&<:%/".encode().decode("latin-1")


@pytest.fixture
def file(metadata: Database, home: Node) -> Node:
    return put(metadata, home.id, "a.odt", b"before")


def shown(database: Database, file: Node, now_s: int = NOW_S) -> editor_locks.Held:
    with database.reading() as reading:
        return editor_locks.of(reading, file.id, now_s=now_s)


def take(database: Database, file: Node, lock_id: str, now_s: int = NOW_S) -> None:
    database.write(lambda w: editor_locks.take(w, file.id, lock_id, now_s=now_s))


def test_a_lock_is_found_by_its_name_however_it_is_spelled(metadata: Database, file: Node) -> None:
    assert shown(metadata, file) == ("", False)
    for lock_id in ("plain", STRANGE, "l" * 1024):
        take(metadata, file, lock_id)
        assert shown(metadata, file) == (lock_id, False)
        metadata.write(lambda w, it=lock_id: editor_locks.end(w, file.id, it, now_s=NOW_S))
    assert shown(metadata, file) == ("", False)


def test_it_ends_after_half_an_hour_unless_it_is_refreshed(metadata: Database, file: Node) -> None:
    take(metadata, file, "a")
    later = NOW_S + LASTS_S - 1
    metadata.write(lambda w: editor_locks.refresh(w, file.id, "a", now_s=later))
    assert shown(metadata, file, NOW_S + LASTS_S) == ("a", False)
    assert shown(metadata, file, later + LASTS_S) == ("", False)
    take(metadata, file, "b", later + LASTS_S)


def test_another_name_is_refused_and_told_the_present_one(metadata: Database, file: Node) -> None:
    take(metadata, file, "a")
    for step in (editor_locks.take, editor_locks.refresh, editor_locks.end):
        with pytest.raises(LockDiffers) as refused:
            metadata.write(lambda w, do=step: do(w, file.id, "b", now_s=NOW_S))
        assert refused.value.current == "a"
    with pytest.raises(LockDiffers):
        metadata.write(lambda w: editor_locks.exchange(w, file.id, "c", "b", now_s=NOW_S))
    metadata.write(lambda w: editor_locks.exchange(w, file.id, "c", "a", now_s=NOW_S))
    assert shown(metadata, file) == ("c", False)


def test_whoever_shows_it_as_the_editor_writes_and_nobody_else(metadata: Database, file: Node) -> None:
    take(metadata, file, "a")
    tokens = frozenset((token(file.id, "a"),))

    def write(act: Act) -> None:
        metadata.write(lambda w: tree.put(w, act, file.parent, "a.odt", content(act.person_id.encode())))

    for one in (ME, OTHER):
        for refused in (one, Act(one.person_id, "app_1", NOW_S, tokens)):
            with pytest.raises(Locked):
                write(refused)
        write(Act(one.person_id, "office:x", NOW_S, tokens, HOLDER))
    with pytest.raises(Locked):
        write(Act(ME.person_id, "office:x", NOW_S, frozenset((token(file.id, "b"),)), HOLDER))


def test_a_lock_of_webdav_keeps_the_editor_out_and_the_other_way_round(
    metadata: Database, file: Node
) -> None:
    made = metadata.write(
        lambda w: locks.lock(w, ME, file.id, deep=False, shared=False, owner="", timeout_s=60)
    )
    assert shown(metadata, file) == ("", True)
    with pytest.raises(LockDiffers) as refused:
        take(metadata, file, "a")
    assert refused.value.current == ""
    metadata.write(lambda w: locks.unlock(w, ME, file.id, made.token))
    take(metadata, file, "a")
    with pytest.raises(Locked):
        metadata.write(lambda w: locks.lock(w, ME, file.id, deep=False, shared=False, owner="", timeout_s=60))
    assert not metadata.write(lambda w: locks.unlock(w, ME, file.id, token(file.id, "a")))


@pytest.mark.parametrize("by", ["editor", "program"])
def test_a_lock_of_a_clock_that_ran_ahead_ends_with_it(
    metadata: Database, home: Node, file: Node, by: str
) -> None:
    """Else a file that somebody had open in that hour could be written by nobody for years."""
    ahead = NOW_S + 3650 * 86400
    if by == "editor":
        take(metadata, file, "a", ahead)
    else:
        act = Act(OTHER.person_id, OTHER.device_id, ahead)
        for one, timeout_s in ((home, locks.LONGEST_S), (file, 60)):
            metadata.write(
                lambda w, at=one.id, s=timeout_s: locks.lock(
                    w, act, at, deep=True, shared=True, owner="", timeout_s=s
                )
            )
    with metadata.reading() as reading:
        assert locks.held(reading, file.id, now_s=NOW_S) == []
    put(metadata, home.id, "a.odt", b"after")
    metadata.write(lambda w: tree.move(w, ME, file.id, home.id, "b.odt"))
    mine = metadata.write(
        lambda w: locks.lock(w, ME, file.id, deep=False, shared=False, owner="", timeout_s=locks.LONGEST_S)
    )
    with metadata.reading() as reading:
        assert locks.held(reading, file.id, now_s=NOW_S) == [mine]
    locks.expire(metadata, now_s=NOW_S)
    with metadata.reading() as reading:
        assert reading.all("SELECT token FROM dav_lock") == [(mine.token,)]
