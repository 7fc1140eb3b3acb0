"""Keys in a bucket that no object has and that a list stumbles over: all else goes on, and each is told once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import obstore
import pytest
from beffroi.drive import removal, upkeep
from beffroi.drive.backup.work import Backups
from beffroi.drive.store import bucket_listing
from beffroi.drive.store.objects import S3Objects, S3Place, StoreUnavailable, object_name, open_objects
from beffroi.drive.upkeep import DAY_S
from beffroi.lib import clock
from obstore.exceptions import InvalidPathError

from tests.bucket_door import ODD, with_odd_keys
from tests.fixtures_drive import new_config, noise, s3_server
from tests.integration.test_drive_backup_s3 import named
from tests.integration.test_drive_renewal import filled, require_sound
from tests.integration.test_drive_upkeep import placed

COL = "col_" + "0" * 26
KEYS = ("/x", "./x", "7f/../x", "\n/x", "ff/\x7f")
"""Below a folder."""


class Bucket(NamedTuple):
    """``asked``: lists that were asked for. ``folder``: where the server keeps what lies in the bucket."""

    place: S3Place
    asked: list[str]
    folder: Path

    def plant(self, key: str, data: bytes = b"theirs") -> None:
        """As somebody puts it there; before the server looked."""
        told = {segment: stored for stored, segment in ODD.items()}
        path = self.folder.joinpath(*(told.get(one, one) for one in key.split("/")))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr(bucket_listing, "_told", set[tuple[str, str]]())
    with s3_server(tmp_path / "served") as place, with_odd_keys(place) as (seen, asked):
        yield Bucket(seen, asked, tmp_path / "served" / "coffre")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "beffroi.drive.objects"]


def test_what_is_ours_is_listed_past_keys_on_any_page_and_each_is_told_once(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    names = sorted(object_name(COL, noise(32, b"%d" % number)) for number in range(2500))
    for one in names:
        bucket.plant(f"a/{one}", b"sealed")
    for key in KEYS:
        bucket.plant(f"a/{COL}/{key}")
    objects = S3Objects(bucket.place)
    with pytest.raises(InvalidPathError):
        list(obstore.list(objects.store, f"a/{COL}"))
    for _ in range(2):
        found = list(objects.list(COL))
        assert [one.name for one in found] == names
        assert {one.size_bytes for one in found} == {6} and all(0 <= one.age_s < 600 for one in found)
    assert any("continuation-token=" in one for one in bucket.asked)
    assert len(told(caplog)) == len(KEYS)
    for key in KEYS:
        assert sum(f"remove {f'a/{COL}/{key}'!a} from the bucket coffre" in one for one in told(caplog)) == 1
    assert bucket.place.secret_key not in caplog.text


def test_a_service_that_does_not_take_the_signature_is_unavailable(bucket: Bucket) -> None:
    """Not an empty list: what is not there would be taken for lost."""
    bucket.plant(f"a/{COL}/\n/x")
    objects = S3Objects(bucket.place)
    objects._place = replace(bucket.place, secret_key="another")
    with pytest.raises(StoreUnavailable):
        list(objects.list(COL))


def test_collection_walks_backups_restore_and_erasure_go_on(
    bucket: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = named(new_config(tmp_path / "state"), bucket.place, "x", objects=True, backups=True)
    with placed(config) as place, caplog.at_level(logging.INFO):
        lies = (
            f"x/files/{place.owner}",
            f"x/backup/{place.owner}/pictures",
            f"x/backup/objects/{place.owner}",
        )
        for folder in lies:
            for key in KEYS:
                bucket.plant(f"{folder}/{key}")
        bucket.plant("x/backup//y")
        bucket.plant(f"x/files/{object_name(place.owner, bytes(32))}", b"nobody's")
        files, backups = filled(place), Backups(config, place.communes)
        objects = open_objects(config)
        with clock.shifted(8 * DAY_S):
            place.work.round()
        assert not objects.exists(object_name(place.owner, bytes(32))), "what no row knows went"
        assert upkeep.read_report(config).damages == () and upkeep.problem(config) == ""
        assert backups.round().failed == () and backups.round().failed == ()
        assert backups.place.owners() == [place.owner]
        assert backups.restore(place.owner).lost == 0
        require_sound(place, files)
        assert len(told(caplog)) == len(lies) * len(KEYS) + 1
        place.communes.close()
        removal.destroy(config, place.owner, by="adm_x adm_y")
        assert removal.is_whole(config, place.owner)
        assert list(objects.list(place.owner)) == []
