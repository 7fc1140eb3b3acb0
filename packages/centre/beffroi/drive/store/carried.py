"""Files in a content, as far as the scan tells them: a decision about one holds all in which it is packed.

Rule:    whatever changes here makes the content wait in ``carried_due`` until the door has compared it with the feed
         (``drive.door``), which is in another process: what holds a content is a row of ``frozen`` in any case.
Source:  docs/decisions/0176-what-carries-a-decided-file-is-frozen.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from beffroi.drive.store.writing import Reading, Writing


def of(database: Reading, sha256: str) -> list[str]:
    """SHA-256 of the files in it."""
    return [str(row[0]) for row in database.all("SELECT packed FROM carried WHERE sha256 = ?", (sha256,))]


def between(database: Reading, first: str, last: str) -> dict[str, list[str]]:
    """The same of all contents from ``first`` to ``last``; those that carry nothing are left out."""
    found: dict[str, list[str]] = {}
    for sha256, packed in database.all(
        "SELECT sha256, packed FROM carried WHERE sha256 >= ? AND sha256 <= ?", (first, last)
    ):
        found.setdefault(sha256, []).append(packed)
    return found


def keep(writing: Writing, sha256: str, files: Collection[str]) -> bool:
    """``files``: all that are in it now. False where nothing changed."""
    if set(of(writing, sha256)) == set(files):
        return False
    writing.run("DELETE FROM carried WHERE sha256 = ?", (sha256,))
    writing.many("INSERT INTO carried (sha256, packed) VALUES (?, ?)", [(sha256, one) for one in set(files)])
    writing.run("INSERT INTO carried_due (sha256) VALUES (?) ON CONFLICT (sha256) DO NOTHING", (sha256,))
    return True


def due(database: Reading) -> list[str]:
    """What waits for the door."""
    return [str(row[0]) for row in database.all("SELECT sha256 FROM carried_due")]


def settled(writing: Writing, names: Sequence[str]) -> None:
    writing.many("DELETE FROM carried_due WHERE sha256 = ?", [(one,) for one in names])
