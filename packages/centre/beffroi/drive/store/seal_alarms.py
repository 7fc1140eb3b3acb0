"""Seals that a verification found damaged, until somebody has dealt with it.

Rule:    an alarm is open until a verification finds all as it was sealed, the seal ends, or the référent says in words
         what became of it. What is found anew, and was not there when they said so, opens it again.
Source:  docs/internals/drive-seals.md.
"""

from __future__ import annotations

from typing import LiteralString, NamedTuple

from beffroi.drive.store.writing import Reading, Writing

_ROWS: LiteralString = (
    "SELECT a.seal, a.since_s, a.found, a.settled_s, a.settled_by, a.settled_why"
    " FROM seal_alarm a JOIN seal s ON s.id = a.seal WHERE s.state = 'sealed'"
)


class Alarm(NamedTuple):
    """A row of ``seal_alarm``. ``found``: a digest of what was damaged. ``settled_s``: 0 while it is open;
    ``settled_why``: one line of the person ``settled_by``."""

    seal: str
    since_s: int
    found: str
    settled_s: int
    settled_by: str
    settled_why: str

    @property
    def is_open(self) -> bool:
        return not self.settled_s


def of(database: Reading, seal_id: str) -> Alarm | None:
    """Of a seal that stands."""
    row = database.one(_ROWS + " AND a.seal = ?", (seal_id,))
    return Alarm(*row) if row else None


def open_(database: Reading) -> list[Alarm]:
    """Oldest first."""
    rows = database.all(_ROWS + " AND a.settled_s = 0 ORDER BY a.since_s, a.seal")
    return [Alarm(*row) for row in rows]


def note(writing: Writing, seal_id: str, found: str, *, now_s: int) -> None:
    """What a verification found; "" where all is as it was sealed."""
    before = of(writing, seal_id)
    if before is not None and before.found == found:
        return
    writing.run("DELETE FROM seal_alarm WHERE seal = ?", (seal_id,))
    if not found:
        return
    since_s = before.since_s if before is not None and before.is_open else now_s
    writing.run(
        "INSERT INTO seal_alarm (seal, since_s, found, settled_s, settled_by, settled_why) VALUES (?, ?, ?, 0, '', '')",
        (seal_id, since_s, found),
    )


def settle(writing: Writing, seal_id: str, *, found: str, by: str, why: str, now_s: int) -> bool:
    """``found``: what the words ``why`` are about. False where nothing is open, or by now another damage is."""
    return bool(
        writing.run(
            "UPDATE seal_alarm SET settled_s = ?, settled_by = ?, settled_why = ?"
            " WHERE seal = ? AND found = ? AND settled_s = 0",
            (now_s, by, why, seal_id, found),
        )
    )
