"""Contents that are too long to be looked at between others: they wait here for a thread of their own.

Rule:    one that is written here was not looked at by the rules in force; it leaves with what was said of it.
Source:  docs/internals/drive.md, "The scan".
"""

from __future__ import annotations

from collections.abc import Iterable

from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Writing


def first(database: Reading) -> str | None:
    """The SHA-256 of one that waits."""
    found: str | None = scalar(database, "SELECT MIN(sha256) FROM scan_due")
    return found


def add(writing: Writing, names: Iterable[str]) -> None:
    for sha256 in names:
        writing.run("INSERT INTO scan_due (sha256) VALUES (?) ON CONFLICT (sha256) DO NOTHING", (sha256,))


def done(writing: Writing, sha256: str) -> None:
    writing.run("DELETE FROM scan_due WHERE sha256 = ?", (sha256,))
