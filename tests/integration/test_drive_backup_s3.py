"""Files in a bucket, backups in a bucket, and both: what a directory does, an S3 service does, too."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from beffroi.drive import removal, upkeep
from beffroi.drive.backup import vault, work
from beffroi.drive.backup.places import LocalBackups, S3Backups, open_place
from beffroi.drive.backup.work import Backups
from beffroi.drive.renewal import Renewal
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.object_store import open_objects
from beffroi.drive.store.objects import StoreUnavailable
from beffroi.drive.store.s3_objects import S3Place
from beffroi.lib import clock, ids
from beffroi.lib.config import Config, SettingInvalid

from tests.drive_place import Place, placed
from tests.drive_sound import filled, keys, require_sound
from tests.fixtures_drive import erase, new_config, s3_server, with_others_keys


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Place]:
    with s3_server(tmp_path_factory.mktemp("s3") / "served") as place:
        yield place


@dataclass(frozen=True)
class Bucket:
    """Where the server keeps what lies in the bucket."""

    folder: Path

    def files(self, *parts: str) -> list[Path]:
        return sorted(one for one in self.folder.joinpath(*parts).rglob("*") if one.is_file())


def named(config: Config, s3: S3Place, folder: str, *, objects: bool, backups: bool) -> Config:
    words = f"{s3.access_key}\n{s3.secret_key}\n"
    url = f"s3://{s3.bucket}/{folder}/KIND?endpoint={s3.endpoint}"
    for name in ("drive-objects.key", "drive-backup.key"):
        (config.state / "secrets" / name).write_text(words)
    return replace(
        config,
        drive_objects=url.replace("KIND", "files") if objects else "",
        drive_backup_path=url.replace("KIND", "backup") if backups else "",
    )


@pytest.fixture(params=["files", "backup", "both"])
def place(request: pytest.FixtureRequest, s3: S3Place, tmp_path: Path) -> Iterator[Place]:
    config = named(
        new_config(tmp_path / "state"),
        s3,
        tmp_path.name,
        objects=request.param != "backup",
        backups=request.param != "files",
    )
    with placed(config) as one:
        yield one


@pytest.fixture
def backups(place: Place) -> Backups:
    return Backups(place.config, place.communes)


def test_a_lost_machine_comes_back_from_there(place: Place, backups: Backups) -> None:
    files = filled(place)
    objects = open_objects(place.config)
    assert backups.round().failed == ()
    assert backups.round().failed == ()
    assert backups.place.owners() == [place.owner] and backups.place.has(place.owner)
    place.communes.close()
    shutil.rmtree(place.config.state / "drive")
    for one in list(objects.list(place.owner)):
        objects.delete(one.name)
    restored = Backups(place.config, place.communes).restore(place.owner)
    assert (restored.lost, restored.objects > 5) == (0, True)
    require_sound(place, files)


def test_damage_is_mended_and_copies_are_proved(
    place: Place, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    objects = open_objects(place.config)
    first, *_ = sorted(one.name for one in objects.list(place.owner))
    broken = bytearray(objects.get(first))
    broken[99] ^= 1
    objects.put(first, bytes(broken))
    place.work.round()
    assert [one.is_repaired for one in upkeep.read_report(place.config).damages] == [True] * len(
        upkeep.read_report(place.config).damages
    )
    assert upkeep.problem(place.config) == ""
    copies = backups.place.objects
    copy = bytearray(copies.get(first))
    copy[99] ^= 1
    copies.put(first, bytes(copy))
    monkeypatch.setattr(vault, "PROVED_S", -1.0)
    monkeypatch.setattr(vault, "SLACK_S", -3600)
    assert backups.round().failed == ()
    assert backups.round().rotten == 0
    assert bytes(copies.get(first)) == bytes(objects.get(first))
    require_sound(place, files)


def test_keys_are_replaced_with_what_lies_there(place: Place, backups: Backups) -> None:
    files = filled(place)
    backups.back_up(place.owner)
    keys(place).rotate()
    Renewal(place.config, place.communes).round()
    copied = backups.back_up(place.owner).copied
    assert copied.objects == len(list(open_objects(place.config).list(place.owner)))
    assert work.needed(place.config, place.owner) == {1, 2}
    assert backups.restore(place.owner).lost == 0
    require_sound(place, files)


def test_an_erasure_reaches_it(place: Place, backups: Backups) -> None:
    filled(place)
    backups.round()
    other = Place(place.config, place.communes, place.bodies, place.work, ids.new_id("col"))
    other.put("voisin", b"voisin")
    backups.round()
    place.communes.close()
    erase(place.config, place.owner)
    assert removal.is_whole(place.config, place.owner)
    assert not backups.place.has(place.owner) and backups.place.has(other.owner)
    assert list(backups.place.objects.list(place.owner)) == []
    assert backups.round().failed == ()


def test_what_others_put_in_the_buckets_keeps_nobody_s_files_from_their_care(
    s3: S3Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with with_others_keys(s3, "/private", "00/../private") as door:
        config = named(new_config(tmp_path / "state"), door, tmp_path.name, objects=True, backups=True)
        with placed(config) as place:
            files, backups = filled(place), Backups(place.config, place.communes)
            assert backups.round().failed == ()
            for days in (0, 2):  # walks, and a collection
                with clock.shifted(days * 86400):
                    place.work.look_after(place.owner)
            assert backups.round().failed == () and upkeep.problem(config) == ""
            require_sound(place, files)
            assert backups.place.owners() == [place.owner]
            place.communes.close()
            erase(config, place.owner)
            assert removal.is_whole(config, place.owner)
    assert "passed over" in caplog.text and "private" not in caplog.text


def test_terms_end_there_too(place: Place, backups: Backups) -> None:
    filled(place)
    first = backups.back_up(place.owner).picture
    for days in (30, 31):  # terms are counted to the picture of a day ago
        with clock.shifted((place.config.backup_keep_days + days) * 86400):
            backups.back_up(place.owner)
    with clock.shifted((place.config.backup_keep_days + 31) * 86400):
        found = vault.Vault(backups.place, keys(place))
        assert len(found.pictures()) == 2 and first not in found.pictures()
        assert found.broken(found.ages()) == []
        assert backups.restore(place.owner).lost == 0


def test_a_place_that_does_not_answer_is_told_and_keeps_the_keys(
    s3: S3Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with s3_server(tmp_path / "gone") as away:
        config = named(new_config(tmp_path / "state"), away, "x", objects=False, backups=True)
        with placed(config) as place:
            place.put("a", b"a")
            assert Backups(config, place.communes).round().failed == ()
    (config.state / "secrets" / "drive-backup.key").write_text("another key")
    config = replace(config, drive_backup_path=f"s3://coffre/x?endpoint={s3.endpoint}")
    with ThreadPoolExecutor(2) as commits:
        communes = Communes(config.state / "drive", commits)
        assert Backups(config, communes).round().failed == (place.owner,)
        assert "403 InvalidAccessKeyId" in caplog.text, "why"
        with pytest.raises(StoreUnavailable):
            work.needed(config, place.owner)
        communes.close()
    assert "not backed up" in work.problem(config, now_s=clock.epoch_s())


def test_what_shares_a_disk_or_a_bucket_is_told(s3: S3Place, tmp_path: Path) -> None:
    config = new_config(tmp_path / "state")
    assert "one broken disk takes both" in work.advice(config)
    assert "one broken disk" in work.advice(
        replace(config, drive_backup_path=str(tmp_path / "else" / "where"))
    )
    assert work.advice(replace(config, drive_backup_path="/dev/shm/beffroi-no-such-place")) == ""
    assert work.advice(named(config, s3, "x", objects=False, backups=True)) == ""
    assert work.advice(named(config, s3, "x", objects=True, backups=False)) != "", "names and keys lie there"
    assert "bucket" in work.advice(named(config, s3, "x", objects=True, backups=True))


def test_the_setting_leads_to_a_directory_or_a_bucket(tmp_path: Path) -> None:
    config = new_config(tmp_path / "state")
    assert str(open_place(config)) == str(config.state / "drive-backup")
    assert isinstance(open_place(replace(config, drive_backup_path="/srv/x")), LocalBackups)
    for wrong in ("srv/x", "s3://", "s3://b/f?endpoint=http://elsewhere.example"):
        with pytest.raises(SettingInvalid):
            open_place(replace(config, drive_backup_path=wrong))
    (config.state / "secrets" / "drive-backup.key").write_text("one two")
    found = open_place(replace(config, drive_backup_path="s3://b/f?endpoint=https://s3.example"))
    assert isinstance(found, S3Backups) and str(found) == "s3://b/f/"
