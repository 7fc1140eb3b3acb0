"""Look-ups in the tree of one collectivité: what lies where, and how much room it takes.

Rule:    nothing here changes anything; ``tree`` does. Who may see what was decided above.
Source:  docs/internals/drive.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import LiteralString

from beffroi.drive.store import names
from beffroi.drive.store.model import Node
from beffroi.drive.store.writing import Reading

NODES: LiteralString = (
    "SELECT id, parent, name, is_folder, size_bytes, mtime_s, etag, created_s, sha1, sha256, manifest, properties"
    " FROM node"
)
_BY_ID: LiteralString = NODES + " WHERE id = ?"
_BY_NAME: LiteralString = NODES + " WHERE parent = ? AND folded = ?"
_INSIDE: LiteralString = NODES + " WHERE parent = ?"
MOST_IN_ROW = 20
"""Numbers that are tried one after the other; then each is twice the one before."""


def node(database: Reading, node_id: int) -> Node | None:
    row = database.one(_BY_ID, (node_id,))
    return Node(*row) if row else None


def root(database: Reading, name: str) -> Node | None:
    """``name``: HOME + a person's identifier, COMMON or TRASH (``schema``)."""
    return child(database, 0, name)


def child(database: Reading, parent: int, name: str) -> Node | None:
    """By its exact name; another spelling of capitals is another name here."""
    row = database.one(_BY_NAME, (parent, names.folded(name)))
    return Node(*row) if row and row[2] == name else None


def walk(database: Reading, start: int, path: Sequence[str]) -> Node | None:
    if not path:
        return node(database, start)
    found: Node | None = None
    for name in path:  # nothing lies in a file
        found = child(database, start, name)
        if found is None:
            return None
        start = found.id
    return found


def free_name(database: Reading, folder: int, name: str) -> str:
    """The name, or *name (2)* and so on where it is taken in a folder; of many, numbers are left out."""
    return next(one for one in _in_row(name) if not taken(database, folder, one))


def last_in_row(
    database: Reading, folder: int, name: str, fits: Callable[[Node], object], *, numbered: bool
) -> Node | None:
    """The last that fits of what has this name in a folder; ``numbered``: and of those that ``free_name`` made of it,
    up to the next."""
    found = None
    for one in _in_row(name) if numbered else (name,):
        there = taken(database, folder, one)
        if there is None:
            break
        if fits(there):
            found = there
    return found


def _in_row(name: str) -> Iterator[str]:
    tried, number = name, 1
    while True:
        yield tried
        number += 1 if number < MOST_IN_ROW else number
        tried = names.numbered(name, number)


def taken(database: Reading, folder: int, name: str) -> Node | None:
    """What has this name in a folder, in whatever capitals."""
    row = database.one(_BY_NAME, (folder, names.folded(name)))
    return Node(*row) if row else None


def children(database: Reading, folder: int) -> list[Node]:
    """In no order."""
    return [*map(Node._make, database.all(_INSIDE, (folder,)))]


def below(database: Reading, folder: int) -> Iterator[Node]:
    """Everything below a folder, each after its own folder."""
    waiting = [folder]
    while waiting:
        for one in children(database, waiting.pop()):
            yield one
            if one.is_folder:
                waiting.append(one.id)


def above(database: Reading, node_id: int) -> list[Node]:
    """The node and all folders above it, up to its root."""
    out: list[Node] = []
    found = node(database, node_id)
    while found is not None:
        out.append(found)
        found = node(database, found.parent) if found.parent else None
    return out


def path_of(database: Reading, node_id: int) -> str:
    """From its root, with slashes: "a/b.pdf"; "" for a root."""
    return "/".join(one.name for one in reversed(above(database, node_id)[:-1]))
