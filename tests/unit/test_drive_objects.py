"""The store on a local disk: order of what makes it durable, leftovers; and where the settings lead."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import threading
from pathlib import Path

import pytest
from beffroi.drive.store import local_objects
from beffroi.drive.store import objects as module
from beffroi.drive.store.local_objects import DIRECT_BYTES, LocalObjects, Settling
from beffroi.drive.store.model import StoreFull
from beffroi.drive.store.object_store import open_objects
from beffroi.drive.store.objects import BLOCK_BYTES, ObjectMissing, StoreUnavailable, object_name
from beffroi.drive.store.s3_objects import s3_place
from beffroi.lib import durable
from beffroi.lib.config import Config, SettingInvalid

from tests.fixtures_drive import noise
from tests.waiting import PATIENCE_S

COL = "col_" + "0" * 26  # the same in every worker: names of tests hold it
NAME = object_name(COL, noise(32))


def test_a_put_is_synced_renamed_and_its_directories_synced_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalObjects(tmp_path / "drive" / "objects")
    done: list[str] = []
    fsync, rename, sync_directory = os.fsync, Path.rename, durable.sync_directory

    def noted_fsync(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            done.append("file")
        fsync(descriptor)

    def noted_rename(self: Path, target: Path) -> Path:
        done.append("rename")
        return rename(self, target)

    def noted_directory(path: Path) -> None:
        done.append(f"directory {path.relative_to(tmp_path / 'drive' / 'objects')}")
        sync_directory(path)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    monkeypatch.setattr(durable, "sync_directory", noted_directory)
    folder = NAME.rpartition("/")[0]
    store.put(NAME, b"body")
    assert done[:2] == ["file", "rename"]
    assert sorted(done[2:]) == ["directory .", f"directory {COL}", f"directory {folder}"]
    for body in (b"body", room_of(noise(DIRECT_BYTES + 1))):
        done.clear()
        store.put(NAME, body)
        assert done == ["file", "rename", f"directory {folder}"]


def test_objects_and_folders_are_their_owners_alone(tmp_path: Path) -> None:
    store = LocalObjects(tmp_path / "drive" / "objects")
    store.put(NAME, b"body")
    root = tmp_path / "drive" / "objects"
    assert stat.S_IMODE((root / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE((root / NAME).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EIO, StoreUnavailable),
        (errno.EROFS, StoreUnavailable),
    ],
)
def test_a_put_that_fails_leaves_nothing_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    store = LocalObjects(tmp_path / "drive" / "objects")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(kind):
            store.put(NAME, b"body")
    assert not store.exists(NAME)
    assert store.sweep(0) == 0
    store.put(NAME, b"body")
    assert bytes(store.get(NAME)) == b"body"


def room_of(data: bytes) -> memoryview:
    """The same bytes, at the beginning of a page of memory."""
    room = memoryview(mmap.mmap(-1, -(-len(data) // BLOCK_BYTES) * BLOCK_BYTES))
    room[: len(data)] = data
    return room[: len(data)]


@pytest.fixture
def past(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each descriptor that is told to pass by the page cache."""
    told: list[int] = []
    change = fcntl.fcntl

    def noted(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETFL and argument & os.O_DIRECT:
            told.append(argument)
        return change(descriptor, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", noted)
    return told


def forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after some days, or on a kernel that cannot say what it holds."""
    monkeypatch.setattr(local_objects, "_is_cached", lambda descriptor, size_bytes: False)


@pytest.mark.parametrize("more", [-1, 0, 1, BLOCK_BYTES - 1, BLOCK_BYTES])
def test_a_large_object_comes_from_memory_or_past_the_page_cache_and_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, past: list[int], more: int
) -> None:
    store = LocalObjects(tmp_path / "drive" / "objects")
    body, room = noise(DIRECT_BYTES + more), memoryview(mmap.mmap(-1, 2 * DIRECT_BYTES))
    store.put(NAME, room_of(body))
    assert (tmp_path / "drive" / "objects" / NAME).read_bytes() == body
    assert bytes(store.get(NAME, room)) == bytes(store.get(NAME)) == body
    assert past == [], "what came lately is in memory"
    forgets(monkeypatch)
    room[: len(body)] = bytes(len(body))
    assert bytes(store.get(NAME, room)) == body
    assert bytes(store.get(NAME, room[:BLOCK_BYTES])) == body, "what is too small for it is no room"
    assert len(past) == (0 if more < 0 else 1)


def test_a_file_that_memory_holds_in_part_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(noise(DIRECT_BYTES))
    with path.open("rb+") as file:
        assert local_objects._is_cached(file.fileno(), DIRECT_BYTES)
        file.truncate(3 * DIRECT_BYTES)  # nothing is in memory of what was never written
        assert not local_objects._is_cached(file.fileno(), 3 * DIRECT_BYTES)
    assert not local_objects._is_cached(-1, DIRECT_BYTES), "what cannot be asked is not held"


def test_where_the_page_cache_cannot_be_passed_a_large_object_goes_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalObjects(tmp_path / "drive" / "objects")
    body, room = noise(DIRECT_BYTES + 5), memoryview(mmap.mmap(-1, 2 * DIRECT_BYTES))
    store.put(NAME, memoryview(b"x" + body)[1:])
    forgets(monkeypatch)
    assert bytes(store.get(NAME, room[1:])) == body  # no memory that a disk could give it to
    change = fcntl.fcntl

    def refuse(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETFL and argument & os.O_DIRECT:  # as file systems do that cannot
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return change(descriptor, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert bytes(store.get(NAME, room)) == body


def test_a_disk_that_is_full_in_the_middle_of_an_object_is_a_full_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalObjects(tmp_path / "drive" / "objects")
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) < DIRECT_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:BLOCK_BYTES])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StoreFull):
            store.put(NAME, room_of(noise(DIRECT_BYTES)))
    assert not store.exists(NAME)
    assert store.sweep(0) == 0


def test_a_put_is_not_acknowledged_when_its_directory_could_not_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalObjects(tmp_path / "drive" / "objects")
    store.put(NAME, b"old")

    def fail(path: Path) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync_directory", fail)
        with pytest.raises(StoreUnavailable, match="EIO"):
            store.put(NAME, b"new")


def test_leftovers_of_a_killed_writer_are_swept_once_they_are_old(tmp_path: Path) -> None:
    store = LocalObjects(tmp_path / "drive" / "objects")
    left = tmp_path / "drive" / "objects" / ".new" / "abc"
    left.write_bytes(b"half")
    assert list(store.list(COL)) == []
    assert store.sweep(3600) == 0
    os.utime(left, (1, 1))
    assert store.sweep(3600) == 1
    assert not left.exists()


def test_a_folder_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    store = LocalObjects(tmp_path / "drive" / "objects")
    store.put(NAME, b"body")
    store.delete(NAME)
    (tmp_path / "drive" / "objects" / NAME).parent.rmdir()
    store.put(NAME, b"body")
    assert store.exists(NAME)


def test_those_who_wait_for_a_directory_share_one_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settling, begun, go_on = Settling(), threading.Event(), threading.Event()
    synced: list[Path] = []

    def slow(path: Path) -> None:
        synced.append(path)
        begun.set()
        assert go_on.wait(PATIENCE_S)

    monkeypatch.setattr(durable, "sync_directory", slow)
    threads = [threading.Thread(target=settling.settle, args=(tmp_path,)) for _ in range(10)]
    threads[0].start()
    assert begun.wait(PATIENCE_S)
    for one in threads[1:]:
        one.start()
    while settling._asked < 10:
        pass
    assert all(one.is_alive() for one in threads), (
        "nobody is answered before a sync that began after they asked"
    )
    go_on.set()
    for one in threads:
        one.join(PATIENCE_S)
    assert synced == [tmp_path, tmp_path]


def test_a_failed_sync_is_not_taken_for_done_by_those_who_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settling, synced = Settling(), list[Path]()

    def failing(path: Path) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(durable, "sync_directory", failing)
    with pytest.raises(OSError, match="broken"):
        settling.settle(tmp_path)
    monkeypatch.setattr(durable, "sync_directory", synced.append)
    settling.settle(tmp_path / "other")
    assert set(synced) == {tmp_path, tmp_path / "other"}


def test_an_s3_service_without_room_is_full(tmp_path: Path) -> None:
    from obstore.exceptions import GenericError

    for said in (
        "Server returned non-2xx status code: 507 Insufficient Storage: ",
        "<Code>XMinioStorageFull</Code>",
        "<Code>QuotaExceeded</Code>",
    ):
        with pytest.raises(StoreFull), module.failures():
            raise GenericError(said)
    for said in (
        "status code: 500, object of 15071 bytes",
        "Error performing GET https://s3.example/coffre-507/a in 507.3µs - Server returned non-2xx status code: 403 ",
    ):
        with pytest.raises(StoreUnavailable), module.failures():
            raise GenericError(said)


def test_without_a_setting_objects_lie_in_the_state_directory(tmp_path: Path) -> None:
    open_objects(Config(state=tmp_path)).put(NAME, b"body")
    assert (tmp_path / "drive" / "objects" / NAME).exists()


@pytest.mark.parametrize(
    ("value", "secret", "names"),
    [
        ("/somewhere", "a b", "drive_objects"),
        ("s3://?endpoint=https://h", "a b", "drive_objects"),
        ("s3://bucket", "a b", "drive_objects"),
        ("s3://bucket?endpoint=http://s3.example.fr", "a b", "drive_objects"),
        ("s3://key:word@bucket?endpoint=https://h", "a b", "drive_objects"),
        ("s3://bucket?endpoint=https://h&key=x", "a b", "drive_objects"),
        ("s3://bucket?endpoint=https://h", "one", "drive-objects.key"),
    ],
)
def test_a_setting_that_leads_nowhere_is_named(tmp_path: Path, value: str, secret: str, names: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "drive-objects.key").write_text(secret)
    with pytest.raises(SettingInvalid, match=names):
        open_objects(Config(state=tmp_path, drive_objects=value))


def test_a_setting_says_bucket_folder_door_and_region(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "drive-objects.key").write_text("access secret\n")
    place = s3_place(
        Config(state=tmp_path, drive_objects="s3://coffre/a/b/?endpoint=https://s3.example.fr&region=gra")
    )
    assert (place.bucket, place.folder, place.endpoint, place.region) == (
        "coffre",
        "a/b",
        "https://s3.example.fr",
        "gra",
    )
    assert (place.access_key, place.secret_key) == ("access", "secret")


def test_an_object_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing, match=NAME):
        LocalObjects(tmp_path / "drive" / "objects").get(NAME)
