"""How old the backup of the mailboxes is, as a file that needs no database: STATE/run/backup.json. No Django.

Purpose: the console and `./beffroi status` say that backups are late, damaged or do not succeed, and what to do next.
Process: written by backup (root); read by anyone. Times, sizes, codes; names of files of the store that are damaged.
Input:   whoever reads it trusts nothing: a file that cannot be read says nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from beffroi.lib import json_file
from beffroi.lib.config import Config

LATE_AFTER_S = 26 * 3600
CLOCK_S = 300
"""A clock that is put right by less than this was not ahead."""
MAX_NAMED = 20


class Database(msgspec.Struct, frozen=True):
    """As ``Told``, of the database. ``drilled_at``: when the newest backup was last read as a restore would read it;
    ``drill_loaded``: whether a database was made of it, too."""

    backup_at: int = 0
    people: int = 0
    size_bytes: int = 0
    added_bytes: int = 0
    took_s: int = 0
    snapshots: int = 0
    failure: str = ""
    drilled_at: int = 0
    drill_took_s: int = 0
    drill_rows: int = 0
    drill_loaded: bool = True
    drill_failure: str = ""


class Told(msgspec.Struct, frozen=True):
    """Epoch seconds and bytes; 0 for never. ``since``: when the first backup was waited for; ``failure``: of the last
    try, as a sentence; ``damaged``: of the last check; ``unsteady``: mailboxes left out by
    the last backup."""

    since: int = 0
    backup_at: int = 0
    mailboxes: int = 0
    size_bytes: int = 0
    added_bytes: int = 0
    store_bytes: int = 0
    took_s: int = 0
    snapshots: int = 0
    unsteady: tuple[str, ...] = ()
    failure: str = ""
    checked_at: int = 0
    check_failure: str = ""
    damaged: tuple[str, ...] = ()
    database: Database = Database()


def _path(config: Config) -> Path:
    return config.run / "backup.json"


def read(config: Config) -> Told:
    return json_file.read(_path(config), Told) or Told()


def write(config: Config, told: Told) -> None:
    """Errors: OSError. The folder is the Python user's: a name is made and renamed, never followed."""
    draft = _path(config).with_name(f".backup.json.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(told))
        os.fchmod(descriptor, 0o644)
    draft.replace(_path(config))


def changed(config: Config, **values: object) -> Told:
    """Write some of it. Errors: OSError."""
    told = msgspec.structs.replace(read(config), **values)
    write(config, told)
    return told


def changed_database(config: Config, **values: object) -> Database:
    """Errors: OSError."""
    return changed(config, database=msgspec.structs.replace(read(config).database, **values)).database


def late(told: Told, *, now: int) -> bool:
    """Whether the newest backup is older than 26 h, or there is none 26 h after the first was waited for."""
    return bool(told.since) and _without_s(told, told.backup_at, now=now) > LATE_AFTER_S


def database_late(told: Told, *, now: int) -> bool:
    return bool(told.since) and _without_s(told, told.database.backup_at, now=now) > LATE_AFTER_S


def is_over(at: int, every_s: int, *, now: int) -> bool:
    """Whether what was done then is due again, as it is where the clock was ahead when it was done."""
    return not -CLOCK_S <= now - at < every_s


def _without_s(told: Told, backup_at: int, *, now: int) -> int:
    """How long none was made; more than a day where the clock was ahead at the last one: how long is not known."""
    found = now - max(backup_at, told.since)
    return max(0, found) if found >= -CLOCK_S else LATE_AFTER_S + 1


def database_problem(config: Config, *, now: int) -> str:
    """One sentence with the next step, or ""."""
    told = read(config)
    found = told.database
    if database_late(told, now=now):
        hours = _without_s(told, found.backup_at, now=now) // 3600
        why = found.failure or "see that backup is healthy."
        return f"The database was not backed up for {hours} hours: {why} Next: ./beffroi database backup now"
    if found.failure:
        return f"The last backup of the database did not succeed: {found.failure}"
    if found.drill_failure:
        return (
            f"The newest backup of the database could not be read: {found.drill_failure}"
            " Next: ./beffroi database backup check (docs/runbooks/restore-database.md)"
        )
    return ""


def problem(config: Config, *, now: int) -> str:
    """One sentence with the next step, or ""; ``now`` in epoch seconds."""
    told = read(config)
    if told.damaged or told.check_failure:
        what = ", ".join(told.damaged) or told.check_failure
        return f"The store of backups is damaged: {what}. Next: docs/runbooks/restore-mail.md, Damage"
    if late(told, now=now):
        hours = _without_s(told, told.backup_at, now=now) // 3600
        why = told.failure or "see that backup is healthy"
        return f"Mailboxes were not backed up for {hours} hours: {why} Next: ./beffroi mail backup now"
    if told.failure:
        return f"The last backup of the mailboxes did not succeed: {told.failure}"
    return ""
