"""Pictures of a database that is an SQLite file, and back. No Django.

Rule:    a picture is written by VACUUM INTO: one moment, no writer waits, and no byte of a row that was deleted; keys
         are overwritten in it before anybody else sees it.
Crash:   a database that comes back is whole and on the disk beside the one in place before it takes that one's name, in
         one step. What it replaces keeps a name of its own from before.
Source:  sqlite.org/lang_vacuum.html, pragma.html#pragma_secure_delete, wal.html ("The WAL file").
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC
from pathlib import Path

import msgspec

from beffroi.lib import clock, durable
from beffroi.mail.backup.database import form
from beffroi.mail.backup.database.form import (
    About,
    InUse,
    NothingReplaced,
    PictureDamaged,
    PictureFailed,
    Rows,
)
from beffroi.mail.backup.database.tables import AUDIT_HEAD, ENDED, KEYS, LEFT_OUT, RESTORED, Kept

FILE = "database.sqlite"
REPLACED = "replaced"
_DAMAGED = ".damaged"


class Sqlite:
    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fresh = path.with_name(f".{path.name}.restored")

    def take(self, folder: Path) -> tuple[About, Rows]:
        picture = folder / FILE
        try:
            with closing(_opened(self._path)) as source:
                source.execute("VACUUM INTO ?", (str(picture),))
            with closing(sqlite3.connect(picture, isolation_level=None)) as copy:
                copy.execute("PRAGMA journal_mode = OFF")
                copy.execute("PRAGMA secure_delete = ON")
                rows = _rows(copy)
                for kept in filter(lambda one: _has(copy, one), KEYS):
                    sets = ", ".join(f"{column} = ''" for column in kept.columns)
                    copy.execute(f"UPDATE {kept.table} SET {sets}")  # noqa: S608 - constants of ``tables``
                for table in set(LEFT_OUT).intersection(_tables(copy)):
                    copy.execute(f"DELETE FROM {table}")  # noqa: S608 - as above
                (epoch,) = copy.execute("SELECT COALESCE(MAX(epoch), 0) FROM feed_channel").fetchone()
                position, head = copy.execute(AUDIT_HEAD).fetchone() or (0, "")
                about = About(
                    self.name,
                    clock.epoch_s(),
                    epoch,
                    _counts(copy),
                    audit_position=position,
                    audit_hash=head,
                )
        except sqlite3.Error as error:
            raise PictureFailed(error) from None
        return about, rows

    def prove(self, folder: Path, about: About) -> bool:
        try:
            with closing(_opened(folder / FILE, alone=True)) as copy:
                _sound(copy)
                counts = _counts(copy)
        except sqlite3.Error as error:
            raise PictureDamaged(error) from None
        if counts != about.counts:
            table = next(
                one for one in {**about.counts, **counts} if counts.get(one) != about.counts.get(one)
            )
            raise PictureDamaged(f"{table} has {counts.get(table, 0)} rows of {about.counts.get(table, 0)}")
        return True

    def load(self, folder: Path, about: About, rows: Rows, event: Mapping[str, object]) -> str:
        self.prove(folder, about)
        return self._put(folder / FILE, rows, event)

    def undo(self, event: Mapping[str, object]) -> str:
        found = sorted(self._path.with_name(REPLACED).glob("*[0-9].sqlite"))
        if not found:
            raise NothingReplaced
        try:
            with closing(_opened(found[-1], alone=True)) as before:
                _sound(before)
        except sqlite3.Error as error:
            raise PictureDamaged(error) from None
        # Its own keys are those of its mailboxes; what was ended since stays ended.
        ended = {kept.name for kept in ENDED}
        self._put(found[-1], {name: rows for name, rows in self.rows().items() if name in ended}, event)
        found[-1].unlink()
        return found[-1].stem

    def rows(self) -> Rows:
        if not self._path.exists():
            return {}
        try:
            with closing(_opened(self._path)) as present:
                return _rows(present)
        except sqlite3.Error:
            return {}

    def forget(self, before: str) -> int:
        old = [one for one in self._path.with_name(REPLACED).glob("*.sqlite*") if one.name < before]
        for one in old:
            one.unlink()
        return len(old)

    def _put(self, source: Path, rows: Rows, event: Mapping[str, object]) -> str:
        self._fresh.unlink(missing_ok=True)
        shutil.copyfile(source, self._fresh)
        try:
            with closing(sqlite3.connect(self._fresh)) as fresh:
                fresh.execute("PRAGMA synchronous = FULL")
                with fresh:
                    _apply(fresh, rows)
                    _tell(fresh, event)
        except sqlite3.Error as error:
            raise PictureDamaged(error) from None
        _flush(self._fresh)
        aside = self._set_aside()
        self._fresh.replace(self._path)
        durable.sync_directory(self._path.parent)
        return aside

    def _set_aside(self) -> str:
        """A second name for the database in place. One that is damaged is kept with its log as it is, and does not
        come back by ``undo``."""
        if not self._path.exists():
            return ""
        log = self._path.with_name(f"{self._path.name}-wal")
        folder = self._path.with_name(REPLACED)
        folder.mkdir(mode=0o700, exist_ok=True)
        name = form.moment_name(clock.now())
        try:
            with closing(sqlite3.connect(self._path, timeout=1)) as present:
                # Alone with it: then its log is taken in when it is closed.
                present.execute("PRAGMA locking_mode = EXCLUSIVE")
                present.execute("BEGIN EXCLUSIVE")
                present.execute("COMMIT")
                present.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise InUse(self._path.name) from None
            name += _DAMAGED
        except sqlite3.DatabaseError:
            name += _DAMAGED
        (folder / f"{name}.sqlite").hardlink_to(self._path)
        if log.exists():
            (folder / f"{name}.sqlite-wal").hardlink_to(log)
        durable.sync_directory(folder)
        for left in (log, log.with_name(f"{self._path.name}-shm")):
            left.unlink(missing_ok=True)
        return "" if name.endswith(_DAMAGED) else name


def _opened(path: Path, *, alone: bool = False) -> sqlite3.Connection:
    """To read; never made by looking for it. ``alone``: nobody else has it, and nothing is to be left beside it."""
    address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    return sqlite3.connect(address, uri=True, timeout=20, isolation_level=None)


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return sorted(name for (name,) in found)


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    return {
        one: connection.execute(f'SELECT COUNT(*) FROM "{one}"').fetchone()[0]  # noqa: S608 - a name of our schema
        for one in _tables(connection)
    }


def _rows(connection: sqlite3.Connection) -> Rows:
    return {kept.name: dict(_of(connection, kept)) for kept in (*KEYS, *ENDED) if _has(connection, kept)}


def _has(connection: sqlite3.Connection, kept: Kept) -> bool:
    """A database of before these columns has not."""
    return {row[1] for row in connection.execute(f"PRAGMA table_info({kept.table})")}.issuperset(kept.columns)


def _of(connection: sqlite3.Connection, kept: Kept) -> Iterator[tuple[str, dict[str, object]]]:
    names = ", ".join((kept.key, *kept.columns))
    asked = f"SELECT {names} FROM {kept.table} WHERE {kept.where}"  # noqa: S608 - constants of ``tables``
    for key, *values in connection.execute(asked):
        yield key, dict(zip(kept.columns, values, strict=True))


def _apply(connection: sqlite3.Connection, rows: Rows) -> None:
    for kept in filter(lambda one: _has(connection, one), (*KEYS, *ENDED)):
        sets = ", ".join(f"{column} = ?" for column in kept.columns)
        connection.executemany(
            f"UPDATE {kept.table} SET {sets} WHERE {kept.key} = ?",  # noqa: S608 - constants of ``tables``
            (
                (*(values[one] for one in kept.columns), key)
                for key, values in rows.get(kept.name, {}).items()
            ),
        )


def _tell(connection: sqlite3.Connection, event: Mapping[str, object]) -> None:
    connection.execute(
        "INSERT INTO outbox (kind, payload, created_at) VALUES (?, ?, ?)",
        (
            RESTORED,
            msgspec.json.encode(event).decode(),
            str(clock.now().astimezone(UTC).replace(tzinfo=None)),
        ),
    )


def _sound(connection: sqlite3.Connection) -> None:
    """Errors: PictureDamaged, sqlite3.Error."""
    for (said,) in connection.execute("PRAGMA integrity_check(1)"):
        if said != "ok":
            raise PictureDamaged(said)
    for row in connection.execute("PRAGMA foreign_key_check"):
        raise PictureDamaged(f"a row of {row[0]} refers to none of {row[2]}")


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    durable.sync_directory(path.parent)
