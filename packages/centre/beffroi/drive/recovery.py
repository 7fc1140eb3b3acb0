"""The way back after an alarm: everything that the device did since the first sign, and nothing of what others did.

Purpose: ``preview`` says how much would come back where. ``carry_out`` asks ``guard.plan`` once, in the change that
         writes its steps into the alarm, and takes them MOST_STEPS a change, each group with the number of steps that
         are done: after a crash it goes on there, and a second call does nothing twice.
Rule:    a step (``recovery_steps``) that others made impossible since is passed over, and counted (``Raised.missed``).
Process: web (a person asked for it).
Source:  docs/internals/drive.md, "Ransomware".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import add

import msgspec

from beffroi.drive import alarms, recovery_steps
from beffroi.drive.alarms import Raised
from beffroi.drive.guard import plan
from beffroi.drive.guard.steps import (
    ROOT,
    Copy,
    Entry,
    Move,
    Place,
    Plan,
    Remove,
    Revert,
    Revive,
    Step,
)
from beffroi.drive.journal import ROWS, Row
from beffroi.drive.recovery_steps import PRESENT, is_in_trash
from beffroi.drive.store import locks, look, names, schema
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act, Node
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import Conflict

MOST_STEPS = 100


@dataclass(frozen=True)
class Line:
    """What would happen in one folder. ``path``: of a folder of the collectivité; "" for all folders of one person
    together, whose names are theirs. ``person_id``: "" for the collectivité's. ``lost``: files whose content of before
    is kept nowhere any more; they are none of the others."""

    person_id: str
    path: str
    reverted: int
    revived: int
    moved: int
    copied: int
    removed: int
    lost: int


def preview(reading: Reading, device_id: str) -> list[Line]:
    """What ``carry_out`` would do now, the collectivité's folders first. Errors: NotFound."""
    found = _plan(reading, alarms.find(reading, device_id))
    _count_lost(reading, found)
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 6)
    for folder, counts in found.preview.items():
        line = sums[_shown(reading, folder)]
        line[:] = map(add, line, msgspec.structs.astuple(counts))
    return [Line(*key, *counts) for key, counts in sorted(sums.items())]


def carry_out(database: Database, act: Act, device_id: str) -> Raised:
    """To the end; return the alarm then. ``act``: of the person who asks.

    Errors: NotFound; Conflict, where a person said that it was meant; those of the metadata.
    """
    database.write_portions(partial(_go_on, act=act, device_id=device_id))
    with database.reading() as reading:
        return alarms.find(reading, device_id)


class _Way(msgspec.Struct):
    """Steps that are left. ``planned``: the last number before the plan; ``own``: of the way itself since, first and
    last of each change: what has another number after ``planned`` is somebody else's."""

    planned: int
    steps: tuple[Step, ...]
    own: list[tuple[int, int]] = msgspec.field(default_factory=list)

    def others(self, reading: Reading, step: Step, before: int) -> set[str]:
        """What somebody else did with the node of a step, before a number: kinds of changes."""
        rows = reading.all(
            "SELECT number, kind FROM change WHERE node = ? AND number > ? AND number < ?",
            (int(step.node), self.planned, before),
        )
        return {kind for number, kind in rows if not any(one <= number <= last for one, last in self.own)}


def _go_on(writing: Writing, act: Act, device_id: str) -> bool:
    """The next steps, in one change; True while there are more."""
    alarm = alarms.find(writing, device_id)
    if alarm.state == "settled":
        raise Conflict("somebody said that it was meant")
    if alarm.state == "restored":
        return False
    first = writing.number()
    if alarm.state == "open":
        way = _Way(first, _plan(writing, alarm).steps)
        # Whoever holds the device may have locked what is to be taken back.
        locks.end_of(writing, alarm.person_id)
        writing.run(
            "UPDATE alarm SET state = 'restoring', settled_by = ?, settled_s = ? WHERE device_id = ?",
            (act.person_id, act.now_s, device_id),
        )
    else:
        row = writing.one("SELECT steps FROM alarm WHERE device_id = ?", (device_id,))
        assert row is not None
        found = msgspec.msgpack.decode(bytes(row[0]), type=_Way | tuple[Step, ...])
        # One that was begun before others' changes were asked for has all its steps.
        way = found if isinstance(found, _Way) else _Way(first, found[alarm.done :])
    some, way.steps = way.steps[:MOST_STEPS], way.steps[MOST_STEPS:]
    missed = sum(
        not recovery_steps.taken(writing, act, alarm.person_id, step, way.others(writing, step, first))
        for step in some
    )
    way.own.append((first, writing.number()))
    writing.run(
        "UPDATE alarm SET done = ?, missed = missed + ?, state = ?, steps = ? WHERE device_id = ?",
        (
            alarm.done + len(some),
            missed,
            "restoring" if way.steps else "restored",
            msgspec.msgpack.encode(way) if way.steps else b"",
            device_id,
        ),
    )
    return bool(way.steps)


# -- the plan ------------------------------------------------------------------------------------------------


def _plan(reading: Reading, alarm: Raised) -> Plan:
    if alarm.since:
        found = reading.all(ROWS + " WHERE number >= ? ORDER BY number", (alarm.since,))
    else:
        # "+ 0": by the index of times
        found = reading.all(ROWS + " WHERE at_s >= ? ORDER BY number + 0", (alarm.since_s,))
    rows = [Row(*row) for row in found]
    entries = _entries(reading, rows)
    stopped = alarms.stopped(reading)
    steps = plan.restore(entries, (alarm.device_id,), _Tree(reading), stopped)
    others = {one.node for one in entries if one.device not in stopped and not one.with_folder}
    return _with_removals(reading, steps, others)


def _with_removals(reading: Reading, found: Plan, others: set[str]) -> Plan:
    """A folder comes out of the trash with all that is in it. What the device had put there goes again; what somebody
    else worked on stays."""
    brought = {
        one.node
        for one in found.steps
        if isinstance(one, Revive) or (isinstance(one, Move) and is_in_trash(reading, int(one.node)))
    } & found.kept
    inside = [one for node in brought for one in look.children(reading, int(node))]
    waiting, gone = [one for one in inside if str(one.id) not in found.kept], list[Node]()
    while waiting:
        one = waiting.pop()
        if str(one.id) not in others:
            gone.append(one)
        waiting += [each for each in look.children(reading, one.id) if str(each.id) not in found.kept]
    # None is counted: they lie in the trash before and after.
    steps = tuple(Remove(str(one.id)) for one in reversed(gone))
    return msgspec.structs.replace(found, steps=(*found.steps, *steps))


def _count_lost(reading: Reading, found: Plan) -> None:
    """Steps whose version somebody deleted: ``recovery_steps.taken`` passes over them."""
    moved = {one.node: one.parent for one in found.steps if isinstance(one, Move)}
    for one in found.steps:
        if isinstance(one, Move | Remove) or _is_kept(reading, one.node, one.version):
            continue
        folder = moved.get(one.node, str(_place_now(reading, int(one.node))[0]))
        counts = found.preview[folder if isinstance(one, Revert) else one.parent]
        counts.lost += 1
        match one:
            case Revert():
                counts.reverted -= 1
            case Revive():
                counts.revived -= 1
            case Copy():
                counts.copied -= 1


def _is_kept(reading: Reading, node: str, version: str) -> bool:
    if version in ("", PRESENT):
        return True
    row = reading.one("SELECT 1 FROM version WHERE node = ? AND etag = ?", (int(node), int(version)))
    return row is not None


def _entries(reading: Reading, rows: list[Row]) -> list[Entry]:
    """Each row as ``plan`` asks for it: its place and content after it stand in the node's next rows, or are the
    present ones. What lies in the trash with its folder, or lay there at first, has entries of its own."""
    firsts = {row.node: row.number for row in reversed(rows) if row.kind in ("deleted", "returned")}
    places: dict[int, tuple[int, str]] = {}
    contents: dict[int, str] = {}
    found: list[Entry] = []
    for row in reversed(rows):
        is_last = row.node not in places
        parent, name = places.get(row.node) or _place_now(reading, row.node)
        places[row.node] = (row.parent, row.name) if row.kind != "created" else (0, "")
        version = "" if row.is_folder else contents.get(row.node, PRESENT)
        if row.kind == "changed":
            contents[row.node] = str(row.etag_before)
        if row.kind in ("properties", "destroyed"):
            continue
        one = Entry(row.device_id, str(row.node), "changed", is_folder=bool(row.is_folder))
        here = {"parent": str(parent), "name": name}
        before = {"parent_before": str(row.parent), "name_before": row.name}
        match row.kind:
            case "created":  # of a new node, the row says what it is
                place = {"parent": str(row.parent), "name": row.name}
                found.append(_with(one, what="created", version=version, **place))
            case "returned":
                if row.is_folder and firsts[row.node] == row.number:
                    found.extend(_inside(reading, row, places, contents))
                found.append(_with(one, what="created", version_before=version, version=version, **here))
            case "moved":
                found.append(_with(one, what="renamed", **here, **before))
            case "deleted":
                if row.is_folder and is_last and is_in_trash(reading, row.node):
                    found.extend(_inside(reading, row, places, contents))
                found.append(_with(one, what="deleted", version_before=version, **before))
            case "changed":
                found.append(_with(one, version_before=str(row.etag_before), version=version))
    return found[::-1]


def _with(entry: Entry, **fields: str) -> Entry:
    return msgspec.structs.replace(entry, **fields)


def _inside(
    reading: Reading, row: Row, places: Mapping[int, tuple[int, str]], contents: Mapping[int, str]
) -> Iterable[Entry]:
    """What went to the trash with a folder, or lay there and came out with it."""
    there = {row.node}
    for one in look.below(reading, row.node):
        parent, name = places.get(one.id, (one.parent, one.name))
        if parent not in there:
            continue  # it came into it later
        there.add(one.id)
        version = "" if one.is_folder else contents.get(one.id, PRESENT)
        yield Entry(
            row.device_id,
            str(one.id),
            "deleted" if row.kind == "deleted" else "created",
            is_folder=bool(one.is_folder),
            parent_before=str(parent),
            name_before=name,
            version_before=version,
            parent=str(parent),
            name=name,
            version=version,
            with_folder=row.kind == "deleted",
        )


def _place_now(reading: Reading, node_id: int) -> tuple[int, str]:
    row = reading.one("SELECT parent, name FROM node WHERE id = ?", (node_id,))
    return (row[0], row[1]) if row else (0, "")


class _Tree:
    """The tree as ``plan`` asks for it; what lies in the trash has no place."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def place(self, node: str, /) -> Place | None:
        # Else a copy that is planned.
        found = look.node(self._reading, int(node)) if node.isdecimal() else None
        if found is None or is_in_trash(self._reading, found.id):
            return None
        return Place(str(found.parent) if found.parent else ROOT, found.name)

    def child(self, parent: str, name: str, /) -> str | None:
        row = self._reading.one(
            "SELECT id FROM node WHERE parent = ? AND folded = ?", (_number(parent), names.folded(name))
        )
        return str(row[0]) if row else None

    def children(self, parent: str, /) -> list[str]:
        rows = self._reading.all("SELECT id FROM node WHERE parent = ?", (_number(parent),))
        return [str(row[0]) for row in rows]


def _number(node: str) -> int:
    return int(node) if node else 0


def _shown(reading: Reading, folder: str) -> tuple[str, str]:
    """(person, path)."""
    above = look.above(reading, _number(folder))
    if not above:
        return "", ""
    root = above[-1].name
    if root.startswith(schema.HOME):
        return root.removeprefix(schema.HOME), ""
    return "", "/".join(one.name for one in reversed(above[:-1]))
