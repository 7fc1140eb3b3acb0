"""A bit flips in each kind of thing that is stored: it is found, named, and mended where a copy is."""

from __future__ import annotations

import errno
import logging
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive import upkeep
from beffroi.drive.backup import vault, work
from beffroi.drive.backup.vault import PROVED_S
from beffroi.drive.backup.work import Backups
from beffroi.drive.store import local_objects
from beffroi.drive.store.keys import Keys
from beffroi.drive.store.objects import StoreUnavailable
from beffroi.drive.upkeep import DAY_S
from beffroi.lib import clock
from beffroi.lib.envelopes import KeyUnreadable

from tests.drive_place import LARGE, Place
from tests.drive_sound import filled, keys, require_sound
from tests.fixtures_drive import noise
from tests.integration.test_drive_backup import backups, place

CHANCE = random.Random(7)

__all__ = ["backups", "place"]


def flipped(data: bytes) -> bytes:
    at = CHANCE.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << CHANCE.randrange(8))]) + data[at + 1 :]


def flip(path: Path) -> None:
    path.write_bytes(flipped(path.read_bytes()))


def copies(place: Place) -> list[Path]:
    folder = place.config.state / "drive-backup" / "objects" / place.owner
    return sorted(one for one in folder.rglob("*") if one.is_file())


def flip_object(place: Place) -> None:
    flip(place.objects()[0])


def flip_inline(place: Place) -> None:
    with place.database.reading() as reading:
        ((chunk, sealed),) = reading.all("SELECT id, sealed FROM chunk WHERE sealed IS NOT NULL LIMIT 1")
    other = flipped(bytes(sealed))
    place.database.write(lambda w: w.run("UPDATE chunk SET sealed = ? WHERE id = ?", (other, chunk)))


def flip_manifest(place: Place) -> None:
    with place.database.reading() as reading:
        ((node, manifest),) = reading.all("SELECT id, manifest FROM node WHERE name = 'très grand'")
    other = flipped(bytes(manifest))
    place.database.write(lambda w: w.run("UPDATE node SET manifest = ? WHERE id = ?", (other, node)))


@pytest.mark.parametrize("round_", range(5))
@pytest.mark.parametrize(
    ("damage", "why"),
    [(flip_object, "damaged"), (flip_inline, "damaged"), (flip_manifest, "manifest")],
)
def test_what_is_stored_is_named_by_its_file_and_mended_from_the_backup(
    place: Place, backups: Backups, damage: Callable[[Place], None], why: str, round_: int
) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    damage(place)
    if round_ % 2:
        backups.back_up(place.owner)  # of which a picture holds the damage, too: an older one is asked
    place.work.round()
    told = [one for one in upkeep.read_report(place.config).damages if one.why != "references"]
    assert {(one.why, one.is_repaired) for one in told} == {(why, True)}
    assert all(told_of.path or why == "damaged" for told_of in told)
    assert upkeep.problem(place.config) == ""
    require_sound(place, files)
    assert list((place.config.state / "drive" / place.owner).glob(".picture-*")) == []


@pytest.mark.parametrize("is_copy", [False, True])
def test_a_bad_sector_is_passed_and_what_lay_there_is_written_elsewhere(
    place: Place, backups: Backups, monkeypatch: pytest.MonkeyPatch, is_copy: bool
) -> None:
    """Of the files, or of the backup: neither walk nor backup waits for what the disk cannot read any more."""
    files = filled(place)
    backups.back_up(place.owner)
    place.age()
    stored = {
        one.name for one in place.objects()
    }  # a piece of a picture that the next one has not stays as it is
    victim = next(one for one in (copies(place) if is_copy else place.objects()) if one.name in stored)
    plain, bad = local_objects._plain, victim.stat().st_ino

    def opened(path: str, flags: int) -> int:
        found = plain(path, flags)
        if os.fstat(found).st_ino == bad:
            os.close(found)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return found

    monkeypatch.setattr(local_objects, "_plain", opened)
    # Open, so that no other file gets its number.
    with victim.open("rb"), clock.shifted(2 * PROVED_S + DAY_S):
        place.work.round()
        assert backups.round().failed == ()
        assert upkeep.problem(place.config) == ""
        assert bad not in {one.stat().st_ino for one in (*place.objects(), *copies(place))}
    require_sound(place, files)


@pytest.mark.parametrize("what", ["pictures/*.json", "keys.json"])
def test_a_bad_sector_of_the_place_keeps_no_other_moment_from_coming_back(
    place: Place, backups: Backups, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    whole = backups.back_up(place.owner).picture
    (bad, *_) = sorted((place.config.state / "drive-backup" / place.owner).glob(what))
    plain = Path.open

    def opened(path: Path, *how: Any, **more: Any) -> Any:
        if path == bad and "b" in how[0] and "r" in how[0]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return plain(path, *how, **more)

    monkeypatch.setattr(Path, "open", opened)
    if bad.name != "keys.json":
        with pytest.raises(StoreUnavailable):  # it may need an old key
            vault.needed(backups.place, place.owner)
    assert backups.restore(place.owner).picture == whole
    require_sound(place, files)
    assert backups.round().failed == ()


@pytest.mark.parametrize("damage", [flip_object, flip_inline, flip_manifest])
def test_what_no_copy_mends_stays_told_until_it_is_whole(
    place: Place, backups: Backups, damage: Callable[[Place], None]
) -> None:
    place.put("petit", b"petit")
    place.put("très grand", noise(LARGE, b"x"))
    damage(place)
    backups.back_up(place.owner)
    place.work.round()
    for days in (1, 2, 8):
        with clock.shifted(days * DAY_S + 60 * days):
            place.work.round()
            assert "1 stored files of the drive are damaged" in upkeep.problem(place.config)


@pytest.mark.parametrize("round_", range(8))
def test_a_key_that_does_not_open_comes_back_from_the_backup(
    place: Place, backups: Backups, round_: int, caplog: pytest.LogCaptureFixture
) -> None:
    files = filled(place)
    keys(place).rotate()
    backups.keep_new_keys()
    path = place.config.state / "drive" / place.owner / "keys.json"
    whole = path.read_bytes()
    while True:
        flip(path)
        try:
            Keys(place.config, place.owner).proved()
        except KeyUnreadable:
            break
        path.write_bytes(whole)  # it hit a date, or what JSON reads the same
    with caplog.at_level(logging.ERROR):
        assert backups.round().failed == ()
    assert place.owner in caplog.text and "came back from the backup" in caplog.text
    fresh, before = Keys(place.config, place.owner), whole
    assert [one.number for one in fresh.generations()] == [1, 2]
    assert backups.place.read(vault.keys_path(place.owner)) in (before, path.read_bytes())
    require_sound(place, files)


def test_a_damaged_key_file_never_takes_the_place_of_the_good_copy(place: Place, backups: Backups) -> None:
    filled(place)
    backups.back_up(place.owner)
    master = place.config.state / "secrets" / "commune-master.key"
    right, good = master.read_text(), backups.place.read(vault.keys_path(place.owner))
    master.write_text("0" * 64)
    for _ in range(2):
        backups.keep_new_keys()
        assert backups.round().failed == (place.owner,)
    assert backups.place.read(vault.keys_path(place.owner)) == good
    master.write_text(right)
    assert backups.round().failed == ()


@pytest.mark.parametrize("round_", range(3))
def test_a_copy_is_found_and_made_again_within_its_term(
    place: Place, backups: Backups, round_: int, caplog: pytest.LogCaptureFixture
) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    place.age()
    assert backups.back_up(place.owner).copied == (0, 0, 0, 0)
    victims = [CHANCE.choice(copies(place))]
    for one in victims:
        flip(one)
    with clock.shifted(2 * PROVED_S + 60):
        place.age()
        with caplog.at_level(logging.ERROR):
            state = backups.round()
        assert all(one.name in caplog.text for one in victims)
        assert state.failed == () and state.broken == 0
        assert backups.round().rotten == 0
    # All is lost but the backup: what it holds is whole.
    place.communes.close()
    for one in place.objects():
        one.unlink()
    (place.config.state / "drive" / place.owner / "metadata.db").unlink()
    assert Backups(place.config, place.communes).restore(place.owner).lost == 0
    require_sound(place, files)


def test_a_damaged_picture_is_told_and_an_older_one_comes_back(
    place: Place, backups: Backups, caplog: pytest.LogCaptureFixture
) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    with clock.shifted(3600):
        backups.back_up(place.owner)
        first, second = sorted((place.config.state / "drive-backup" / place.owner / "pictures").iterdir())
    sound = second.read_bytes()
    for at in range(0, len(sound), max(1, len(sound) // 40)):
        second.write_bytes(sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :])
        found = vault.Vault(backups.place, keys(place))
        broken = found.broken(found.ages())
        assert broken in ([second.name], []), "a number of it may say something else and open all the same"
        assert first.name not in broken
    second.write_bytes(sound.replace(b'"sealed":"', b'"sealed":"AAAA', 1))
    with clock.shifted(7200), caplog.at_level(logging.ERROR):
        state = backups.round()
        assert (state.broken, second.name in caplog.text) == (1, True)
        assert "1 moments cannot come back" in work.problem(place.config, now_s=clock.epoch_s())
    second.unlink()
    assert backups.restore(place.owner, at_s=clock.epoch_s() + 3600).lost == 0
    require_sound(place, files)
