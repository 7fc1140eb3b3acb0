"""Single values of one collectivité's metadata: of a statement that has one, and by name (table ``meta``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    from beffroi.drive.store.writing import Reading, Statements


def scalar(reading: Reading, sql: LiteralString, parameters: Sequence[object] = ()) -> Any:
    """The first column of the first row; None where there is no row."""
    row = reading.one(sql, parameters)
    return row[0] if row else None


def meta(reading: Reading, name: str) -> str | None:
    found: str | None = scalar(reading, "SELECT value FROM meta WHERE name = ?", (name,))
    return found


def meta_number(reading: Reading, name: str) -> int | None:
    found = meta(reading, name)
    return int(found) if found is not None else None


def keep_meta(session: Statements, name: str, value: object) -> None:
    """In the place of what was there."""
    if not session.run("UPDATE meta SET value = ? WHERE name = ?", (str(value), name)):
        session.run("INSERT INTO meta (name, value) VALUES (?, ?)", (name, str(value)))
