"""The end of a sealed folder by elimination: destroyed whole, with a record that stays.

Rule:    who calls has the archives' visa and the word of a second person (``seals.actions``). The seal ends, the folder
         leaves everybody's sight and the record is written in one change; ``trash.destroy`` does the rest, in bounded
         steps that go on after a crash. What was destroyed stays named by the seal's own list.
Errors:  AbsentNode, RootFixed.
Source:  docs/internals/drive-seals.md.
"""

from __future__ import annotations

from typing import NamedTuple

from beffroi.drive.store import seals, trash, tree
from beffroi.drive.store.model import Act
from beffroi.drive.store.writing import Reading, Writing


class Elimination(NamedTuple):
    """A row of ``elimination``. ``visa``: its reference; ``visa_on``: ISO 8601 day; ``visa_by``: who gave it."""

    seal: str
    approval_id: str
    asked_by: str
    granted_by: str
    visa: str
    visa_on: str
    visa_by: str
    at_s: int


def of(database: Reading, seal_id: str) -> Elimination | None:
    row = database.one(
        "SELECT seal, approval_id, asked_by, granted_by, visa, visa_on, visa_by, at_s FROM elimination WHERE seal = ?",
        (seal_id,),
    )
    return Elimination(*row) if row else None


def every(database: Reading) -> set[str]:
    """Seals whose folder was eliminated."""
    return {row[0] for row in database.all("SELECT seal FROM elimination")}


def eliminate(writing: Writing, act: Act, record: Elimination) -> bool:
    """False where it had ended before: nothing is done then."""
    seal = seals.find(writing, record.seal)
    if not seals.end(writing, seal.id, "destroyed", now_s=record.at_s, by=record.granted_by):
        return False
    writing.run(
        "INSERT INTO elimination (seal, approval_id, asked_by, granted_by, visa, visa_on, visa_by, at_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        record,
    )
    folder = tree.movable(writing, seal.node)
    root = writing.root_of(folder.parent)
    tree.discard(writing, act, folder)
    trash.forget(writing, act, root, folder.id)
    return True
