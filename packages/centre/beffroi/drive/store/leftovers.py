"""Rows that outlive what they name go: labels on what is destroyed, names that somebody gave to a share that is
forgotten, when somebody looked who has nothing here any more.

Rule:    a portion of rows is looked at by the key of its table, in a picture; only where one is over a change deletes
         it: identifiers are never used twice. Who left a collectivité may come back, and keeps their rows while they
         have a folder here.
Process: drive-keeper, each day.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import LiteralString, NamedTuple

from beffroi.drive.store import look, schema
from beffroi.drive.store.database import Database
from beffroi.drive.store.writing import Reading, Row

MOST_LOOKED_AT = 500


class _Table(NamedTuple):
    """``rows``: those after a key, as many as asked for: the key, then what it names, None where that is gone.
    ``first``: before all keys. ``person``: the column of one who may be gone, -1 for none."""

    rows: LiteralString
    delete: LiteralString
    first: Row
    person: int


_TABLES = (
    _Table(
        "SELECT t.node, t.tag, n.id, g.id FROM (SELECT node, tag FROM tagged WHERE (node, tag) > (?, ?)"
        " ORDER BY node, tag LIMIT ?) t LEFT JOIN node n ON n.id = t.node LEFT JOIN tag g ON g.id = t.tag"
        " ORDER BY t.node, t.tag",
        "DELETE FROM tagged WHERE node = ? AND tag = ?",
        (0, 0),
        -1,
    ),
    _Table(
        "SELECT m.share_id, m.person_id, COALESCE(s.id, r.share_id) FROM (SELECT share_id, person_id FROM mount"
        " WHERE (share_id, person_id) > (?, ?) ORDER BY share_id, person_id LIMIT ?) m"
        " LEFT JOIN share s ON s.id = m.share_id LEFT JOIN received r ON r.share_id = m.share_id"
        " ORDER BY m.share_id, m.person_id",
        "DELETE FROM mount WHERE share_id = ? AND person_id = ?",
        ("", ""),
        1,
    ),
    _Table(
        "SELECT person_id FROM looked WHERE person_id > ? ORDER BY person_id LIMIT ?",
        "DELETE FROM looked WHERE person_id = ?",
        ("",),
        0,
    ),
)


def tidy(database: Database, members: Collection[str], *, most: int = MOST_LOOKED_AT) -> None:
    """All of it, ``most`` rows a portion. ``members``: persons of the collectivité."""
    for table in _TABLES:
        after: Row | None = table.first
        while after is not None:
            with database.reading() as reading:
                rows = reading.all(table.rows, (*after, most))
                gone = _over(reading, table, rows, members)
            if gone:
                _delete(database, table, gone)
            after = rows[-1][: len(table.first)] if len(rows) == most else None


def _delete(database: Database, table: _Table, gone: list[Row]) -> None:
    database.write(lambda writing: writing.many(table.delete, gone))


def _over(reading: Reading, table: _Table, rows: list[Row], members: Collection[str]) -> list[Row]:
    @cache
    def is_here(person_id: str) -> bool:
        return person_id in members or look.root(reading, schema.HOME + person_id) is not None

    keys = len(table.first)
    return [
        row[:keys]
        for row in rows
        if None in row[keys:] or (table.person >= 0 and not is_here(row[table.person]))
    ]
