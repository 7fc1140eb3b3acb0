"""Verifications of seals: asked for on a page, carried out by the process that opens contents, kept with their report.

Errors:  AbsentNode.
Source:  docs/internals/drive-seals.md.
"""

from __future__ import annotations

from typing import LiteralString, NamedTuple

from beffroi.drive.store.database import Reading, Writing
from beffroi.drive.store.model import AbsentNode
from beffroi.lib.ids import is_id, new_id

MOST_KEPT = 20
"""Reports of one seal; older ones go. Who asked for each stands in the audit log."""
_ROWS: LiteralString = (
    "SELECT id, seal, person_id, asked_s, done_bytes, done_s, report, told_s FROM seal_check"
)


class Check(NamedTuple):
    """A row of ``seal_check``. ``done_bytes``: read so far; ``done_s``: 0 while it waits or runs. ``report``: JSON of
    ``archives.report.Report.packed``. ``told_s``: when the outbox heard of it, 0 before."""

    id: str
    seal: str
    person_id: str
    asked_s: int
    done_bytes: int
    done_s: int
    report: bytes
    told_s: int


def last(database: Reading, seal_id: str) -> Check | None:
    """The newest that was carried out."""
    return _one(database, seal_id, " AND done_s > 0")


def waiting(database: Reading, seal_id: str) -> Check | None:
    return _one(database, seal_id, " AND done_s = 0")


def _one(database: Reading, seal_id: str, which: LiteralString) -> Check | None:
    row = database.one(
        _ROWS + " WHERE seal = ?" + which + " ORDER BY asked_s DESC, id DESC LIMIT 1", (seal_id,)
    )
    return Check(*row) if row else None


def find(database: Reading, check_id: str) -> Check:
    """Errors: AbsentNode."""
    row = database.one(_ROWS + " WHERE id = ?", (check_id,)) if is_id(check_id, "chk") else None
    if row is None:
        raise AbsentNode("check")
    return Check(*row)


def unfinished(database: Reading) -> list[Check]:
    """What is to be carried out, or told the outbox; oldest first."""
    rows = database.all(_ROWS + " WHERE done_s = 0 OR told_s = 0 ORDER BY asked_s, id")
    return [Check(*row) for row in rows]


def ask(writing: Writing, seal_id: str, *, person_id: str, now_s: int) -> Check:
    """The one that waits already, or a new one."""
    found = waiting(writing, seal_id)
    if found is not None:
        return found
    made = Check(new_id("chk"), seal_id, person_id, now_s, 0, 0, b"", 0)
    writing.run(
        "INSERT INTO seal_check (id, seal, person_id, asked_s, done_bytes, done_s, report, told_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        made,
    )
    kept = writing.all(
        "SELECT asked_s FROM seal_check WHERE seal = ? ORDER BY asked_s DESC, id DESC LIMIT ?",
        (seal_id, MOST_KEPT),
    )
    writing.run(
        "DELETE FROM seal_check WHERE seal = ? AND told_s > 0 AND asked_s < ?", (seal_id, kept[-1][0])
    )
    return made


def read_to(writing: Writing, check_id: str, *, done_bytes: int) -> None:
    writing.run("UPDATE seal_check SET done_bytes = ? WHERE id = ?", (done_bytes, check_id))


def finish(writing: Writing, check_id: str, report: bytes, *, now_s: int) -> None:
    writing.run("UPDATE seal_check SET report = ?, done_s = ? WHERE id = ?", (report, now_s, check_id))


def told(writing: Writing, check_id: str, *, now_s: int) -> None:
    writing.run("UPDATE seal_check SET told_s = ? WHERE id = ?", (now_s, check_id))
