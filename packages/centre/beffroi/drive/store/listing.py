"""What pages list of a collectivité's tree: a folder in the order that people expect, who wrote what last.

Rule:    rows without their manifests: a folder of 10,000 entries is read and put in order at once. Nothing is changed.
         Who may see what is decided above: ``roots`` are those that the asker sees.
Source:  docs/internals/drive.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import batched
from typing import LiteralString, NamedTuple

from beffroi.drive.store import handovers, look, schema
from beffroi.drive.store.handovers import Handover
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Row
from beffroi.lib import accents

_ENTRIES: LiteralString = "SELECT id, parent, name, is_folder, size_bytes, mtime_s, etag FROM node"
_CHANGED_BY: LiteralString = "SELECT number, person_id, at_s, kind FROM change WHERE number IN ("
_AT_ONCE = 500
_NUMBERS = re.compile(r"(\d+)")


class Entry(NamedTuple):
    """A row of ``node`` as a list shows it; fields as ``model.Node`` says."""

    id: int
    parent: int
    name: str
    is_folder: int
    size_bytes: int
    mtime_s: int
    etag: int


class Maker(NamedTuple):
    """Of a change. ``was_handed``: a handover of somebody's files moved it, or gave it back."""

    person_id: str
    at_s: int
    was_handed: bool


def by_name(name: str) -> tuple[object, ...]:
    """Key of order: without accents and capitals, numbers by their value: *Écoles* before *Voirie*, 9 before 10."""
    pieces = _NUMBERS.split(accents.bare(name))
    return (
        *((piece, int(pieces[at + 1][:18])) for at, piece in enumerate(pieces[:-1]) if at % 2 == 0),
        (pieces[-1],),
    )


def folder(database: Reading, folder_id: int, *, newest_first: bool = False) -> list[Entry]:
    """All entries of a folder: folders before files by name, or the last changed first."""
    found = [Entry(*row) for row in database.all(_ENTRIES + " WHERE parent = ?", (folder_id,))]
    if newest_first:
        return sorted(found, key=lambda one: (-one.mtime_s, one.id))
    return sorted(found, key=lambda one: (not one.is_folder, by_name(one.name), one.name))


def some(database: Reading, folder_id: int, ids: Sequence[int]) -> list[Entry]:
    """Those of these nodes that lie in a folder, in the order given."""
    if not ids:
        return []
    wanted = "?, " * (len(ids) - 1) + "?"
    found = {row[0]: Entry(*row) for row in database.all(_ENTRIES + " WHERE id IN (" + wanted + ")", ids)}
    return [found[one] for one in ids if one in found and found[one].parent == folder_id]


def changed_by(database: Reading, entries: Sequence[Entry]) -> dict[int, Maker]:
    """Node -> who made the last change of each file; folders, whose etag follows what they hold, are left out."""
    files = {one.etag: one for one in entries if not one.is_folder}
    rows: list[Row] = []
    for numbers in batched(files, _AT_ONCE, strict=False):
        marks: LiteralString = ", ".join("?" for _ in numbers)
        rows += database.all(_CHANGED_BY + marks + ")", numbers)
    passed = handovers.every(database) if any(kind == "moved" for *_, kind in rows) else []
    found: dict[int, Maker] = {}
    for number, person_id, at_s, kind in rows:
        one = files[number]
        during = [each for each in passed if kind == "moved" and each.is_during(at_s)]
        found[one.id] = Maker(person_id, at_s, _was_handed(database, one, person_id, during))
    return found


def _was_handed(database: Reading, one: Entry, mover: str, during: Sequence[Handover]) -> bool:
    """Whether it was moved into the root that it lies in by handovers of that time. ``mover``: who asked for them, who
    sees nothing of it, unless it is their own root."""
    if not during:
        return False
    root = look.above(database, one.id)[-1].name.removeprefix(schema.HOME)
    return root != mover and any(
        root == each.person_id or (root, mover) == (each.heir, each.begun_by) for each in during
    )


def below(database: Reading, entries: Iterable[Entry], roots: Collection[int]) -> Iterator[Entry]:
    """Those that are one of ``roots`` and lie in a folder, or lie below one, in their order."""
    known: dict[int, bool] = {0: False} | dict.fromkeys(roots, True)
    for one in entries:
        way, above = [], one.parent
        while above not in known:
            way.append(above)
            above = scalar(database, "SELECT parent FROM node WHERE id = ?", (above,)) or 0
        known.update(dict.fromkeys(way, known[above]))
        if known[one.parent] or (one.parent and one.id in roots):
            yield one
