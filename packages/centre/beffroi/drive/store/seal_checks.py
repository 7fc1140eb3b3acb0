"""Verifications of seals: asked for on a page or due by themselves, carried out by the process that opens contents, in
steps, and kept with their report.

Source:  docs/internals/drive-seals.md.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import LiteralString, NamedTuple

from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.ids import new_id

MOST_KEPT = 20
"""Reports of one seal; older ones go. Who asked for each stands in the audit log."""
NOBODY = ""
"""In place of a person: the verification was due."""
_ROWS: LiteralString = (
    "SELECT id, seal, person_id, asked_s, done_bytes, done_s, report, told_s FROM seal_check"
)


class Check(NamedTuple):
    """A row of ``seal_check``. ``person_id``: who asked, or NOBODY. ``done_bytes``: read so far; ``done_s``: 0 while it
    waits or runs. ``report``: JSON of ``archives.report.Report``. ``told_s``: when the outbox heard of it, 0 before."""

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


def unfinished(database: Reading) -> list[Check]:
    """What is to be carried out, or told the outbox; oldest first."""
    rows = database.all(_ROWS + " WHERE done_s = 0 OR told_s = 0 ORDER BY asked_s, id")
    return [Check(*row) for row in rows]


def due(database: Reading, *, before_s: int, now_s: int, most: int) -> list[str]:
    """Seals that nobody had verified since ``before_s``, nor were sealed since; the longest ago first. What was asked
    for by a clock that was ahead of ``now_s`` does not count."""
    rows = database.all(
        "SELECT s.id FROM seal s LEFT JOIN seal_check c ON c.seal = s.id AND c.asked_s <= ?"
        " WHERE s.state = 'sealed' AND s.begun_s < ?"
        " GROUP BY s.id, s.begun_s HAVING COALESCE(MAX(c.asked_s), s.begun_s) < ?"
        " ORDER BY COALESCE(MAX(c.asked_s), s.begun_s), s.id LIMIT ?",
        (now_s, before_s, before_s, most),
    )
    return [row[0] for row in rows]


class Reached(NamedTuple):
    """How far a verification came: contents up to the node ``reached`` were read; ``damaged``: escaped paths."""

    reached: int
    damaged: tuple[str, ...]


def reached(database: Reading, check_id: str) -> Reached:
    row = database.one("SELECT reached, damaged FROM seal_reading WHERE check_id = ?", (check_id,))
    return Reached(row[0], tuple(bytes(row[1]).decode().splitlines())) if row else Reached(0, ())


def ask(writing: Writing, seal_id: str, *, person_id: str, now_s: int) -> Check:
    """The one that waits already, or a new one, the newest also where a clock that was ahead asked before. What was
    due goes on as a person's own."""
    found = waiting(writing, seal_id)
    if found is not None:
        if found.person_id == NOBODY != person_id:
            writing.run("UPDATE seal_check SET person_id = ? WHERE id = ?", (person_id, found.id))
        return found._replace(person_id=found.person_id or person_id)
    writing.run(
        "UPDATE seal_check SET asked_s = ? WHERE seal = ? AND asked_s >= ?", (now_s - 1, seal_id, now_s)
    )
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


def read_to(
    writing: Writing, check_id: str, *, read_up_to: int, size_bytes: int, damaged: Collection[str] = ()
) -> None:
    """``size_bytes``, ``damaged`` (escaped paths): of what was read since the step before."""
    before = reached(writing, check_id)
    lines = "".join(f"{path}\n" for path in (*before.damaged, *damaged)).encode()
    writing.run("DELETE FROM seal_reading WHERE check_id = ?", (check_id,))
    writing.run(
        "INSERT INTO seal_reading (check_id, reached, damaged) VALUES (?, ?, ?)",
        (check_id, read_up_to, lines),
    )
    writing.run("UPDATE seal_check SET done_bytes = done_bytes + ? WHERE id = ?", (size_bytes, check_id))


def finish(writing: Writing, check_id: str, report: bytes, *, now_s: int) -> None:
    writing.run("UPDATE seal_check SET report = ?, done_s = ? WHERE id = ?", (report, now_s, check_id))
    writing.run("DELETE FROM seal_reading WHERE check_id = ?", (check_id,))


def drop(writing: Writing, check_id: str) -> None:
    """Of a seal that ended meanwhile."""
    writing.run("DELETE FROM seal_reading WHERE check_id = ?", (check_id,))
    writing.run("DELETE FROM seal_check WHERE id = ?", (check_id,))


def told(writing: Writing, check_id: str, *, now_s: int) -> None:
    writing.run("UPDATE seal_check SET told_s = ? WHERE id = ?", (now_s, check_id))
