"""A full disk during backup, restore, key replacement and erasure: each stops in words, loses nothing, and goes on."""

from __future__ import annotations

import errno
import logging
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.drive import removal
from beffroi.drive.backup import pictures
from beffroi.drive.backup.work import Backups
from beffroi.drive.renewal import Renewal
from beffroi.drive.store import keys as keys_
from beffroi.drive.store.model import StoreFull
from beffroi.drive.store.resealing import QUIET_S
from beffroi.lib import clock

from tests.drive_place import LARGE, Place, placed
from tests.drive_sound import filled, keys, numbers, require_sound, sealed_by
from tests.fixtures_drive import erase, new_config, noise

pytestmark = pytest.mark.root
MIB = 1 << 20


@contextmanager
def disk(size_bytes: int) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="bfd-"))
    subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", place), check=True)
    try:
        yield place
    finally:
        subprocess.run(("umount", place), check=True)
        place.rmdir()


@contextmanager
def full(place: Path, *, but_bytes: int = 0) -> Iterator[None]:
    """Nothing more fits, or no more than so many bytes."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        piece = b"\0" * 4096
        try:
            while True:
                file.write(piece)
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(max(0, file.tell() - but_bytes))
    try:
        yield
    finally:
        ballast.unlink()


@pytest.fixture
def own() -> Iterator[Path]:
    with disk(64 * MIB) as place:
        yield place


@pytest.fixture
def other() -> Iterator[Path]:
    with disk(64 * MIB) as place:
        yield place


@pytest.fixture
def place(own: Path, other: Path) -> Iterator[Place]:
    config = replace(new_config(own / "state"), drive_backup_path=str(other / "backup"))
    with placed(config) as one:
        yield one


@pytest.fixture
def backups(place: Place) -> Backups:
    return Backups(place.config, place.communes)


def drafts(place: Place) -> list[Path]:
    return list((place.config.state / "drive" / place.owner).glob(".picture-*"))


@pytest.mark.parametrize("which", ["own", "other"])
def test_a_backup_on_a_full_disk_keeps_those_of_before(
    request: pytest.FixtureRequest,
    place: Place,
    backups: Backups,
    which: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = filled(place)
    assert backups.round().failed == ()
    before = clock.epoch_s()
    late = place.put("tard", noise(3 * MIB, b"late"))
    with full(request.getfixturevalue(which)), caplog.at_level(logging.ERROR):
        assert backups.round().failed == (place.owner,)
        assert "drive.store_full" in caplog.text
        assert drafts(place) == []
    assert backups.restore(place.owner, at_s=before).lost == 0
    require_sound(place, files)
    assert backups.round().failed == ()
    assert late.size_bytes == 3 * MIB


def test_an_older_picture_on_a_full_disk_is_brought_forward_when_there_is_room(
    place: Place, own: Path
) -> None:
    filled(place)
    picture = own / "picture"
    pictures.take(place.database, picture)
    with closing(sqlite3.connect(picture)) as raw:
        raw.execute("DROP TABLE seal_check")
        raw.execute("DELETE FROM meta WHERE name = 'tables'")
        raw.commit()
    with full(own), pytest.raises(StoreFull):
        pictures.bring_forward(picture)
    with closing(sqlite3.connect(picture)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    pictures.bring_forward(picture)
    with closing(sqlite3.connect(picture)) as raw:
        assert raw.execute("SELECT COUNT(*) FROM seal_check").fetchone() == (0,)


@pytest.mark.parametrize("room_bytes", [0, 100_000, 1_500_000, 6 * MIB])
def test_a_restore_on_a_full_disk_changes_nothing_until_there_is_room(
    place: Place, backups: Backups, own: Path, room_bytes: int
) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    at_s = clock.epoch_s()
    late = place.put("tard", noise(LARGE, b"late"))
    for one in place.objects()[:3]:
        one.unlink()
    with full(own, but_bytes=room_bytes):
        try:
            backups.restore(place.owner, at_s=at_s)
            is_restored = True
        except StoreFull:
            is_restored = False
        assert drafts(place) == []
        with place.database.reading() as reading:
            there = reading.one("SELECT 1 FROM node WHERE id = ?", (late.id,)) is not None
        assert there is not is_restored
    assert not is_restored or room_bytes > MIB
    assert backups.restore(place.owner, at_s=at_s).lost == 0
    require_sound(place, files)


def test_a_key_is_replaced_when_there_is_room_again(
    place: Place, own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = filled(place)
    work = Renewal(place.config, place.communes)
    keys(place).rotate()
    with full(own), caplog.at_level(logging.ERROR):
        work.round()
        assert "its key waits" in caplog.text
        assert numbers(place) == [1, 2]
    require_sound(place, files)
    work.round()
    with clock.shifted(QUIET_S + 60):
        with full(own):
            work.round()
        work.round()
        assert (numbers(place), sealed_by(place)) == ([2], {2})
    require_sound(place, files)


def test_a_new_key_that_does_not_fit_leaves_the_old_one(place: Place, own: Path) -> None:
    files = filled(place)
    with full(own), pytest.raises(OSError, match="No space left"):
        keys(place).rotate()
    assert numbers(place) == [1]
    require_sound(place, files)
    assert keys(place).rotate() == 2


@pytest.mark.parametrize("erases", [keys_.Keys.erase, None])
def test_an_erasure_that_does_not_fit_is_not_half_done_and_ends_later(
    place: Place, backups: Backups, own: Path, erases: Callable[..., object] | None
) -> None:
    files = filled(place)
    backups.round()
    with full(own), pytest.raises(OSError, match="No space left"):
        if erases is not None:
            erases(keys(place), "adm_x")
        else:
            erase(place.config, place.owner)
    assert keys_.certificate(place.config, place.owner) is None
    require_sound(place, files)
    place.communes.close()
    with full(own, but_bytes=16_384):
        erase(place.config, place.owner)
    assert removal.is_whole(place.config, place.owner)
