"""Calendars and address books of one collectivité as a tar archive, and back.

Rule:    under the lock that Radicale takes for writing, so that no entry is half there. Caches stay out: they hold what
         entries say a second time. Back, all is as in the archive; what lay there before is gone.
Hostile: the archive was sealed by us and is proved before it is read; its names are checked all the same.
Source:  docs/internals/calendars.md; docs/internals/drive.md, "Backup".
"""

from __future__ import annotations

import secrets
import shutil
import tarfile
from pathlib import Path

from beffroi.drive.calendars import homes
from beffroi.lib.config import Config

_CACHES = ".Radicale.cache"


def take(config: Config, collectivite_id: str, path: Path) -> bool:
    """Write the archive; False where there are no calendars. Errors: OSError."""
    place = homes.folder(config, collectivite_id)
    if not (place / homes.ROOT).is_dir():
        return False
    with homes.locked(place), tarfile.open(path, "x") as archive:
        archive.add(place / homes.ROOT, homes.ROOT, filter=_without_caches)
    return True


def load(config: Config, collectivite_id: str, path: Path) -> None:
    """Errors: OSError, tarfile.TarError."""
    place = homes.folder(config, collectivite_id)
    (place / homes.ROOT).mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = secrets.token_hex(6)
    fresh, gone = place / f".fresh-{mark}", place / f".gone-{mark}"
    try:
        with tarfile.open(path, "r") as archive:
            archive.extractall(fresh, filter="data")
        with homes.locked(place):
            (place / homes.ROOT).rename(gone)
            try:
                (fresh / homes.ROOT).rename(place / homes.ROOT)
            except OSError:
                gone.rename(place / homes.ROOT)
                raise
    finally:
        for left in (fresh, gone):
            shutil.rmtree(left, ignore_errors=True)


def _without_caches(one: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if _CACHES in Path(one.name).parts else one
