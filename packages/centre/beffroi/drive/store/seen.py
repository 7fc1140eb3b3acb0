"""When a person last saw the list of what is shared with them, so that they are told of what came since."""

from __future__ import annotations

from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Writing


def shares(database: Reading, person_id: str) -> int:
    """Epoch seconds; 0 for never."""
    return scalar(database, "SELECT at_s FROM looked WHERE person_id = ?", (person_id,)) or 0


def look(writing: Writing, person_id: str, *, now_s: int) -> None:
    forget(writing, person_id)
    writing.run("INSERT INTO looked VALUES (?, ?)", (person_id, now_s))


def forget(writing: Writing, person_id: str) -> None:
    writing.run("DELETE FROM looked WHERE person_id = ?", (person_id,))
