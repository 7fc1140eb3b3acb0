"""A picture of one collectivité's metadata: an SQLite file of one moment, whatever database they lie in; and back.

Rule:    a picture disturbs no writer. ``load`` replaces everything in one change, and what comes after is told apart
         from what was: a new fingerprint, so that sync clients keep what is newer with them; a number above all that
         were given, so that no etag is ever used twice.
Source:  docs/internals/drive.md, "Backup"; sqlite.org/backup.html.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, LiteralString

from beffroi.drive.store import resealing, room, schema, weights
from beffroi.drive.store.database import Database
from beffroi.drive.store.preparing import mark_anew, prepare
from beffroi.drive.store.scalars import keep_meta, meta_number
from beffroi.drive.store.sqlite import Connection, SqliteDatabase, require_whole, said
from beffroi.drive.store.writing import Reading, Writing

PAGE = 1000
NUMBERS_APART = 100_000_000
"""More than are given between two pictures: of a lost disk, nothing else says which were. A device that has a lost file
would take a new one of its number for the same file."""
_PICTURE = "This moment of the backup"
_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")
_TABLES = [found[1] for one in schema.TABLES if (found := _TABLE.match(one))]


def take(database: Database, path: Path) -> int:
    """Write a picture to a new file; return its number. Errors: StoreFull, Unavailable."""
    if isinstance(database, SqliteDatabase):
        database.copy_to(path)
    else:
        with database.reading() as reading, closing(Connection(path, reads_only=False)) as made:
            made.begin()
            prepare(made, bytes_type="BLOB", key_type="INTEGER", usual=None)
            for table in _TABLES:
                made.run(_sql(f"DELETE FROM {table}"))  # noqa: S608 - names of our own schema
                columns, keys = _columns(made, table)
                for rows in _pages(reading, table, columns, keys):
                    made.many(_insert(table, columns), rows)
            made.commit()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode = DELETE")  # one file, whole
        (number,) = raw.execute("SELECT value FROM meta WHERE name = 'number'").fetchone()
    return int(number)


def proved_key(path: Path) -> int | None:
    """The key that all in the picture is sealed by, where a replacement was counted to its end (``resealing``)."""
    with closing(sqlite3.connect(path)) as raw:
        row = raw.execute("SELECT value FROM meta WHERE name = 'resealing'").fetchone()
    progress = resealing.decoded(row[0] if row else None)
    return progress.generation if progress is not None and progress.phase == "kept_by_backup" else None


def bring_forward(path: Path) -> None:
    """A picture of an older program has the tables of today from here on. Errors: FormatUnknown, StoreFull,
    MetadataDamaged."""
    try:
        with closing(Connection(path, reads_only=False)) as made:
            require_whole(made.raw, _PICTURE)
            made.begin()
            prepare(made, bytes_type="BLOB", key_type="INTEGER", usual=None)
            made.commit()
            made.flush()
            made.raw.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise said(error, _PICTURE) from None


def chunks_in_objects(path: Path) -> Iterator[tuple[bytes, int, bool]]:
    """(name, length, whether a content needs it) of what the picture knows of the objects."""
    with closing(sqlite3.connect(path)) as raw:
        for row in raw.execute("SELECT id, length, refs > 0 FROM chunk WHERE sealed IS NULL ORDER BY id"):
            yield bytes(row[0]), row[1], bool(row[2])


def load(writing: Writing, path: Path) -> str:
    """A change: all as the picture says. Return the new fingerprint. Errors: StoreFull, Unavailable."""
    number, sealed_since = (meta_number(writing, name) or 0 for name in ("number", "sealed_since"))
    limits = room.usual(writing)
    with closing(sqlite3.connect(path)) as raw:
        there = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in _TABLES:
            writing.run(_sql(f"DELETE FROM {table}"))  # noqa: S608
            if table in there:
                columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
                cursor = raw.execute(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608
                while rows := cursor.fetchmany(PAGE):
                    writing.many(_insert(table, columns), rows)
    writing.begin_anew(max(number, meta_number(writing, "number") or 0) + NUMBERS_APART)
    fingerprint = mark_anew(writing)
    writing.run("DELETE FROM meta WHERE name IN ('resealing', 'upkeep', 'sealed_since')")
    room.keep_usual(writing, limits)  # those of the settings today: nobody opens the metadata anew
    weights.first_count(writing)
    if since := max(sealed_since, meta_number(writing, "sealed_since") or 0):
        keep_meta(writing, "sealed_since", since)
    return fingerprint


def _columns(made: Connection, table: str) -> tuple[list[str], list[str]]:
    """(all, those of the primary key in its order)."""
    rows = made.all(_sql(f"PRAGMA table_info({table})"))
    keys = sorted((row[5], row[1]) for row in rows if row[5])
    return [row[1] for row in rows], [name for _, name in keys]


def _pages(
    reading: Reading, table: str, columns: list[str], keys: list[str]
) -> Iterator[list[tuple[Any, ...]]]:
    """All rows of a table, in the order of its key, so many at a time."""
    order, marks = ", ".join(keys), ", ".join("?" for _ in keys)
    at = [columns.index(one) for one in keys]
    first = f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608
    rows = reading.all(_sql(f"{first} ORDER BY {order} LIMIT {PAGE}"))
    while rows:
        yield rows
        after = [rows[-1][each] for each in at]
        rows = reading.all(_sql(f"{first} WHERE ({order}) > ({marks}) ORDER BY {order} LIMIT {PAGE}"), after)


def _insert(table: str, columns: list[str]) -> LiteralString:
    return _sql(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})")  # noqa: S608


def _sql(text: str) -> LiteralString:
    """Names of tables and columns are those of our own schema."""
    return text
