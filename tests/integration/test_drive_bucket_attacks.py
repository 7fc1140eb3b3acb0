"""Somebody writes in the store of the objects: what they put there is told and mended, and stops no work for ever."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import pytest
from beffroi.drive import removal, upkeep
from beffroi.drive.backup.work import Backups
from beffroi.drive.store.local_objects import LocalObjects
from beffroi.drive.store.objects import object_name
from beffroi.drive.upkeep import DAY_S
from beffroi.lib import clock, ids

from tests.drive_place import LARGE, Place
from tests.drive_sound import filled, keys, require_sound
from tests.fixtures_drive import erase, noise
from tests.integration.test_drive_backup import backups, place

__all__ = ["backups", "place"]
HUGE_BYTES = 1 << 40


def swapped(place: Place) -> None:
    one, other = place.objects()[:2]
    one.rename(one.with_suffix(".kept"))
    other.rename(one)
    one.with_suffix(".kept").rename(other)


def of_another_commune(place: Place) -> None:
    """The same content, as another collectivité's key sealed it, under our name for it."""
    other = Place(place.config, place.communes, place.bodies, place.work, ids.new_id("col"))
    other.put("le même", noise(LARGE, b"grand"))
    place.objects()[0].write_bytes(other.objects()[0].read_bytes())


def cut(place: Place) -> None:
    one = place.objects()[0]
    one.write_bytes(one.read_bytes()[:-1])


def emptied(place: Place) -> None:
    place.objects()[0].write_bytes(b"")


def huge(place: Place) -> None:
    """Longer than any memory, and no byte of it on the disk."""
    os.truncate(place.objects()[0], HUGE_BYTES)


def linked_to_what_never_ends(place: Place) -> None:
    one = place.objects()[0]
    one.unlink()
    one.symlink_to("/dev/zero")


def sealed_by_a_key_that_is_gone(place: Place) -> None:
    one = place.objects()[0]
    before = one.read_bytes()
    mine = keys(place)
    mine.rotate()
    place.put("nouveau", noise(LARGE, b"new"))
    # Nothing but this header's number: a key that is not there any more.
    one.write_bytes(before[:8] + (99).to_bytes(4) + before[12:])


@pytest.mark.parametrize(
    "attack",
    [
        swapped,
        of_another_commune,
        cut,
        emptied,
        huge,
        linked_to_what_never_ends,
        sealed_by_a_key_that_is_gone,
    ],
)
def test_an_object_that_is_not_ours_is_told_and_mended(
    place: Place,
    backups: Backups,
    attack: Callable[[Place], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    attack(place)
    with caplog.at_level(logging.ERROR, "beffroi.drive.upkeep"):
        place.work.round()
    assert "repaired: True" in caplog.text and "repaired: False" not in caplog.text
    assert upkeep.problem(place.config) == ""
    require_sound(place, files)


@pytest.mark.parametrize("attack", [cut, huge])
def test_a_copy_that_is_not_ours_mends_nothing_and_keeps_no_other_from_being_mended(
    place: Place, backups: Backups, attack: Callable[[Place], None]
) -> None:
    filled(place)
    backups.back_up(place.owner)
    first, *_, last = place.objects()
    copied = place.config.state / "drive-backup" / "objects" / place.owner
    attack(place)
    (copied / first.parent.name / first.name).unlink()
    first.rename(copied / first.parent.name / first.name)
    last.write_bytes(b"")
    place.work.round()
    told = upkeep.read_report(place.config).damages
    assert [one.chunk for one in told if not one.is_repaired] == [first.parent.name + first.name]
    assert last.stat().st_size > 0


def test_what_is_not_ours_stays_and_stops_neither_collection_nor_walks_nor_an_erasure(
    place: Place, backups: Backups
) -> None:
    files = filled(place)
    folder = place.config.state / "drive" / "objects" / place.owner
    foreign = [folder / one for one in ("LISEZMOI.txt", "aa/court", f"aa/{'B' * 62}", f"zz/{'a' * 62}")]
    for one in foreign:
        one.parent.mkdir(exist_ok=True)
        one.write_bytes(b"theirs")
    directory = folder / "aa" / ("c" * 62)
    directory.mkdir()
    unknown = LocalObjects(place.config.state / "drive" / "objects")
    unknown.put(object_name(place.owner, noise(32, b"nobody's")), b"named as ours are")
    before = len(place.objects())
    with clock.shifted(8 * DAY_S):
        for one in place.objects():
            os.utime(one, (clock.epoch(), clock.epoch() - 3 * DAY_S))
        place.work.round()
    assert upkeep.read_report(place.config).damages == ()
    require_sound(place, files)
    assert all(one.exists() for one in (*foreign, directory))
    assert len(place.objects()) < before, "what no row knows went"
    backups.back_up(place.owner)
    place.communes.close()
    erase(place.config, place.owner)
    assert removal.is_whole(place.config, place.owner)
    assert sorted(place.objects()) == sorted(foreign)


def test_a_picture_s_list_without_end_is_a_broken_one(place: Place, backups: Backups) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    pictures = place.config.state / "drive-backup" / place.owner / "pictures"
    (good,) = pictures.iterdir()
    long = pictures / "20300101T000000Z.json"
    long.write_bytes(b"")
    os.truncate(long, HUGE_BYTES)
    place.objects()[0].write_bytes(b"")
    place.work.round()
    require_sound(place, files)
    assert good.exists()
