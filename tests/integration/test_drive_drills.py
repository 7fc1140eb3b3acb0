"""Restore drills: all of a collectivité is read out of its backup, and what lacks is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.drive.backup import drills
from beffroi.drive.backup.drills import AGAIN_S, EVERY_S, Drills
from beffroi.drive.backup.work import Backups
from beffroi.lib import clock
from beffroi.lib.ids import new_id

from tests.drive_place import LARGE, Place, place
from tests.drive_sound import filled
from tests.fixtures_drive import erase, noise

__all__ = ["place"]


@pytest.fixture
def backups(place: Place) -> Backups:
    return Backups(place.config, place.communes)


@pytest.fixture
def work(place: Place) -> Drills:
    return Drills(place.config, place.communes)


def turn(work: Drills) -> str:
    return work.turn(now_s=clock.epoch_s())


def copies(place: Place) -> list[Path]:
    """Of objects, in the backup."""
    return [one for one in (place.config.state / "drive-backup" / "objects").rglob("*") if one.is_file()]


def test_all_is_read_once_a_month(place: Place, backups: Backups, work: Drills) -> None:
    filled(place)
    assert turn(work) == ""  # nothing is backed up yet
    picture = backups.back_up(place.owner).picture
    assert turn(work) == place.owner
    found = drills.read(place.config)[place.owner]
    assert (found.is_well, found.lost, found.picture_s) == (True, 0, picture.at_s)
    assert found.files == 8  # four, each with a version
    assert found.size_bytes >= 2 * (100 + 60_000 + LARGE + 4_000_000)
    assert turn(work) == "" and not drills.problem(place.config)
    with clock.shifted(EVERY_S):
        assert turn(work) == place.owner
    assert not list((place.config.state / "drive" / place.owner).glob(".picture-*"))


def test_a_copy_that_rots_or_lacks_is_found_and_tried_again_next_day(
    place: Place, backups: Backups, work: Drills
) -> None:
    place.put("grand", noise(LARGE, b"x"))
    place.put("autre", noise(LARGE, b"y"))
    backups.back_up(place.owner)
    stored = {one.name for one in place.objects()}
    rotten, gone = [one for one in copies(place) if one.name in stored][:2]
    rotten.write_bytes(rotten.read_bytes()[:-1] + bytes([rotten.read_bytes()[-1] ^ 1]))
    gone.unlink()
    assert turn(work) == place.owner
    assert drills.read(place.config)[place.owner].lost == 2
    assert place.owner in drills.problem(place.config)
    assert turn(work) == ""
    with clock.shifted(AGAIN_S):
        backups.back_up(place.owner)  # what the backup lacks is copied again
        assert turn(work) == place.owner
    assert not drills.problem(place.config)


def test_a_picture_that_does_not_open_is_the_result(place: Place, backups: Backups, work: Drills) -> None:
    place.put("grand", noise(LARGE, b"x"))
    backups.back_up(place.owner)
    for one in copies(place):
        one.unlink()
    assert turn(work) == place.owner
    assert drills.read(place.config)[place.owner].code == "drive.object_missing"


@pytest.mark.parametrize(
    "error",
    [sqlite3.OperationalError("disk I/O error"), TypeError("bytes"), OSError(5, "Input/output error")],
)
def test_a_drill_that_breaks_off_keeps_no_other_from_its_turn(
    place: Place, backups: Backups, work: Drills, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    place.put("petit", b"a")
    backups.back_up(place.owner)

    def fails(_path: Path) -> Iterator[tuple[bytes, int, bool]]:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr("beffroi.drive.backup.pictures.chunks_in_objects", fails)
        assert turn(work) == place.owner
        assert turn(work) == "", "it has had its turn"
    assert place.owner in drills.problem(place.config)


def test_the_one_that_waited_longest_is_next(place: Place, backups: Backups, work: Drills) -> None:
    other = new_id("col")
    place.communes.metadata(other)
    place.put("petit", b"a")
    backups.back_up(place.owner)
    assert turn(work) == place.owner
    assert turn(work) == ""  # the other has no key: nothing of it is sealed


def test_what_a_restore_would_take_is_read_where_a_clock_once_ran_ahead(
    place: Place, backups: Backups, work: Drills
) -> None:
    place.put("petit", b"a")
    with clock.shifted(30 * 86400):
        ahead = backups.back_up(place.owner).picture
    place.put("autre", b"b")
    picture = backups.back_up(place.owner).picture
    assert ahead.at_s > picture.at_s
    assert turn(work) == place.owner
    found = drills.read(place.config)[place.owner]
    assert (found.picture_s, found.files) == (picture.at_s, 2)


def test_nothing_is_said_of_who_was_erased(place: Place, backups: Backups, work: Drills) -> None:
    place.put("grand", noise(LARGE, b"x"))
    backups.back_up(place.owner)
    for one in copies(place):
        one.unlink()
    assert turn(work) == place.owner
    assert place.owner in drills.problem(place.config)
    erase(place.config, place.owner)
    assert turn(work) == ""
    assert not drills.problem(place.config)
