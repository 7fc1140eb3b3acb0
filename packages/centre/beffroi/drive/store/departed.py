"""What a departure took from a person, kept as long as the departure may be undone: their groups, the shares of
their own files, and those with them.

Rule:    a row is written in the change that takes the thing away, and deleted in the one that gives it back. ``left_s``
         tells one departure from another: who left, came back and left again gets what the last one took.
Source:  docs/decisions/0094-undone-departures-give-groups-and-shares-back.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from beffroi.drive.store.writing import Reading, Writing

Kind = Literal["group", "share"]


class Taken(NamedTuple):
    """``thing``: a group or a share. ``left_s``: when the person's last role ended, epoch seconds."""

    kind: Kind
    thing: str
    left_s: int


def of(database: Reading, person_id: str, *, left_s: int) -> list[Taken]:
    """What that departure took, groups first."""
    rows = database.all(
        "SELECT kind, thing, left_s FROM departed WHERE person_id = ? AND left_s = ? ORDER BY kind, thing",
        (person_id, left_s),
    )
    return [Taken(*row) for row in rows]


def every(database: Reading, person_id: str) -> list[Taken]:
    """Of all their departures, in this order."""
    rows = database.all(
        "SELECT kind, thing, left_s FROM departed WHERE person_id = ? ORDER BY left_s, kind, thing",
        (person_id,),
    )
    return [Taken(*row) for row in rows]


def take(writing: Writing, person_id: str, kind: Kind, things: Iterable[str], *, left_s: int) -> None:
    """Write down what is taken by this change."""
    for thing in things:
        writing.run(
            "DELETE FROM departed WHERE person_id = ? AND kind = ? AND thing = ?", (person_id, kind, thing)
        )
        writing.run("INSERT INTO departed VALUES (?, ?, ?, ?)", (person_id, kind, thing, left_s))


def keep_from_others(writing: Writing, person_id: str, share_ids: Iterable[str]) -> None:
    """Shares of somebody's own files, and those with them, are given back to them alone: of who left, to nobody who
    left before."""
    for one in share_ids:
        writing.run(
            "DELETE FROM departed WHERE kind = 'share' AND thing = ? AND person_id <> ?", (one, person_id)
        )


def give_back(writing: Writing, person_id: str, *, left_s: int) -> None:
    """It was given back, or cannot be any more."""
    writing.run("DELETE FROM departed WHERE person_id = ? AND left_s = ?", (person_id, left_s))


def forget(writing: Writing, *, before_s: int) -> None:
    """Of departures that nobody undoes any more."""
    writing.run("DELETE FROM departed WHERE left_s < ?", (before_s,))
