"""What of somebody's own files goes to a colleague once they left, and what stays: what they called personal.

Rule:    what is called personal or bears a label of such a name stays, and so does all below it, and a folder that
         holds nothing else. It is counted and never shown.
Hostile: names of files and of labels.
Source:  docs/decisions/0105-files-of-who-left-go-to-a-colleague.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import LiteralString, NamedTuple

from beffroi.drive.store import look, names, schema, weights
from beffroi.drive.store.model import NOTHING, Node, Weight
from beffroi.drive.store.writing import Reading
from beffroi.lib.personal import is_personal_name

_PAGE = 100
_TAGGED: LiteralString = "SELECT node FROM tagged WHERE tag = ?"
_NEXT: LiteralString = look.NODES + " WHERE parent = ? AND folded > ? ORDER BY folded LIMIT ?"


class Left(NamedTuple):
    """What is in somebody's own root. ``files``, ``folders``, ``size_bytes``: that would be handed over; ``closed``:
    files that stay, for they or a folder above them are called personal. ``weight``: what of it takes room."""

    files: int
    folders: int
    size_bytes: int
    closed: int
    weight: Weight


def left(reading: Reading, person_id: str) -> Left:
    """All zero for who has no root."""
    home = look.root(reading, schema.HOME + person_id)
    if home is None:
        return Left(0, 0, 0, 0, NOTHING)
    marked, going = labelled(reading), weights.of(reading, home).minus(Weight(entries=1))
    files = folders = size_bytes = closed = 0
    waiting = [home.id]
    while waiting:
        for one in _inside(reading, waiting.pop()):
            if is_personal(one, marked):
                going = going.minus(weights.of(reading, one))
                closed += files_of(reading, one)
            elif not one.is_folder:
                files, size_bytes = files + 1, size_bytes + one.size_bytes
            else:
                waiting.append(one.id)
                folders += is_handed(reading, one, marked)
    return Left(files, folders, size_bytes, closed, going)


def labelled(reading: Reading) -> frozenset[int]:
    """Nodes with a label that says personal."""
    tags = [row[0] for row in reading.all("SELECT id, name FROM tag") if is_personal_name(row[1])]
    return frozenset(row[0] for tag in tags for row in reading.all(_TAGGED, (tag,)))


def is_personal(one: Node, marked: Collection[int]) -> bool:
    return one.id in marked or is_personal_name(one.name)


def is_handed(reading: Reading, folder: Node, marked: Collection[int]) -> bool:
    """An empty folder is; one in which everything is personal is not, nor one that was emptied so."""
    is_empty = True
    for one in _inside(reading, folder.id):
        is_empty = False
        if not is_personal(one, marked) and (not one.is_folder or is_handed(reading, one, marked)):
            return True
    return is_empty and reading.one("SELECT 1 FROM handover_folder WHERE was = ?", (folder.id,)) is None


def files_of(reading: Reading, one: Node) -> int:
    """The file itself, or those below a folder."""
    return sum(not each.is_folder for each in look.below(reading, one.id)) if one.is_folder else 1


def _inside(reading: Reading, folder: int) -> Iterator[Node]:
    after = ""
    while found := page(reading, folder, after, _PAGE):
        yield from found
        after = names.folded(found[-1].name)


def page(reading: Reading, folder: int, after: str, most: int) -> list[Node]:
    rows = reading.all(_NEXT, (folder, after, most))
    return [Node(*row) for row in rows]
