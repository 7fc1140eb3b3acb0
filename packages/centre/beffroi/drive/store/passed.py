"""Which calendars and address books go with a handover, and how far they came: a row each.

Rule:    the entries themselves are files (``drive.calendars.passing``); a row is "done" once those of its collection
         lie with the heir, "back" once they were given back.
Source:  docs/decisions/0109-calendars-of-who-left.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from beffroi.drive.store import room, schema
from beffroi.drive.store.model import NO_LIMIT, QuotaFull
from beffroi.drive.store.writing import Reading, Writing

Kind = Literal["agenda", "contacts"]
State = Literal["due", "done", "back"]
_PREFIX = "remis-"


class Passed(NamedTuple):
    """A row of ``handover_collection``. ``was``, ``made``: names in the home of the person and of the heir; ``title``:
    that the heir sees. ``entries``: to be moved, then that were; ``size_bytes``: as they were counted at the begin;
    ``back``: entries that came back."""

    handover: str
    was: str
    made: str
    kind: Kind
    title: str
    entries: int
    size_bytes: int
    back: int
    state: State


class Going(NamedTuple):
    """A collection with something to hand over, that is to go along; as ``Passed``. ``size_bytes``: of ``entries``."""

    was: str
    kind: Kind
    title: str
    entries: int
    size_bytes: int


def plan(writing: Writing, handover_id: str, going: Sequence[Going]) -> None:
    for number, one in enumerate(going):
        made = f"{_PREFIX}{handover_id}-{number}"
        row = Passed(handover_id, one.was, made, one.kind, one.title, one.entries, one.size_bytes, 0, "due")
        writing.run("INSERT INTO handover_collection VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def of(reading: Reading, handover_id: str) -> list[Passed]:
    rows = reading.all(
        "SELECT handover, was, made, kind, title, entries, size_bytes, back, state FROM handover_collection"
        " WHERE handover = ? ORDER BY was",
        (handover_id,),
    )
    return [Passed(*row) for row in rows]


def onward(reading: Reading, person_id: str, name: str) -> list[tuple[str, str]]:
    """Where a collection of a home went when its person left, too, and from there on: (person, name)."""
    found, waiting = list[tuple[str, str]](), [(person_id, name)]
    while waiting:
        rows = reading.all(
            "SELECT h.heir, c.made FROM handover h JOIN handover_collection c ON c.handover = h.id"
            " WHERE h.person_id = ? AND c.was = ?",
            waiting.pop(),
        )
        waiting += [(heir, made) for heir, made in rows]
        found += [(heir, made) for heir, made in rows]
    return found


def counts(reading: Reading, handover_id: str) -> dict[str, int]:
    """Entries by kind that were handed over, or of which those came back that did."""
    out: dict[str, int] = {}
    for one in of(reading, handover_id):
        count = {"due": 0, "done": one.entries, "back": one.back}[one.state]
        out[one.kind] = out.get(one.kind, 0) + count
    return out


def settle(writing: Writing, row: Passed) -> None:
    """As it is now: state and counts."""
    writing.run(
        "UPDATE handover_collection SET state = ?, entries = ?, back = ? WHERE handover = ? AND was = ?",
        (row.state, row.entries, row.back, row.handover, row.was),
    )


def require_room(reading: Reading, heir: str, growth_bytes: int) -> None:
    """The collectivité's is the same before and after. Errors: QuotaFull."""
    own = room.line(reading, schema.HOME + heir)
    if own.limit_bytes != NO_LIMIT and own.use.used_bytes + growth_bytes > own.limit_bytes:
        raise QuotaFull
