"""What a backup of the database is made of: a picture, what is said of it, and what lies beside it today. No Django.

Format:  a picture is a tar archive: ``about.json``, the database (by its engine: ``sqlite``, ``postgresql``), and the
         directories ``tables.FILES``. Beside the store lies ``database-today.json``, of root alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.lib.errors import BeffroiError, Conflict, Unavailable
from beffroi.mail.backup.database.tables import KEYS

ABOUT = "about.json"
PICTURE = "picture.tar"
TODAY = "database-today.json"
Rows = dict[str, dict[str, dict[str, Any]]]
"""Name of a ``Kept`` -> primary key -> column -> value."""


class PictureFailed(Unavailable):
    """The database could not be copied: {}"""

    code = "backup.database_failed"


class PictureDamaged(BeffroiError):
    """The backup of the database is not what was written: {}. Next: an older one (./beffroi database backup list)"""

    code = "backup.database_damaged"


class NotLoaded(BeffroiError):
    """The database could not be loaded, and nothing was changed: {}"""

    code = "backup.database_not_loaded"


class OtherEngine(Conflict):
    """This backup is of a database of {}, and this centre works with {}: database_url in beffroi.toml has to be as it
    was then."""

    code = "backup.database_other"


class InUse(Conflict):
    """Something has the database open ({}). Next: end it, then the same command again"""

    code = "backup.database_in_use"


class NothingReplaced(BeffroiError):
    """No database that a restore replaced lies here. Such a one is kept for seven days."""

    code = "backup.nothing_replaced"


class About(msgspec.Struct, frozen=True):
    """``at_s``: epoch seconds; ``epoch``: of the feed; ``counts``: rows of each table; ``columns``: of tables that are
    copied apart from the dump; ``audit_position``, ``audit_hash``: head of the audit log, 0 before the first."""

    engine: str
    at_s: int
    epoch: int
    counts: dict[str, int]
    columns: dict[str, list[str]] = {}
    audit_position: int = 0
    audit_hash: str = ""


class Proved(msgspec.Struct, frozen=True):
    """What a drill found. ``is_loaded``: False where the picture was only read and counted."""

    about: About
    is_loaded: bool


class Today(msgspec.Struct):
    """``gone``: since when (epoch seconds) the database knows no row of this key any more; ``erased``: identifiers of
    people and collectivités."""

    rows: Rows = {}
    gone: dict[str, dict[str, int]] = {}
    erased: list[str] = []


class Engine(Protocol):
    """``sqlite``, ``postgresql``. Errors of all: OSError, those above."""

    name: str

    def take(self, folder: Path) -> tuple[About, Rows]:
        """Write a consistent picture into an empty directory, and say what is true at the same moment."""

    def prove(self, folder: Path, about: About) -> bool:
        """Read a picture as a restore would, and compare; return whether a database was made of it. Errors:
        PictureDamaged."""

    def load(self, folder: Path, about: About, rows: Rows, event: Mapping[str, object]) -> str:
        """Put a picture in the place of the database, whole or not at all; return the name of what was there, ""
        for nothing that can come back. ``event``: payload of ``tables.RESTORED``."""

    def undo(self, event: Mapping[str, object]) -> str:
        """The newest one that was replaced comes back; return its name. Errors: NothingReplaced."""

    def rows(self) -> Rows:
        """As of today, of the database in place; empty where there is none, or none that can be read."""

    def forget(self, before: str) -> int:
        """Remove what was replaced before this moment (as in its name); return how many."""


def merged(before: Today, now: Today, *, now_s: int, till_s: int, keep_s: int) -> Today:
    """What the database says now. Keys that it does not know at all are no destroyed ones: it may have been made anew
    a minute ago. They stay for as long as a backup of them may (``till_s``: to when that is counted), those of an
    erased collectivité excepted."""
    rows, gone = dict(now.rows), dict[str, dict[str, int]]()
    erased = {*before.erased, *now.erased}
    for kept in KEYS:
        if not kept.lasts:
            continue
        known = rows.get(kept.name, {})
        since = before.gone.get(kept.name, {})
        missing = before.rows.get(kept.name, {}).keys() - known.keys() - erased
        absent = {key: since.get(key, now_s) for key in missing}
        gone[kept.name] = {key: at for key, at in absent.items() if till_s - at <= keep_s}
        rows[kept.name] = known | {key: before.rows[kept.name][key] for key in gone[kept.name]}
    return Today(rows, gone, sorted(erased))


def moment_name(moment: datetime) -> str:
    """Of what was replaced then: sorts by time, and may be the name of a schema."""
    return f"replaced_{moment.astimezone(UTC):%Y%m%d_%H%M%S_%f}"


def read_about(folder: Path) -> About:
    """Errors: PictureDamaged."""
    try:
        return msgspec.json.decode((folder / ABOUT).read_bytes(), type=About)
    except (OSError, *UNDECODABLE):
        raise PictureDamaged(ABOUT) from None


def read_today(path: Path) -> Today:
    """Errors: PictureDamaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Today)
    except (OSError, *UNDECODABLE):
        raise PictureDamaged(path.name) from None
