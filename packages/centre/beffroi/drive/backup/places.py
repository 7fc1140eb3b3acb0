"""A place of backups: a directory, or a bucket of an S3 service. What lies there by path, and objects by name.

Rule:    an object's age says when it was written or proved last (``renew``); that is what terms go by.
Fails:   StoreFull, StoreUnavailable. What was acknowledged is on the disk.
Source:  docs/internals/drive.md, "Backup".
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Protocol

import obstore

from beffroi.drive.store import s3_listing
from beffroi.drive.store.local_objects import LocalObjects
from beffroi.drive.store.objects import BAD_SECTOR, ObjectMissing, Objects, StoreUnavailable, failures
from beffroi.drive.store.s3_objects import S3Objects, s3_place
from beffroi.drive.store.sealing import Bytes
from beffroi.lib import clock, durable
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.ids import is_id

S3_SECRET = "drive-backup.key"  # noqa: S105 - the name of the file
SETTING = "drive_backup_path"
_OBJECTS = "objects"
_CLOCK = "clock"
_MADE = "made"
"""An empty file, there since the first backup."""
MOST_READ_BYTES = 64 << 20
"""Of a picture's list: that of metadata of terabytes is shorter."""


class Place(Protocol):
    """Any thread may call any method; each blocks. Errors of each: StoreFull, StoreUnavailable."""

    @property
    def objects(self) -> Objects: ...

    def write(self, path: str, data: bytes) -> None:
        """Whole or not at all. ``path``: of ours, relative."""

    def read(self, path: str) -> bytes | None:
        """None where nothing is; empty for what is longer than anything that we write, or lies on a bad sector."""

    def names(self, folder: str) -> list[str]:
        """Of what lies in a folder, sorted; none where there is no such folder."""

    def remove(self, path: str) -> None:
        """Nothing happens where nothing is."""

    def renew(self, name: str, data: Bytes) -> None:
        """An object that was proved is as young as if it had been written now. ``data``: all of it."""

    def ahead_s(self) -> float:
        """How old something seems that is written now: a clock of ours or of theirs that is wrong makes nothing old."""

    def owners(self) -> list[str]:
        """Whose backups lie here."""

    def erase(self, collectivite_id: str) -> Iterator[None]:
        """Everything of a collectivité, in pieces. Called again, it goes on where it was cut."""

    def has(self, collectivite_id: str) -> bool: ...

    def shares_disk(self, config: Config) -> bool:
        """Whether one broken disk, or one lost bucket, takes files and backups together."""


def open_place(config: Config) -> Place:
    """What the setting says; empty: STATE/drive-backup. Errors: SettingInvalid, StoreUnavailable."""
    if config.drive_backup_path.startswith("s3:"):
        return S3Backups(config)
    return LocalBackups(directory(config))


class PlaceAway(StoreUnavailable):
    """{} holds no backups any more: is its disk mounted? Where it is lost, they begin anew after: rm {}"""

    code = "drive.backup_place_away"


def away(config: Config) -> PlaceAway | None:
    """An empty directory where backups were made is one where a disk is not mounted. None where all is well."""
    if not config.drive_backup_path.startswith("/"):
        return None
    folder = directory(config)
    is_away = _is_known(config, folder) and not (folder / _MADE).exists()
    return PlaceAway(folder, _known(config)) if is_away else None


def begin(config: Config) -> None:
    """Before something is written to the place. Errors: PlaceAway, StoreUnavailable, StoreFull."""
    if error := away(config):
        raise error
    if config.drive_backup_path.startswith("/"):
        folder = directory(config)
        with failures():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / _MADE).touch(mode=0o600)
            if not _is_known(config, folder):
                durable.write(_known(config), (str(folder).encode(),), mode=0o600)


def _is_known(config: Config, folder: Path) -> bool:
    """Whether backups were made there; False for who may not know."""
    with suppress(OSError):
        return _known(config).read_text("utf-8") == str(folder)
    return False


def _known(config: Config) -> Path:
    return config.state / "drive" / "backup-made-in"


def directory(config: Config) -> Path:
    """Errors: SettingInvalid."""
    if config.drive_backup_path and not Path(config.drive_backup_path).is_absolute():
        raise SettingInvalid(SETTING, config.state / "beffroi.toml", "must be an absolute path")
    return Path(config.drive_backup_path) if config.drive_backup_path else config.state / "drive-backup"


class LocalBackups:
    """``root``: made at the first write, 0700."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def objects(self) -> Objects:
        return LocalObjects(self._root / _OBJECTS)

    def __str__(self) -> str:
        return str(self._root)

    def write(self, path: str, data: bytes) -> None:
        with failures():
            (self._root / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.write(self._root / path, (data,), mode=0o600)

    def read(self, path: str) -> bytes | None:
        with failures():
            try:
                with (self._root / path).open("rb") as file:
                    data = file.read(MOST_READ_BYTES + 1)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno not in BAD_SECTOR:
                    raise
                return b""
        return data if len(data) <= MOST_READ_BYTES else b""

    def names(self, folder: str) -> list[str]:
        with failures():
            try:
                return sorted(
                    one.name for one in (self._root / folder).iterdir() if not one.name.startswith(".")
                )
            except FileNotFoundError:
                return []

    def remove(self, path: str) -> None:
        with failures():
            (self._root / path).unlink(missing_ok=True)

    def renew(self, name: str, data: Bytes) -> None:
        with failures(), suppress(FileNotFoundError):
            now = clock.epoch()
            os.utime(self._root / _OBJECTS / name, (now, now))

    def ahead_s(self) -> float:
        return clock.epoch() - clock.paced()

    def owners(self) -> list[str]:
        return [one for one in self.names("") if is_id(one, "col")]

    def erase(self, collectivite_id: str) -> Iterator[None]:
        with failures():
            for folder in self._folders(collectivite_id):
                if folder.is_symlink():
                    folder.unlink()
                elif folder.exists():
                    for one in list(folder.iterdir()):
                        if one.is_dir() and not one.is_symlink():
                            shutil.rmtree(one)
                            yield
                    shutil.rmtree(folder)

    def has(self, collectivite_id: str) -> bool:
        with failures():
            return any(folder.exists(follow_symlinks=False) for folder in self._folders(collectivite_id))

    def shares_disk(self, config: Config) -> bool:
        with failures():
            own = config.state / "drive"
            return _nearest(self._root).stat().st_dev == _nearest(own).stat().st_dev

    def _folders(self, collectivite_id: str) -> tuple[Path, Path]:
        assert is_id(collectivite_id, "col")
        return self._root / collectivite_id, self._root / _OBJECTS / collectivite_id


class S3Backups:
    """BUCKET/FOLDER: the same layout. Errors: SettingInvalid."""

    def __init__(self, config: Config) -> None:
        place = s3_place(config, SETTING, S3_SECRET)
        self._place = place
        self._store = S3Objects(place).store
        self._folder = f"{place.folder}/" if place.folder else ""

    @cached_property
    def objects(self) -> Objects:
        return S3Objects(self._place.below(_OBJECTS))

    def __str__(self) -> str:
        return f"s3://{self._place.bucket}/{self._folder}"

    def write(self, path: str, data: bytes) -> None:
        with failures():
            obstore.put(self._store, self._folder + path, data, use_multipart=False)

    def read(self, path: str) -> bytes | None:
        try:
            with failures(path):
                found = obstore.get(self._store, self._folder + path)
                return bytes(found.bytes()) if found.meta["size"] <= MOST_READ_BYTES else b""
        except ObjectMissing:
            return None

    def names(self, folder: str) -> list[str]:
        """Those that lie in it; what others put below it is none."""
        found = (path.removeprefix(f"{self._folder}{folder}/") for path in self._paths(folder))
        return sorted(name for name in found if "/" not in name)

    def remove(self, path: str) -> None:
        with suppress(ObjectMissing), failures(path):
            obstore.delete(self._store, self._folder + path)

    def renew(self, name: str, data: Bytes) -> None:
        self.objects.put(name, data)  # no service lets a moment be set, nor an object be copied onto itself

    def ahead_s(self) -> float:
        self.write(_CLOCK, b"")
        with failures():
            return (
                clock.epoch() - obstore.head(self._store, self._folder + _CLOCK)["last_modified"].timestamp()
            )

    def owners(self) -> list[str]:
        found = s3_listing.folders(self._place, self._place.folder)
        return sorted(one for one in found if is_id(one, "col"))

    def erase(self, collectivite_id: str) -> Iterator[None]:
        for folder in self._folders(collectivite_id):
            for path in list(self._paths(folder)):
                with suppress(ObjectMissing), failures(path):
                    obstore.delete(self._store, path)
                yield

    def has(self, collectivite_id: str) -> bool:
        return any(next(self._paths(folder), None) is not None for folder in self._folders(collectivite_id))

    def shares_disk(self, config: Config) -> bool:
        if not config.drive_objects:
            return False
        own = s3_place(config)
        return (own.endpoint, own.bucket) == (self._place.endpoint, self._place.bucket)

    def _folders(self, collectivite_id: str) -> tuple[str, str]:
        assert is_id(collectivite_id, "col")
        return collectivite_id, f"{_OBJECTS}/{collectivite_id}"

    def _paths(self, folder: str) -> Iterator[str]:
        for one in s3_listing.below(self._store, self._place, self._folder + folder):
            yield one.path


def _nearest(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())
