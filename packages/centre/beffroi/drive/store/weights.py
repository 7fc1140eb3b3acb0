"""What lies below each folder beside the bytes of its files: how many entries, and how large their versions are.

Purpose: the room that is taken is known without counting files. Each change says what it adds to a folder
         (``Writing.touch``, ``Writing.weigh``); ``Writing.settle`` brings all folders above up, as it does with sizes.
Rule:    ``entries`` are files, folders and versions below a folder, without itself. ``drift`` counts everything anew
         and says where the kept numbers differ; ``mend`` writes what was counted, in one change.
Memory:  by folders, not by files.
Source:  docs/internals/drive.md, "Room".
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from beffroi.drive.store.model import Node, Weight
from beffroi.drive.store.scalars import keep_meta, meta, scalar

if TYPE_CHECKING:
    from beffroi.drive.store.writing import Reading, Statements, Writing

PARTS, CALENDARS = "parts", "calendars"
"""``beside.what``. Parts are nobody's (owner ""): where they go is known only at their end."""


class Drift(NamedTuple):
    """A folder whose kept numbers are not what is there; node 0: parts of uploads."""

    node: int
    kept: Weight
    counted: Weight


def of(reading: Reading, one: Node) -> Weight:
    """What a node takes with all below it, as the tables say; a group's own growth comes on top."""
    if one.is_folder:
        row = reading.one("SELECT entries, version_bytes FROM weight WHERE node = ?", (one.id,)) or (0, 0)
    else:
        row = reading.one(
            "SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM version WHERE node = ?", (one.id,)
        ) or (0, 0)
    return Weight(one.size_bytes, 1 + int(row[0]), int(row[1]))


def add(session: Statements, grown: dict[int, Weight]) -> None:
    session.many(
        "INSERT INTO weight (node, entries, version_bytes) VALUES (?, ?, ?) ON CONFLICT (node) DO UPDATE"
        " SET entries = weight.entries + excluded.entries,"
        " version_bytes = weight.version_bytes + excluded.version_bytes",
        [
            (folder, one.entries, one.version_bytes)
            for folder, one in grown.items()
            if one.entries or one.version_bytes
        ],
    )


def lay_beside(session: Statements, owner: str, what: str, grown_bytes: int) -> None:
    session.run(
        "INSERT INTO beside (owner, what, size_bytes) VALUES (?, ?, ?) ON CONFLICT (owner, what) DO UPDATE"
        " SET size_bytes = beside.size_bytes + excluded.size_bytes",
        (owner, what, grown_bytes),
    )


def count(reading: Reading) -> dict[int, Weight]:
    """Of every folder, from what is there."""
    own: defaultdict[int, Weight] = defaultdict(Weight)
    for parent, entries, size_bytes in reading.all(
        "SELECT parent, COUNT(*), SUM(CASE WHEN is_folder = 0 THEN size_bytes ELSE 0 END) FROM node"
        " WHERE parent <> 0 GROUP BY parent"
    ):
        own[parent] = Weight(int(size_bytes), int(entries))
    for parent, versions, size_bytes in reading.all(
        "SELECT node.parent, COUNT(*), SUM(version.size_bytes) FROM version JOIN node ON node.id = version.node"
        " GROUP BY node.parent"
    ):
        own[parent] = own[parent].plus(Weight(0, int(versions), int(size_bytes)))
    parents: dict[int, int] = dict(reading.all("SELECT id, parent FROM node WHERE is_folder = 1"))
    inside: defaultdict[int, list[int]] = defaultdict(list)
    for folder, parent in parents.items():
        inside[parent].append(folder)
    order = list(inside[0])
    for folder in order:  # grows while it is read: each folder before those in it
        order += inside[folder]
    out: dict[int, Weight] = {}
    for folder in reversed(order):
        out[folder] = own[folder]
        for below in inside[folder]:
            out[folder] = out[folder].plus(out[below])
    return out


def drift(reading: Reading) -> list[Drift]:
    """Where the kept numbers differ from what is there; nothing, unless a fault of ours or of the disk was."""
    kept = {
        row[0]: Weight(*row[1:])
        for row in reading.all(
            "SELECT node.id, node.size_bytes, COALESCE(entries, 0), COALESCE(version_bytes, 0) FROM node"
            " LEFT JOIN weight ON weight.node = node.id WHERE is_folder = 1"
        )
    }
    kept[0], counted = Weight(uploads_bytes(reading)), count(reading)
    counted[0] = Weight(_parts_there(reading))
    return [
        Drift(node, kept.get(node, Weight()), one)
        for node, one in counted.items()
        if kept.get(node, Weight()) != one
    ]


def mend(writing: Writing) -> list[Drift]:
    """Write what was counted; return what was wrong. Others wait meanwhile: for as long as all folders are read."""
    wrong = drift(writing)
    for node, kept, counted in wrong:
        if not node:
            lay_beside(writing, "", PARTS, counted.size_bytes - kept.size_bytes)
            continue
        writing.run("UPDATE node SET size_bytes = ? WHERE id = ?", (counted.size_bytes, node))
        add(writing, {node: counted.minus(kept)})
    return wrong


def first_count(session: Statements) -> None:
    """Of metadata that were written before this was kept."""
    if meta(session, "weighed") is None:
        add(session, count(session))
        lay_beside(session, "", PARTS, _parts_there(session))
        keep_meta(session, "weighed", 1)


def uploads_bytes(reading: Reading) -> int:
    """Parts of uploads that are not joined yet, as it is kept."""
    return scalar(reading, "SELECT size_bytes FROM beside WHERE owner = '' AND what = ?", (PARTS,)) or 0


def _parts_there(reading: Reading) -> int:
    return int(scalar(reading, "SELECT SUM(size_bytes) FROM part") or 0)
