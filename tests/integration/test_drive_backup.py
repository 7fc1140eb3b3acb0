"""Backups of a drive: what is lost or damaged comes back, whole; who has the backup alone has nothing."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from functools import partial
from pathlib import Path

import pytest
from beffroi.drive import upkeep
from beffroi.drive.backup import calendars, vault, work
from beffroi.drive.backup.places import LocalBackups
from beffroi.drive.backup.vault import Vault
from beffroi.drive.backup.work import Backups, NoPicture
from beffroi.drive.calendars import homes
from beffroi.drive.renewal import Renewal
from beffroi.drive.store import look, received, shares, trash, tree
from beffroi.drive.store.keys import KeysErased
from beffroi.drive.store.resealing import QUIET_S
from beffroi.drive.upkeep import DAY_S
from beffroi.lib import clock
from beffroi.lib.ids import new_id

from tests.drive_place import LARGE, Place, place
from tests.drive_sound import body, filled, keys, numbers, require_sound, sealed_by
from tests.drive_trees import require_whole
from tests.fixtures_drive import noise

__all__ = ["place"]


@pytest.fixture
def backups(place: Place) -> Backups:
    return Backups(place.config, place.communes)


def held(place: Place) -> list[Path]:
    return [one for one in (place.config.state / "drive-backup").rglob("*") if one.is_file()]


def test_a_lost_disk_comes_back_whole(place: Place, backups: Backups) -> None:
    assert backups.place.owners() == [], "before the first backup there is no folder"
    files = filled(place)
    assert backups.round().failed == ()
    place.communes.close()
    for one in (place.config.state / "drive").iterdir():
        shutil.rmtree(one) if one.is_dir() else one.unlink()
    again = Backups(place.config, place.communes)
    restored = again.restore(place.owner)
    assert (restored.lost, restored.objects > 5) == (0, True)
    require_sound(place, files)
    with place.database.reading() as reading:
        row = reading.one("SELECT value FROM meta WHERE name = 'fingerprint'")
        assert row is not None and row[0] == restored.fingerprint != ""


@pytest.mark.parametrize("is_accepted", [True, False])
def test_devices_of_who_it_is_shared_with_hear_that_it_came_back(
    place: Place, backups: Backups, *, is_accepted: bool
) -> None:
    """They look at their own root; else what is newer with them is replaced by what came back."""
    filled(place)
    database = place.communes.metadata(new_id("col"))
    database.write(lambda w: received.offer(w, "shr_1", "Beaune", owner=place.owner, now_s=1))
    if is_accepted:
        database.write(lambda w: received.answer(w, place.act(), "shr_1", accepted=True))

    def fingerprint() -> tuple[object, ...] | None:
        with database.reading() as reading:
            return reading.one("SELECT value FROM meta WHERE name = 'fingerprint'")

    backups.back_up(place.owner)
    before = fingerprint()
    backups.restore(place.owner)
    assert (fingerprint() != before) is is_accepted


def test_what_was_shared_with_another_commune_since_has_ended_and_is_not_lost(
    place: Place, backups: Backups
) -> None:
    """Its devices would wait for what does not come back."""
    filled(place)
    backups.back_up(place.owner)
    file, other = place.put("plan.bin", b"plan"), new_id("col")
    wish = shares.Wish("collectivite", target=other)
    made = place.database.write(lambda w: shares.make(w, place.act(), file.id, wish))[0]
    backups.restore(place.owner)
    with place.database.reading() as reading:
        assert look.node(reading, file.id) is None
        assert shares.find(reading, made.id).ended_s
        assert shares.to_collectivite(reading, made.id, other, now_s=clock.epoch_s()) is None


def test_an_offer_that_was_forgotten_since_does_not_come_back(place: Place, backups: Backups) -> None:
    """Its owner has forgotten the share, too, and would seem to have lost it."""
    filled(place)
    owner = new_id("col")
    for one in ("shr_1", "shr_2"):
        place.database.write(lambda w, one=one: received.offer(w, one, "Plans", owner=owner, now_s=1))
        place.database.write(lambda w, one=one: received.answer(w, place.act(), one, accepted=True))
    backups.back_up(place.owner)
    place.database.write(lambda w: received.forget(w, ["shr_1"]))
    backups.restore(place.owner)
    with place.database.reading() as reading:
        assert [one.share_id for one in received.every(reading)] == ["shr_2"]


def test_a_moment_comes_back_with_what_was_destroyed_since(place: Place, backups: Backups) -> None:
    one = place.put("grand", noise(LARGE, b"x"))
    backups.back_up(place.owner)
    at_s = clock.epoch_s()
    place.database.write(lambda w: tree.delete(w, place.act(), one.id))
    with clock.shifted(place.config.drive_trash_days * DAY_S + DAY_S):
        place.age()
        place.work.round()
    with clock.shifted(place.config.drive_trash_days * DAY_S + 4 * DAY_S):
        place.age()
        place.work.round()
        assert place.objects() == []
        late = place.put("nouveau", b"newer")
        backups.back_up(place.owner)
        restored = backups.restore(place.owner, at_s=at_s)
        assert (restored.objects, restored.lost) == (1, 0)
        assert body(place, one) == noise(LARGE, b"x")
        with place.database.reading() as reading:
            assert look.node(reading, late.id) is None
            require_whole(reading)
        assert place.put("après", b"y").etag > late.etag
        assert backups.restore(place.owner).picture.at_s > at_s
        assert body(place, late) == b"newer"
        with pytest.raises(NoPicture):
            backups.restore(place.owner, at_s=at_s - 10)


def test_what_a_restore_has_not_is_whole_again_once_a_device_sends_it(place: Place, backups: Backups) -> None:
    """It does so at once, for it sees that everything is another: what is lost does not pass for present."""
    data = noise(LARGE, b"x")
    one = place.put("grand", data)
    backups.back_up(place.owner)
    (lost,) = place.objects()
    lost.unlink()
    next(copy for copy in held(place) if copy.name == lost.name).unlink()
    assert backups.restore(place.owner).lost == 1
    assert body(place, place.put("renvoyé", data)) == data == body(place, one)


def test_what_no_file_needs_any_more_is_not_lost(place: Place, backups: Backups) -> None:
    """It was collected after the picture, before its objects were copied; who brings it again writes it anew."""
    data = noise(LARGE, b"x")
    one, root = place.put("grand", data), place.root()
    place.database.write(lambda w: tree.delete(w, place.act(), one.id))
    place.database.write(lambda w: trash.empty(w, place.act(), root.id))
    trash.destroy_all(place.database, place.act())
    (loose,) = place.objects()
    loose.unlink()
    backups.back_up(place.owner)
    assert backups.restore(place.owner).lost == 0
    assert body(place, place.put("renvoyé", data)) == data


def test_only_what_is_new_or_sealed_anew_is_copied(place: Place, backups: Backups) -> None:
    place.put("a", noise(LARGE, b"a"))
    assert backups.back_up(place.owner).copied.objects == 1
    assert backups.back_up(place.owner).copied.objects == 1, "it may have been sealed anew meanwhile"
    place.age()
    assert backups.back_up(place.owner).copied == (0, 0, 0, 0)
    place.put("b", noise(LARGE, b"b"))
    assert backups.back_up(place.owner).copied.objects == 1
    keys(place).rotate()
    Renewal(place.config, place.communes).round()
    assert backups.back_up(place.owner).copied.objects == 2


def test_the_weekly_walk_repairs_from_the_backup(place: Place, backups: Backups) -> None:
    files = {
        name: (place.put(name, noise(LARGE, name.encode())), noise(LARGE, name.encode())) for name in "ab"
    }
    backups.back_up(place.owner)
    first, second = place.objects()
    broken = bytearray(first.read_bytes())
    broken[100] ^= 1
    first.write_bytes(broken)
    second.unlink()
    place.work.round()
    assert upkeep.problem(place.config) == ""
    assert {one.is_repaired for one in upkeep.read_report(place.config).damages} == {True}
    require_sound(place, files)


def test_a_backup_that_cannot_be_reached_stops_no_walk(place: Place, backups: Backups) -> None:
    place.put("a", noise(LARGE, b"a"))
    (path,) = place.objects()
    path.unlink()
    (place.config.state / "drive-backup").write_text("no directory")
    place.work.round()
    assert "1 stored files of the drive are damaged" in upkeep.problem(place.config)
    assert backups.round().failed == (place.owner,)


def test_a_damaged_object_never_takes_the_place_of_its_copy(place: Place, backups: Backups) -> None:
    one = place.put("a", noise(LARGE, b"a"))
    backups.back_up(place.owner)
    (path,) = place.objects()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with clock.shifted(60):
        state = backups.round()
    assert state.damaged == 1
    place.work.round()
    assert body(place, one) == noise(LARGE, b"a")


def test_a_key_that_backups_need_stays_until_they_end(place: Place, backups: Backups) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    renewal = Renewal(place.config, place.communes, needed=partial(work.needed, place.config))
    keys(place).rotate()
    renewal.round()
    with clock.shifted(2 * QUIET_S):
        renewal.round()
        assert (numbers(place), sealed_by(place)) == ([1, 2], {2})
        backups.back_up(place.owner)
        backups.restore(place.owner, at_s=clock.epoch_s() - QUIET_S)
        assert 1 in sealed_by(place)
        require_sound(place, files)
        renewal.round()
    with clock.shifted(4 * QUIET_S):
        renewal.round()
        backups.back_up(place.owner)
        assert numbers(place) == [1, 2], "older pictures need it, this one does not"
    with clock.shifted((place.config.backup_keep_days + 3) * DAY_S):
        backups.back_up(place.owner)
    with clock.shifted((place.config.backup_keep_days + 5) * DAY_S):
        backups.back_up(place.owner)
        renewal.round()
        assert numbers(place) == [2]
        assert backups.restore(place.owner).lost == 0
    require_sound(place, files)


def test_pictures_are_spared_by_age() -> None:
    now_s = 100 * DAY_S
    hours = [now_s - 6 * 3600 * n for n in range(4 * 60)]
    gone = vault.spare(hours, now_s=now_s, keep_s=35 * DAY_S)
    kept = sorted(set(hours) - gone)
    assert max(kept) == now_s and min(kept) >= now_s - 35 * DAY_S
    assert len([one for one in kept if now_s - one <= 2 * DAY_S]) == 9
    days = [one // DAY_S for one in kept if now_s - one > 2 * DAY_S]
    assert len(days) == len(set(days)) == 33
    assert vault.spare([5], now_s=now_s, keep_s=DAY_S) == set(), "the last one stays whatever its age"
    assert vault.spare(kept, now_s=now_s, keep_s=35 * DAY_S) == set()


def test_pictures_and_objects_past_their_term_go(place: Place, backups: Backups) -> None:
    one = place.put("a", noise(LARGE, b"a"))
    first = backups.back_up(place.owner).picture
    days = place.config.backup_keep_days
    with clock.shifted((days + 1) * DAY_S):
        backups.back_up(place.owner)
    with clock.shifted((days + 2) * DAY_S):  # terms are counted to the picture of a day ago
        place.age()
        backups.back_up(place.owner)
        made = Vault(backups.place, keys(place))
        assert len(made.pictures()) == 2 and first not in made.pictures()
        assert made.fetch(bytes.fromhex("00" * 32)) is None
        assert backups.restore(place.owner).lost == 0
        assert body(place, one) == noise(LARGE, b"a")


def test_nothing_lies_there_in_clear_and_nothing_opens_once_the_keys_are_gone(
    place: Place, backups: Backups
) -> None:
    place.put("Licenciement de M. Untel.odt", b"rien ne doit se lire ici" * 10)
    place.put("grand", noise(LARGE, b"x"))
    backups.round()
    for path in held(place):
        data = path.read_bytes()
        assert (
            b"Licenciement" not in data
            and b"rien ne doit" not in data
            and noise(LARGE, b"x")[:64] not in data
        )
    kept = place.config.state.parent / "copied"
    shutil.copytree(place.config.state / "drive-backup", kept)
    keys(place).erase("adm_x")
    with pytest.raises(KeysErased):
        backups.restore(place.owner)
    with pytest.raises(KeysErased):
        vault.adopt_keys(place.config, place.owner, LocalBackups(kept))
    assert backups.round().failed == ()
    assert held(place) == []


def test_calendars_come_back_where_they_are_lost_or_asked_for(place: Place, backups: Backups) -> None:
    place.put("a", b"a")
    root = homes.folder(place.config, place.owner) / homes.ROOT
    person = "per_" + "0" * 26
    entry = root / person / "agenda" / "x.ics"
    for one in (entry.parent, root / "mairie" / "agenda", entry.parent / ".Radicale.cache"):
        one.mkdir(parents=True)
    entry.write_text("BEGIN:VCALENDAR")
    (root / person / "mairie-agenda").symlink_to("../mairie/agenda", target_is_directory=True)
    backups.back_up(place.owner)
    entry.write_text("changed")
    backups.restore(place.owner)
    assert entry.read_text() == "changed"
    backups.restore(place.owner, with_calendars=True)
    assert entry.read_text() == "BEGIN:VCALENDAR"
    shutil.rmtree(root.parent)
    backups.restore(place.owner)
    assert entry.read_text() == "BEGIN:VCALENDAR"
    assert (root / person / "mairie-agenda").resolve() == (root / "mairie" / "agenda").resolve()
    assert not (entry.parent / ".Radicale.cache").exists()
    assert [one.name for one in root.parent.iterdir() if one.name.startswith((".fresh", ".gone"))] == []


def test_a_link_that_was_ended_or_used_up_since_opens_nothing_again(place: Place, backups: Backups) -> None:
    node, now_s = place.put("a", b"a"), clock.epoch_s()
    wish = shares.Wish("link", expires_s=now_s + DAY_S, downloads=1)
    made = [place.database.write(lambda w: shares.make(w, place.act(), node.id, wish))[0] for _ in range(4)]
    backups.back_up(place.owner)
    ended, used, forgotten, untouched = made
    place.database.write(lambda w: w.run("DELETE FROM share WHERE id = ?", (forgotten.id,)))
    place.database.write(lambda w: shares.end(w, ended.id, now_s=now_s))
    place.database.write(lambda w: shares.count_download(w, used.id))
    backups.restore(place.owner)
    with place.database.reading() as reading:
        found = {one.id: one for one in shares.every(reading)}
    assert not found[ended.id].is_open(now_s) and not found[forgotten.id].is_open(now_s)
    assert (found[used.id].downloads_left, found[untouched.id].downloads_left) == (0, 1)
    assert found[untouched.id].is_open(now_s)
    # As on a new disk, which somebody uses already.
    place.database.write(lambda w: w.run("DELETE FROM share"))
    assert backups.restore(place.owner)
    with place.database.reading() as reading:
        assert len(shares.all_open(reading, now_s=now_s)) == 4


@pytest.mark.slow
def test_calendars_that_cannot_come_back_leave_those_that_there_are(
    place: Place, backups: Backups, tmp_path: Path
) -> None:
    """An archive without the folder that all lies in."""
    there = homes.folder(place.config, place.owner) / homes.ROOT / "note"
    there.parent.mkdir(parents=True)
    there.write_text("there")
    archive = tmp_path / "archive"
    with tarfile.open(archive, "x"):
        pass
    with pytest.raises(OSError, match="No such file"):
        calendars.load(place.config, place.owner, archive)
    assert there.read_text() == "there"
    assert [
        one.name for one in there.parent.parent.iterdir() if one.name.startswith((".fresh", ".gone"))
    ] == []


@pytest.mark.parametrize("what", ["back_up", "restore"])
def test_a_kill_leaves_nothing_that_the_next_run_must_fear(place: Place, backups: Backups, what: str) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    place.communes.close()
    command = [sys.executable, "-c", RUN, str(place.config.state), place.owner, what]
    chance, kills = random.Random(int(os.environ.get("BEFFROI_TEST_SEED", "1"))), 0
    folder = place.config.state / "drive" / place.owner
    for _ in range(20):
        if kills == 3:
            break
        with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            # What it does may take less than a look every 30 ms.
            assert child.stdout.readline() == b"begins\n"
            time.sleep(chance.uniform(0, 0.05) if kills else 0)
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
                kills += 1
        require_sound(place, files)
        place.communes.close()
    assert kills
    assert not any(b"SQLite format" in one.read_bytes()[:64] for one in held(place)), (
        "names stay off that disk"
    )
    backups.restore(place.owner)
    require_sound(place, files)
    assert list(folder.glob(".picture-*")) == []


RUN = """
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from beffroi.drive.backup.work import Backups
from beffroi.drive.store.commune import Communes
from beffroi.lib.config import Config
config = Config(state=Path(sys.argv[1]))
with ThreadPoolExecutor(2) as pool:
    backups = Backups(config, Communes(config.state / "drive", pool))
    print("begins", flush=True)
    getattr(backups, sys.argv[3])(sys.argv[2])
"""


def test_late_and_failed_backups_are_said(place: Place, backups: Backups) -> None:
    now_s = clock.epoch_s()
    assert work.problem(place.config, now_s=now_s) == ""
    place.put("a", noise(LARGE, b"a"))
    backups.round()
    assert work.problem(place.config, now_s=now_s) == ""
    assert "not backed up for 30 hours" in work.problem(place.config, now_s=clock.epoch_s() + 30 * 3600)
    (place.config.state / "secrets" / "commune-master.key").write_text("other")
    place.communes.close()
    assert len(Backups(place.config, place.communes).round().failed) == 1
    assert "not backed up (col_" in work.problem(place.config, now_s=now_s)
