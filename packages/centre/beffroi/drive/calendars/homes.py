"""Where calendars and address books lie, and how a person's own are taken away.

Format:  STATE/drive/COLLECTIVITE/calendars/collection-root is Radicale's own storage, one for each collectivité, so
         that no path leads from one to another. In it PERSON/ is a person's home, mairie/ what all share; each home
         holds ``mairie-agenda``, ``mairie-contacts`` and its rooms as symbolic links to the latter.
Process: any; without Radicale, so that the worker needs none of it.
Source:  docs/internals/calendars.md.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from beffroi.lib import json_file
from beffroi.lib.config import Config
from beffroi.lib.ids import is_id

ROOT = "collection-root"
SHARED_HOME = "mairie"
AGENDA, CONTACTS = "agenda", "contacts"
SHARED_AGENDA, SHARED_CONTACTS = "mairie-agenda", "mairie-contacts"
LINKS = {SHARED_AGENDA: f"../{SHARED_HOME}/{AGENDA}", SHARED_CONTACTS: f"../{SHARED_HOME}/{CONTACTS}"}
ROOM = "salle-"
"""Begins the folder of a room or vehicle in SHARED_HOME (``rooms``), and what a page calls it."""
RETIRED, BOOKED = ".Beffroi.retired", ".Beffroi.booked"
WRITERS = ("agent", "referent")
READERS = (*WRITERS, "elu")
"""Roles, of what is shared. A DPO has a calendar of their own and no part in the mairie's."""
MAX_NAME_BYTES = 200
_LOCK = ".Radicale.lock"
PROPS = ".Radicale.props"
"""What programs say of a collection: its name, its colour; counted with its entries."""
HANDED = ".Beffroi.handed"
"""Names of the entries of a collection that came from somebody who left: hidden and counted as _BROUGHT."""
_BROUGHT = ".Beffroi.brought-"
"""A file that waits in a home, or what came of one, by kind: hidden from Radicale, and counted with entries."""
_DELETED = ".Beffroi.deleted-"
"""What was deleted last on the pages, by kind: hidden, and not counted."""


def linked(room: str) -> str:
    """Under which name a room, by that of its folder, is in each home."""
    return f"{SHARED_HOME}-{room}"


def is_room(name: str) -> bool:
    """Of a collection in a home."""
    return name.startswith(linked(ROOM))


def is_shared(name: str) -> bool:
    """Of a collection in a home: whether it is the collectivité's, to which a link leads."""
    return name in LINKS or is_room(name)


def rooms(root: Path) -> list[str]:
    """Names of their folders, without those that are retired."""
    return [one.name for one in sorted((root / SHARED_HOME).glob(f"{ROOM}*")) if not (one / RETIRED).exists()]


def links(root: Path) -> dict[str, str]:
    """What each home holds of what is shared."""
    return LINKS | {linked(room): f"../{SHARED_HOME}/{room}" for room in rooms(root)}


def folder(config: Config, collectivite_id: str) -> Path:
    return config.state / "drive" / collectivite_id / "calendars"


def homes(config: Config) -> Iterator[tuple[str, str]]:
    """(collectivité, person) of each home there is."""
    for calendars in sorted((config.state / "drive").glob("*/calendars")):
        root = calendars / ROOT
        if root.is_dir():
            yield from ((calendars.parent.name, one.name) for one in root.iterdir() if is_id(one.name, "per"))


def bookers(place: Path) -> dict[str, str]:
    """Who booked each entry of a room, persons by names of entries; none of what is no room."""
    return json_file.read(place / BOOKED, dict[str, str]) or {}


def count(place: Path) -> int:
    """Entries of a collection, or collections of a home."""
    try:
        with os.scandir(place) as found:
            return sum(not one.name.startswith(".") for one in found)
    except (FileNotFoundError, NotADirectoryError):
        return 0


def sizes(config: Config, collectivite_id: str) -> dict[str, int]:
    """Bytes of each home, by person; of what is shared, by SHARED_HOME."""
    out: dict[str, int] = {}
    root = folder(config, collectivite_id) / ROOT
    for home in root.iterdir() if root.is_dir() else ():
        if home.name == SHARED_HOME or is_id(home.name, "per"):
            out[home.name] = sum(entries(home))
    return out


def entries(home: Path) -> Iterator[int]:
    """Sizes of what lies below a folder, in bytes: entries, properties, files that wait to be taken in, lists of what
    was handed over."""
    for place, folders, files in home.walk():
        folders[:] = [one for one in folders if not one.startswith(".")]
        for name in files:
            try:
                found = (place / name).lstat()
            except FileNotFoundError:  # deleted just now
                continue
            # Links to what is shared are among the files, and not followed.
            is_counted = not name.startswith(".") or name in (PROPS, HANDED) or name.startswith(_BROUGHT)
            yield found.st_size if stat.S_ISREG(found.st_mode) and is_counted else 0


def remove_everywhere(config: Config, person_id: str) -> int:
    """Take a person's own calendars and address books away, in every collectivité; return how many homes went."""
    if not is_id(person_id, "per"):
        return 0
    owners = [collectivite_id for collectivite_id, found in homes(config) if found == person_id]
    return sum(remove(config, collectivite_id, person_id) for collectivite_id in owners)


def remove(config: Config, collectivite_id: str, person_id: str) -> bool:
    """The same in one collectivité. What is shared stays: only the links to it go."""
    place = folder(config, collectivite_id)
    home = place / ROOT / person_id
    if not is_id(person_id, "per") or not home.is_dir():
        return False
    with locked(place):
        # First out of sight, in one step: a half-removed home is never served.
        gone = place / f".gone-{person_id}"
        shutil.rmtree(gone, ignore_errors=True)
        home.rename(gone)
        shutil.rmtree(gone)
    return True


def brought(home: Path, kind: str) -> Path:
    return home / f"{_BROUGHT}{kind}"


def deleted(home: Path, kind: str) -> Path:
    return home / f"{_DELETED}{kind}"


def forget_waiting(config: Config, collectivite_id: str, *, before_s: float) -> None:
    """Files that were brought, and what was deleted, that nobody touched since ``before_s`` (UTC epoch seconds)."""
    for prefix in (_BROUGHT, _DELETED):
        for one in (folder(config, collectivite_id) / ROOT).glob(f"*/{prefix}*"):
            with suppress(FileNotFoundError):
                if one.lstat().st_mtime < before_s:
                    one.unlink()


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Alone with a collectivité's calendars: the lock that Radicale takes for writing."""
    with (place / _LOCK).open("a+") as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        yield
        descriptor = os.open(place / ROOT, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
