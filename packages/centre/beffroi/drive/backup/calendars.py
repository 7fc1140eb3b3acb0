"""Calendars and address books of one collectivité as a tar archive, and back.

Rule:    under the lock that Radicale takes for writing, so that no entry is half there. Caches stay out: they hold what
         entries say a second time. Back, all is as in the archive; what lay there before is gone.
Crash:   a restore is on the disk before both change places in one step, and so is that before the old go: all is old
         or all is new. What a kill left beside them goes with the next archive or restore; who calls is alone with
         the backups (``turns.draft``).
Fails:   on a file system that exchanges nothing (renameat2), with OSError: what there is stays.
Hostile: the archive was sealed by us and is proved before it is read; its names are checked all the same.
Source:  renameat2(2); docs/internals/calendars.md; docs/internals/drive.md, "Backup".
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tarfile
from pathlib import Path

from beffroi.drive.calendars import homes
from beffroi.lib import durable
from beffroi.lib.config import Config

_CACHES = ".Radicale.cache"
_FRESH = ".fresh"
_EXCHANGE, _FROM_HERE = 2, -100
_libc = ctypes.CDLL(None, use_errno=True)


def take(config: Config, collectivite_id: str, path: Path) -> bool:
    """Write the archive; False where there are no calendars. Errors: OSError."""
    place = homes.folder(config, collectivite_id)
    if not (place / homes.ROOT).is_dir():
        return False
    with homes.locked(place), tarfile.open(path, "x") as archive:
        _clear(place)
        archive.add(place / homes.ROOT, homes.ROOT, filter=_without_caches)
    return True


def load(config: Config, collectivite_id: str, path: Path) -> None:
    """Errors: OSError, tarfile.TarError."""
    place = homes.folder(config, collectivite_id)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.sync_directory(place.parent)
    root, fresh = place / homes.ROOT, place / _FRESH
    if fresh.exists():
        shutil.rmtree(fresh)
    try:
        with tarfile.open(path, "r") as archive:
            archive.extractall(fresh, filter="data")
        _flush(fresh)
        with homes.locked(place):
            if root.exists():
                _exchange(fresh / homes.ROOT, root)
            else:
                (fresh / homes.ROOT).rename(root)
            durable.sync_directory(place)
            _clear(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _clear(place: Path) -> None:
    """What is no calendar any more, also of a kill here or in ``homes.remove``; under the lock."""
    for left in (*place.glob(f"{_FRESH}*"), *place.glob(".gone-*")):
        shutil.rmtree(left, ignore_errors=True)


def _flush(place: Path) -> None:
    for folder, _, files in place.walk():
        for name in files:
            if (folder / name).is_symlink():
                continue
            with (folder / name).open("rb") as file:
                os.fsync(file.fileno())
        durable.sync_directory(folder)


def _exchange(one: Path, other: Path) -> None:
    if _libc.renameat2(_FROM_HERE, os.fsencode(one), _FROM_HERE, os.fsencode(other), _EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _without_caches(one: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if _CACHES in Path(one.name).parts else one
