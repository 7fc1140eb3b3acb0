"""Backups and restores that meet each other, a form of another program, a wrong clock, a place that is not there."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive import removal, upkeep
from beffroi.drive.backup import pictures, turns, vault, work
from beffroi.drive.backup.vault import PROVED_S, Vault
from beffroi.drive.backup.work import Backups, NoPicture
from beffroi.drive.renewal import Renewal
from beffroi.drive.store import keys as keys_
from beffroi.drive.store.preparing import FormatUnknown
from beffroi.drive.store.resealing import QUIET_S
from beffroi.drive.store.sqlite import MetadataDamaged
from beffroi.drive.upkeep import DAY_S
from beffroi.lib import clock, ids

from tests.drive_place import LARGE, Place, placed
from tests.drive_sound import filled, keys, numbers, require_sound
from tests.drive_trees import require_whole
from tests.fixtures_drive import erase, noise
from tests.integration.test_drive_backup import backups, place

__all__ = ["backups", "place"]


def test_restores_backups_and_walks_at_once_wait_for_each_other(place: Place, backups: Backups) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    for one in place.objects()[:2]:
        one.unlink()
    with ThreadPoolExecutor(6) as threads:
        restores = [threads.submit(backups.restore, place.owner) for _ in range(3)]
        others: list[Future[Any]] = [
            threads.submit(backups.back_up, place.owner),
            threads.submit(place.work.round),
        ]
        assert [one.result().lost for one in restores] == [0, 0, 0]
        assert len({one.result().fingerprint for one in restores}) == 3
        for other in others:
            other.result()
    require_sound(place, files)
    assert list((place.config.state / "drive" / place.owner).glob(".picture-*")) == []


def altered(backups: Backups, place: Place, sql: str) -> None:
    """A picture as another program would have made it."""
    with turns.draft(place.config, place.owner) as draft:
        made = Vault(backups.place, keys(place))
        newest = made.pictures()[-1]
        made.open_kept(newest.metadata, draft / "picture")
        with closing(sqlite3.connect(draft / "picture")) as raw:
            raw.executescript(sql)
        made.keep_picture(
            draft / "picture", None, number=newest.number, now_s=newest.at_s + 1, ages=made.ages()
        )


def test_a_picture_of_an_older_program_comes_forward(place: Place, backups: Backups) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    gone = ("weight", "beside", "seal", "scanned", "finding", "mount", "word_due")
    older = (
        ";".join(f"DROP TABLE {one}" for one in gone)
        + ";DELETE FROM meta WHERE name IN ('weighed', 'tables')"
    )
    altered(backups, place, older)
    place.put("tard", noise(LARGE, b"late"))
    assert backups.restore(place.owner).lost == 0
    require_sound(place, files)
    with place.database.reading() as reading:
        require_whole(reading)


def test_a_picture_of_a_newer_program_is_refused_before_anything_changes(
    place: Place, backups: Backups
) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    altered(backups, place, "UPDATE meta SET value = '999' WHERE name = 'format'")
    late = place.put("tard", noise(LARGE, b"late"))
    with pytest.raises(FormatUnknown):
        backups.restore(place.owner)
    with place.database.reading() as reading:
        assert reading.one("SELECT 1 FROM node WHERE id = ?", (late.id,)) is not None
    require_sound(place, files)


def test_a_clock_that_jumps_forward_ends_no_backup(place: Place, backups: Backups) -> None:
    files = filled(place)
    clock.paced()
    backups.round()
    copies = {one for one in (place.config.state / "drive-backup").rglob("*") if one.is_file()}
    with clock.jumped(3650 * DAY_S):
        for _ in range(2):
            assert backups.round().failed == ()
    assert copies <= set((place.config.state / "drive-backup").rglob("*"))
    assert all(one.at_s <= clock.epoch_s() + 60 for one in Vault(backups.place, keys(place)).pictures())
    assert work.problem(place.config, now_s=clock.epoch_s()) == ""
    assert backups.restore(place.owner).lost == 0
    require_sound(place, files)


def test_pictures_and_their_pieces_outlast_a_clock_that_stands_years_ahead_for_some_hours(
    place: Place, backups: Backups
) -> None:
    files = filled(place)
    before = set(place.objects())
    files["jeté"] = (place.put("jeté", noise(LARGE, b"gone")), noise(LARGE, b"gone"))
    first = backups.back_up(place.owner).picture.at_s
    for one in set(place.objects()) - before:
        one.unlink()  # as once it was destroyed: only the picture needs it
    clock.paced()
    with clock.jumped(3650 * DAY_S):
        clock.paced()
        for hours in (2, 8, 14):
            with clock.shifted(hours * 3600):  # by then it is believed
                backups.back_up(place.owner)
    backups.back_up(place.owner)
    assert first in {one.at_s for one in Vault(backups.place, keys(place)).pictures()}
    assert backups.restore(place.owner, at_s=first).lost == 0
    require_sound(place, files)


def test_a_machine_that_started_with_a_wrong_clock_backs_up_once_it_is_right(
    place: Place, backups: Backups
) -> None:
    files = filled(place)
    with clock.shifted(3650 * DAY_S):
        assert backups.round().failed == ()
    assert "not backed up" in work.problem(place.config, now_s=clock.epoch_s())
    files["neuf"] = (place.put("neuf", b"neuf"), b"neuf")
    assert backups.round().failed == ()
    assert work.problem(place.config, now_s=clock.epoch_s()) == ""
    assert backups.restore(place.owner).picture.at_s <= clock.epoch_s(), "not the one from the future"
    require_sound(place, files)


def test_a_place_that_is_not_mounted_costs_no_key(place: Place, backups: Backups) -> None:
    files = filled(place)
    backups.round()
    renewal = Renewal(place.config, place.communes, needed=lambda owner: work.needed(place.config, owner))
    keys(place).rotate()
    renewal.round()
    held, away = place.config.state / "drive-backup", place.config.state / "away"
    held.rename(away)
    with clock.shifted(2 * QUIET_S):
        renewal.round()
        with pytest.raises(NoPicture):
            work.needed(place.config, place.owner)
        assert numbers(place) == [1, 2]
        if held.exists():
            shutil.rmtree(held)
        away.rename(held)
        assert backups.restore(place.owner).lost == 0
    require_sound(place, files)


def test_nothing_is_begun_anew_in_the_empty_directory_of_a_disk_that_is_not_mounted(
    place: Place, tmp_path: Path
) -> None:
    files, disk = filled(place), tmp_path / "disk"
    config = dataclasses.replace(place.config, drive_backup_path=str(disk))
    backups = Backups(config, place.communes)
    assert backups.round().failed == ()
    disk.rename(tmp_path / "away")
    disk.mkdir()
    again = Backups(config, place.communes)
    again.keep_new_keys()
    assert again.round().failed == (place.owner,)
    assert not list(disk.iterdir())
    assert "is its disk mounted" in work.problem(config, now_s=clock.epoch_s())
    other = dataclasses.replace(config, drive_backup_path=str(tmp_path / "other"))
    assert work.problem(other, now_s=clock.epoch_s()) != work.problem(config, now_s=clock.epoch_s())
    disk.rmdir()
    (tmp_path / "away").rename(disk)
    assert again.round().failed == () and work.problem(config, now_s=clock.epoch_s()) == ""
    assert again.restore(place.owner).lost == 0
    require_sound(place, files)
    shutil.rmtree(disk)
    (config.state / "drive" / "backup-made-in").unlink()
    anew = Backups(config, place.communes)
    assert anew.round().failed == (), "who lost it for good says so"


def test_lost_keys_come_back_by_themselves_and_erased_ones_do_not(place: Place, backups: Backups) -> None:
    files = filled(place)
    backups.round()
    folder = place.config.state / "drive" / place.owner
    (folder / "keys.json").unlink()
    assert backups.round().failed == ()
    require_sound(place, files)
    kept = place.config.state / "kept"
    shutil.copytree(place.config.state / "drive-backup", kept)
    place.communes.close()
    erase(place.config, place.owner)
    shutil.copytree(kept, place.config.state / "drive-backup", dirs_exist_ok=True)
    backups.round()
    assert not (folder / "keys.json").exists() and not backups.place.has(place.owner)
    with pytest.raises(keys_.KeysErased):
        backups.restore(place.owner)


def damage(path: Path) -> None:
    """A wrong bit where SQLite meets it only as it reads versions of files."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'version'").fetchone()
        (page_bytes,) = raw.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * page_bytes)
        kind = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([kind ^ 0x08]))


def test_damaged_metadata_are_told_and_take_the_place_of_no_whole_picture(
    place: Place, backups: Backups, caplog: pytest.LogCaptureFixture
) -> None:
    files = filled(place)
    assert backups.round().failed == ()
    kept = Vault(backups.place, keys(place)).pictures()
    place.communes.close()
    metadata = place.config.state / "drive" / place.owner / "metadata.db"
    damage(metadata)
    state = backups.round()
    assert state.failed == (place.owner,) and "drive.metadata_damaged" in caplog.text
    assert place.owner in work.problem(place.config, now_s=clock.epoch_s())
    assert Vault(backups.place, keys(place)).pictures() == kept
    with pytest.raises(MetadataDamaged):
        backups.restore(place.owner)
    place.communes.close()
    for one in metadata.parent.glob("metadata.db*"):
        one.unlink()
    assert backups.restore(place.owner).lost == 0
    require_sound(place, files)


def test_a_damaged_picture_is_refused_before_anything_changes(
    place: Place, backups: Backups, tmp_path: Path
) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    pictures.take(place.database, tmp_path / "damaged")
    damage(tmp_path / "damaged")
    found, now_s = Vault(backups.place, keys(place)), clock.epoch_s()
    found.keep_picture(tmp_path / "damaged", None, number=1, now_s=now_s + 60, ages=found.ages())
    with pytest.raises(MetadataDamaged):
        backups.restore(place.owner)
    require_sound(place, files)
    assert backups.restore(place.owner, at_s=now_s + 30).lost == 0
    require_sound(place, files)


def test_a_picture_that_is_no_database_stops_no_walk(place: Place, backups: Backups, tmp_path: Path) -> None:
    place.put("petit", b"small")
    backups.back_up(place.owner)
    (tmp_path / "none").write_bytes(b"no database" * 1000)
    found = Vault(backups.place, keys(place))
    found.keep_picture(tmp_path / "none", None, number=1, now_s=clock.epoch_s() + 60, ages=found.ages())
    place.database.write(lambda w: w.run("UPDATE chunk SET sealed = ?", (b"damaged",)))
    place.work.round()
    (told,) = upkeep.read_report(place.config).damages
    assert (told.path, told.is_repaired) == ("petit", True)


def test_one_that_fails_is_tried_again_alone(place: Place, backups: Backups) -> None:
    place.put("a", b"a")
    broken = place.config.state / "drive" / ids.new_id("col")
    keys_.make(place.config, broken.name)
    (broken / "metadata.db").write_bytes(b"no database" * 1000)
    pictures = place.config.state / "drive-backup" / place.owner / "pictures"
    for minutes in range(0, 120, 5):
        with clock.shifted(minutes * 60):
            backups.turn(now_s=clock.paced_s())
    state = work.read_state(place.config)
    assert (state.failed, state.communes, state.done_s) == ((broken.name,), 1, 0)
    assert len(list(pictures.iterdir())) == 1
    shutil.rmtree(broken)
    with clock.shifted(7200):
        backups.turn(now_s=clock.paced_s())
    state = work.read_state(place.config)
    assert (state.failed, state.communes, state.done_s) == ((), 1, state.round_s) and state.done_s
    with clock.shifted((place.config.backup_every_h + 1) * 3600):
        backups.turn(now_s=clock.paced_s())
    assert len(list(pictures.iterdir())) == 2


def test_a_key_that_came_while_a_picture_was_sealed_is_one_that_it_needs(
    place: Place, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("a", b"a")
    sealed = Vault._sealed

    def later(self: Vault, *given: Any) -> vault.Kept:
        keys(place).rotate()
        return sealed(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Vault, "_sealed", later)
        assert backups.back_up(place.owner).picture.generations == (1, 2)
    assert vault.needed(backups.place, place.owner) == {1, 2}


def test_lost_keys_without_a_copy_are_told_and_who_never_had_any_is_not(
    place: Place, backups: Backups
) -> None:
    folder = place.config.state / "drive" / place.owner
    assert place.database is not None and backups.round().failed == ()
    place.put("a", b"a")
    (folder / "keys.json").unlink()
    place.work.round()
    assert not (folder / "keys.json").exists()
    assert backups.round().failed == (place.owner,)


def test_keys_that_were_made_after_a_loss_never_take_the_place_of_those_of_the_backup(
    place: Place, backups: Backups
) -> None:
    """The disk is lost, and somebody stores a file before it comes back from the backup."""
    files = filled(place)
    assert backups.round().failed == ()
    good = backups.place.read(vault.keys_path(place.owner))
    place.communes.close()
    for one in (place.config.state / "drive").iterdir():
        shutil.rmtree(one) if one.is_dir() else one.unlink()
    with placed(place.config) as after:
        after.owner = place.owner
        after.put("depuis", noise(LARGE, b"since"))
        after.work.round()
        again = Backups(after.config, after.communes)
        again.keep_new_keys()
        assert again.round().failed == (place.owner,)
        assert again.place.read(vault.keys_path(place.owner)) == good
        assert again.restore(place.owner).lost == 0
        require_sound(after, files)
        assert again.round().failed == ()


def test_links_in_the_place_lead_an_erasure_nowhere(place: Place, backups: Backups, tmp_path: Path) -> None:
    filled(place)
    backups.round()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    held = place.config.state / "drive-backup" / place.owner
    shutil.rmtree(held)
    held.symlink_to(outside, target_is_directory=True)
    place.communes.close()
    erase(place.config, place.owner)
    assert removal.is_whole(place.config, place.owner) and not os.path.lexists(held)
    assert (outside / "file").read_text() == "kept"


def test_what_nobody_needs_any_more_stays_as_long_as_pictures_do(place: Place, backups: Backups) -> None:
    """Whatever the rhythm in which copies are proved."""
    one = place.put("grand", noise(LARGE, b"x"))
    backups.back_up(place.owner)
    name = place.objects()[0].relative_to(place.config.state / "drive" / "objects")
    copy = place.config.state / "drive-backup" / "objects" / name
    place.objects()[0].unlink()  # destroyed, collected
    days = place.config.backup_keep_days
    with clock.shifted((days + 1) * DAY_S):
        backups.back_up(place.owner)
        assert copy.exists()
    for later in (3, 4):  # terms are counted to the picture of a day ago
        with clock.shifted((days + later) * DAY_S + 2 * PROVED_S):
            backups.back_up(place.owner)
    assert not copy.exists()
    assert one.size_bytes == LARGE
