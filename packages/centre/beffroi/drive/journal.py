"""What devices did, as the journal ``change`` and the versions say it, in the words of ``guard``.

Rule:    a row of ``change`` holds a node as it was before it. What it was after stands in the node's next row, or in
         the node itself; so does its content: the one that the next replacement made a version, or the present one.
Fails:   what was destroyed since has no content: it is judged by its name alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString, NamedTuple

from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading

ROWS: LiteralString = (
    "SELECT number, at_s, kind, node, parent, name, is_folder, size_bytes, etag_before, person_id,"
    " device_id FROM change"
)


class Row(NamedTuple):
    """Of ``change``, in the order of ``ROWS``."""

    number: int
    at_s: int
    kind: str
    node: int
    parent: int
    name: str
    is_folder: int
    size_bytes: int
    etag_before: int
    person_id: str
    device_id: str


class Body(NamedTuple):
    """A content of a file. ``written``: number of the change that wrote it, 0 where that is not known any more."""

    node: int
    written: int
    size_bytes: int
    manifest: bytes


class Done(NamedTuple):
    """One change of a file by a device. ``parent``, ``name``: after it. ``before``, ``after``: None where there is
    none, and of a new file: ``body_at`` gives it to who wants it. ``over``: the file that it took the place of."""

    row: Row
    parent: int
    name: str
    before: Body | None
    after: Body | None
    over: Body | None = None


class Made(NamedTuple):
    """A file that a device made. ``row``: of its creation; ``parent``, ``name``, ``size_bytes``: of today."""

    row: Row
    parent: int
    name: str
    size_bytes: int


_MADE: LiteralString = (
    "SELECT n.parent, n.name, n.size_bytes, c.number, c.at_s, c.kind, c.node, c.parent, c.name, c.is_folder,"
    " c.size_bytes, c.etag_before, c.person_id, c.device_id FROM change c JOIN node n ON n.id = c.node"
    " WHERE c.kind = 'created' AND c.is_folder = 0 AND c.device_id <> ''"
    " AND n.parent NOT IN (SELECT id FROM node WHERE parent = 0 AND name IN ('trash', 'gone'))"
)


def after(reading: Reading, number: int, most: int) -> list[Row]:
    """The changes after one, oldest first."""
    rows = reading.all(ROWS + " WHERE number > ? ORDER BY number LIMIT ?", (number, most))
    return [Row(*row) for row in rows]


def place_after(reading: Reading, row: Row) -> tuple[int, str]:
    """(parent, name) of its node right after a change; (0, "") where it was destroyed since."""
    found = reading.one(
        "SELECT parent, name FROM change WHERE node = ? AND number > ? ORDER BY number LIMIT 1",
        (row.node, row.number),
    ) or reading.one("SELECT parent, name FROM node WHERE id = ?", (row.node,))
    return (found[0], found[1]) if found else (0, "")


def body_at(reading: Reading, node: int, number: int) -> Body | None:
    """What a file held right after change ``number``."""
    replaced = reading.one(
        "SELECT etag_before FROM change WHERE node = ? AND number > ? AND kind = 'changed' ORDER BY number LIMIT 1",
        (node, number),
    )
    columns: LiteralString = "SELECT size_bytes, manifest FROM"
    if replaced is not None:
        found = reading.one(columns + " version WHERE node = ? AND etag = ?", (node, replaced[0]))
    else:
        found = reading.one(columns + " node WHERE id = ?", (node,))
    if found is None:
        return None
    wrote: LiteralString = (
        "SELECT MAX(number) FROM change WHERE node = ? AND number <= ? AND kind IN ('created', 'changed')"
    )
    return Body(node, scalar(reading, wrote, (node, number)) or 0, found[0], bytes(found[1]))


class Before(NamedTuple):
    """What a file held before a content. ``at_s``, ``device_id``: when and by which device that was replaced."""

    body: Body
    at_s: int
    device_id: str


def body_before(reading: Reading, body: Body, person_id: str, *, since_s: int) -> Before | None:
    """What a file held before this content, if a device of this person replaced it since then."""
    row = reading.one(
        "SELECT at_s, device_id FROM change WHERE number = ? AND kind = 'changed' AND person_id = ? AND device_id <> ''"
        " AND at_s >= ?",
        (body.written, person_id, since_s),
    )
    before = body_at(reading, body.node, body.written - 1) if row is not None else None
    return Before(before, row[0], row[1]) if row is not None and before is not None else None


def done(reading: Reading, row: Row) -> Done | None:
    """What a device did to a file; None for what is not judged: folders, what is of no device, times of change, and a
    deletion that made room for what was moved or copied there."""
    if row.is_folder or not row.device_id:
        return None
    if row.kind == "deleted":
        if _comes_in_its_place(reading, row):
            return None
        return Done(row, row.parent, row.name, body_at(reading, row.node, row.number), None)
    if row.kind == "changed":
        before = body_at(reading, row.node, row.number - 1)
        return Done(row, row.parent, row.name, before, body_at(reading, row.node, row.number))
    if row.kind not in ("created", "moved"):
        return None
    parent, name = (row.parent, row.name) if row.kind == "created" else place_after(reading, row)
    over = _in_whose_place(reading, row, parent, name)
    if row.kind == "created" and over is None:
        return Done(row, parent, name, None, None)
    body = body_at(reading, row.node, row.number)
    return Done(row, parent, name, None if row.kind == "created" else body, body, over)


MOST_MOVES = 8


def moves_before(reading: Reading, row: Row, *, since_s: int) -> list[Row]:
    """How the device of a change had moved its node since then, the newest first, MOST_MOVES at most; ``parent`` and
    ``name`` are where it lay before."""
    rows = reading.all(
        ROWS
        + " WHERE node = ? AND number < ? AND kind = 'moved' AND device_id = ? AND at_s >= ? ORDER BY number DESC"
        " LIMIT ?",
        (row.node, row.number, row.device_id, since_s, MOST_MOVES),
    )
    return [Row(*one) for one in rows]


def went_along(reading: Reading, row: Row, *, most: int) -> list[Done]:
    """The files of a folder that a device deleted whole, each as a deletion of its own; ``most`` of them, those that
    were there longest first."""
    if row.kind != "deleted" or not row.is_folder or not row.device_id:
        return []
    files, folders = list[Row](), [row.node]
    while folders and len(files) < most:
        inside = reading.all(
            "SELECT id, parent, name, is_folder, size_bytes FROM node WHERE parent = ? ORDER BY id LIMIT ?",
            (folders.pop(0), most),
        )
        folders += [one[0] for one in inside if one[3]][: most - len(folders)]
        files += [
            row._replace(node=one[0], parent=one[1], name=one[2], is_folder=0, size_bytes=one[4])
            for one in inside
            if not one[3]
        ]
    return [
        Done(one, one.parent, one.name, body_at(reading, one.node, one.number), None) for one in files[:most]
    ]


MOST_FOLDERS = 6


def folders_of(reading: Reading, row: Row) -> tuple[tuple[int, str], ...]:
    """The folders that a deleted file lay in, the innermost first, MOST_FOLDERS at most; a folder that was deleted with
    it where it was."""
    found, here = list[tuple[int, str]](), row.parent
    while here and len(found) < MOST_FOLDERS:
        place = reading.one(
            "SELECT name, parent FROM change WHERE node = ? AND number = ?", (here, row.number)
        )
        place = place or reading.one("SELECT name, parent FROM node WHERE id = ?", (here,))
        if place is None:
            break
        found.append((here, place[0]))
        here = place[1]
    return tuple(found)


def made_by(reading: Reading, person_id: str, *, since_s: int, most: int) -> list[Made]:
    """Files that a person's devices created since then and that nobody deleted, the newest first."""
    rows = reading.all(
        _MADE + " AND c.at_s >= ? AND c.person_id = ? ORDER BY c.at_s DESC LIMIT ?",
        (since_s, person_id, most),
    )
    return [_made(row) for row in rows]


def made(reading: Reading, node: int) -> Made | None:
    """A file that a device created; None where it is gone or that is not known any more."""
    row = reading.one(_MADE + " AND c.node = ?", (node,))
    return _made(row) if row else None


def _made(row: Sequence[Any]) -> Made:
    return Made(Row(*row[3:]), row[0], row[1], row[2])


# ``tree``: what stands in the way of a move is discarded one number before it, of a copy two numbers before.
_DISTANCE = {"moved": 1, "created": 2}


def _in_whose_place(reading: Reading, row: Row, parent: int, name: str) -> Body | None:
    found = reading.one(
        ROWS + " WHERE number = ? AND kind = 'deleted' AND is_folder = 0 AND parent = ? AND name = ?",
        (row.number - _DISTANCE[row.kind], parent, name),
    )
    return body_at(reading, Row(*found).node, row.number) if found else None


def _comes_in_its_place(reading: Reading, row: Row) -> bool:
    for kind, distance in _DISTANCE.items():
        found = reading.one(ROWS + " WHERE number = ? AND kind = ?", (row.number + distance, kind))
        if found is None:
            continue
        later = Row(*found)
        place = (later.parent, later.name) if kind == "created" else place_after(reading, later)
        if not later.is_folder and place == (row.parent, row.name):
            return True
    return False
