"""Ways back that somebody asked for: their steps are kept, and taken a portion a change, so that each goes on after a
crash where it was.

Rule:    one way a folder at a time. A step that others made impossible is passed over and counted. Before each portion
         the folder is asked for again: one that was moved to another root meanwhile gets nothing more.
Process: web (what is done at once), drive-keeper (the rest).
Source:  docs/internals/drive.md, "Points in time".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import batched
from typing import Literal, LiteralString, NamedTuple

import msgspec

from beffroi.drive.store import moments, ways
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act
from beffroi.drive.store.ways import Plan, Step
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError, Conflict

MOST_STEPS = 100
_ROWS: LiteralString = (
    "SELECT folder, at_s, person_id, begun_s, state, total, done, missed, why, ended_s FROM way_back"
)


class WayUnderWay(Conflict):
    """Somebody has this folder put back already; wait until it is done."""

    code = "drive.way_under_way"


class Going(NamedTuple):
    """A row of ``way_back``, but for ``copies``. ``total``, ``done``: steps; ``missed``: those that could not be taken,
    ``why``: the code of the first reason, also of what stopped. ``ended_s``: 0 while it goes on."""

    folder: int
    at_s: int
    person_id: str
    begun_s: int
    state: Literal["going", "done", "stopped"]
    total: int
    done: int
    missed: int
    why: str
    ended_s: int


def begin(database: Database, act: Act, way: Plan) -> None:
    """Keep all steps of a way; ``go_on`` takes them. Errors: WayUnderWay."""
    database.write(partial(_begin, act=act, way=way))


def _begin(writing: Writing, act: Act, way: Plan) -> None:
    before = find(writing, way.folder)
    if before is not None and before.state == "going":
        raise WayUnderWay
    writing.run("DELETE FROM way_back WHERE folder = ?", (way.folder,))
    writing.run(
        "INSERT INTO way_back (folder, at_s, person_id, begun_s, state, total, done, missed, why, copies, ended_s)"
        " VALUES (?, ?, ?, ?, 'going', ?, 0, 0, '', ?, 0)",
        (way.folder, way.at_s, act.person_id, act.now_s, len(way.steps), _packed({})),
    )
    portions = batched(way.steps, MOST_STEPS, strict=False)
    writing.many(
        "INSERT INTO way_portion (folder, number, steps) VALUES (?, ?, ?)",
        [(way.folder, number, _packed(some)) for number, some in enumerate(portions)],
    )


def find(database: Reading, folder: int) -> Going | None:
    """The last way of a folder."""
    row = database.one(_ROWS + " WHERE folder = ?", (folder,))
    return Going(*row) if row else None


def asked_by(database: Reading, person_id: str) -> list[Going]:
    """The last way of each folder, where this person asked for it, in order."""
    return [
        Going(*row) for row in database.all(_ROWS + " WHERE person_id = ? ORDER BY begun_s", (person_id,))
    ]


def unfinished(database: Reading) -> list[Going]:
    """Those that go on."""
    return [Going(*row) for row in database.all(_ROWS + " WHERE state = 'going' ORDER BY folder")]


def go_on(writing: Writing, folder: int, *, now_s: int) -> bool:
    """Take the next portion; True while there are more."""
    going = find(writing, folder)
    if going is None or going.state != "going":
        return False
    try:
        moments.seen(writing, folder, going.at_s, now_s)
    except BeffroiError as error:
        return _end(writing, folder, "stopped", error.code, now_s=now_s)
    row = writing.one(
        "SELECT number, steps FROM way_portion WHERE folder = ? ORDER BY number LIMIT 1", (folder,)
    )
    if row is None:
        return _end(writing, folder, "done", going.why, now_s=now_s)
    steps = msgspec.msgpack.decode(bytes(row[1]), type=tuple[Step, ...])
    missed, why = _taken(writing, Act(going.person_id, "", now_s), folder, steps)
    writing.run("DELETE FROM way_portion WHERE folder = ? AND number = ?", (folder, row[0]))
    writing.run(
        "UPDATE way_back SET done = done + ?, missed = missed + ?, why = ? WHERE folder = ?",
        (len(steps), missed, going.why or why, folder),
    )
    if going.done + len(steps) < going.total:
        return True
    return _end(writing, folder, "done", going.why or why, now_s=now_s)


def stop(writing: Writing, folder: int, why: str, *, now_s: int) -> None:
    """It does not go on; what was done stays. ``why``: a code."""
    going = find(writing, folder)
    if going is not None and going.state == "going":
        _end(writing, folder, "stopped", why, now_s=now_s)


def _taken(writing: Writing, act: Act, folder: int, steps: Sequence[Step]) -> tuple[int, str]:
    """(how many could not be taken, the first reason)."""
    row = writing.one("SELECT copies FROM way_back WHERE folder = ?", (folder,))
    assert row is not None
    copies = msgspec.msgpack.decode(bytes(row[0]), type=dict[int, int])
    before, missed, why = len(copies), 0, ""
    for step in steps:
        try:
            ways.take(writing, act, folder, step, copies)
        except BeffroiError as error:
            missed, why = missed + 1, why or error.code
    if len(copies) > before:
        writing.run("UPDATE way_back SET copies = ? WHERE folder = ?", (_packed(copies), folder))
    return missed, why


def _end(writing: Writing, folder: int, state: str, why: str, *, now_s: int) -> bool:
    writing.run("DELETE FROM way_portion WHERE folder = ?", (folder,))
    writing.run(
        "UPDATE way_back SET state = ?, why = ?, copies = ?, ended_s = ? WHERE folder = ?",
        (state, why, _packed({}), now_s, folder),
    )
    return False


def _packed(what: object) -> bytes:
    return msgspec.msgpack.encode(what)


def forget(writing: Writing, *, before_s: int) -> None:
    """Ways that ended before a time."""
    writing.run("DELETE FROM way_back WHERE state <> 'going' AND ended_s < ?", (before_s,))
