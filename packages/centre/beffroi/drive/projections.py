"""The small database by which the drive's processes know who signs in with an app password.

Purpose: people sign in to calendars, contacts and files while the database and every Django process are stopped.
Process: written by the worker's consumers only; read by ``drive.credentials`` in the drive's own processes.
Hostile: nothing; values come from our own tables. It holds SHA-256 of 128 random bits, no secret.
Format:  STATE/projections/dav.db, one row an app password; journal_mode DELETE as its neighbours: whoever may only
         read cannot open a WAL database. Never replaced by rename.
Source:  docs/internals/calendars.md.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

from beffroi.lib.config import Config

_SCHEMA = """
CREATE TABLE IF NOT EXISTS app_password (
  sha256 TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, person_id TEXT NOT NULL, membership_id TEXT NOT NULL,
  collectivite_id TEXT NOT NULL, role TEXT NOT NULL, login TEXT NOT NULL, display_name TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS member (
  person_id TEXT NOT NULL, collectivite_id TEXT NOT NULL, login TEXT NOT NULL, display_name TEXT NOT NULL,
  PRIMARY KEY (collectivite_id, person_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS collectivite (id TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS app_password_person ON app_password (person_id);
"""
_COLUMNS = "sha256, id, person_id, membership_id, collectivite_id, role, login, display_name"
_INSERT = f"INSERT OR REPLACE INTO app_password ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
log = logging.getLogger("beffroi.drive")


class Member(NamedTuple):
    """Somebody who belongs to a collectivité, with an app password or none. ``login``: in lower case."""

    person_id: str
    collectivite_id: str
    login: str
    display_name: str


@dataclass(frozen=True)
class Row:
    """One app password that opens the drive. ``sha256``: of the secret, in hex. ``login``: in lower case."""

    sha256: str
    app_password_id: str
    person_id: str
    membership_id: str
    collectivite_id: str
    role: str
    login: str
    display_name: str


def path(config: Config) -> Path:
    return config.state / "projections" / "dav.db"


def read(config: Config, what: str, asked: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    """Rows as they are now; none where they cannot be read. ``what``: they are, for the log."""
    place = path(config)
    if not place.exists():  # nobody was ever let in
        return []
    try:
        with closing(
            sqlite3.connect(f"{place.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        ) as database:
            return database.execute(asked, values).fetchall()
    except sqlite3.Error as error:
        log.error("%s cannot be read: %s", what, type(error).__name__)
        return []


@contextmanager
def _open(config: Config) -> Iterator[sqlite3.Connection]:
    """One transaction, on disk when the block ends. Whoever comes first makes the file."""
    place = path(config)
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.touch(mode=0o600)
    connection = sqlite3.connect(place, timeout=10)
    try:
        connection.execute("PRAGMA journal_mode = delete")
        connection.execute("PRAGMA synchronous = full")
        # Whoever was taken out must not stay in the file's free pages.
        connection.execute("PRAGMA secure_delete = on")
        connection.executescript(_SCHEMA)
        with connection:
            yield connection
    finally:
        connection.close()


def put(
    config: Config, app_password_ids: Collection[str], read: Callable[[Collection[str]], Iterable[Row]]
) -> None:
    """Let app passwords sign in with what ``read`` says of their people, no more where it has no row. It is asked while
    nobody else writes here: what another thread read before a revocation is never written after it."""
    if app_password_ids:
        with _open(config) as database:
            database.execute("BEGIN IMMEDIATE")
            rows = read(app_password_ids)
            database.executemany(
                "DELETE FROM app_password WHERE id = ?", [(one,) for one in app_password_ids]
            )
            database.executemany(_INSERT, [astuple(one) for one in rows])


def remove_person(config: Config, *, person_id: str) -> None:
    with _open(config) as database:
        database.execute("DELETE FROM app_password WHERE person_id = ?", (person_id,))
        database.execute("DELETE FROM member WHERE person_id = ?", (person_id,))


def remove_collectivite(config: Config, *, collectivite_id: str) -> None:
    with _open(config) as database:
        database.execute("DELETE FROM app_password WHERE collectivite_id = ?", (collectivite_id,))


def known(config: Config) -> set[Row]:
    """All that sign in."""
    with _open(config) as database:
        return {Row(*one) for one in database.execute(f"SELECT {_COLUMNS} FROM app_password")}  # noqa: S608 - names of our own


def put_members(config: Config, members: Collection[Member], *, collectivite_id: str | None = None) -> None:
    """All of a collectivité, or of all: who is not among them belongs there no more."""
    with _open(config) as database:
        where = "collectivite_id = ?1 OR ?1 IS NULL"
        known = set(database.execute(f"SELECT * FROM member WHERE {where}", (collectivite_id,)))  # noqa: S608
        if known != set(members):
            database.execute(f"DELETE FROM member WHERE {where}", (collectivite_id,))  # noqa: S608
            database.executemany("INSERT INTO member VALUES (?, ?, ?, ?)", sorted(set(members)))


def put_names(config: Config, names: Mapping[str, str]) -> None:
    """Of all collectivités, by their identifiers."""
    with _open(config) as database:
        if dict(database.execute("SELECT id, name FROM collectivite")) != names:
            database.execute("DELETE FROM collectivite")
            database.executemany("INSERT INTO collectivite VALUES (?, ?)", sorted(names.items()))
