"""What kind of thing each file and folder is by its name, and when it was changed: the part of the index that searches
by kind and by time go through in order, and what of a commune the index does not know yet.

Rule:    a row for each node that has one in ``word_file``, kept by the same follower. ``behind`` names the nodes of
         which the index may say what was true before: who looks at those, and in the index for all others, misses
         nothing. A folder among them stands for all below it, unless the index has it under the root where it lies.
Source:  docs/decisions/0103-webdav-search-by-the-index.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString, NamedTuple

from beffroi.drive.store import names
from beffroi.drive.store.model import Node
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.words import index, whole

FOLDER = "httpd"
"""Of the type of a folder, httpd/unix-directory."""
PAGE = 200
"""Rows that are read at a time, at most."""
_NODE: LiteralString = (
    "n.id, n.parent, n.name, n.is_folder, n.size_bytes, n.mtime_s, n.etag, n.created_s, n.sha1, n.sha256, n.manifest,"
    " n.properties"
)
_OLDER: LiteralString = """
    SELECT k.mtime_s, k.node, {node}
    FROM (SELECT mtime_s, node FROM node_kind WHERE root = ? AND kind = ? AND mtime_s >= ? AND (mtime_s, node) < (?, ?)
        ORDER BY mtime_s DESC, node DESC LIMIT ?) k
    LEFT JOIN node n ON n.id = k.node ORDER BY k.mtime_s DESC, k.node DESC""".replace("{node}", _NODE)
_NEWER: LiteralString = """
    SELECT k.mtime_s, k.node, {node}
    FROM (SELECT mtime_s, node FROM node_kind WHERE root = ? AND kind = ? AND mtime_s <= ? AND (mtime_s, node) > (?, ?)
        ORDER BY mtime_s, node LIMIT ?) k
    LEFT JOIN node n ON n.id = k.node ORDER BY k.mtime_s, k.node""".replace("{node}", _NODE)
_BEGINNING: LiteralString = "SELECT node FROM word_name WHERE root = ? AND word >= ? AND word < ? LIMIT ?"
_NAMED: LiteralString = (
    "SELECT {node} FROM (SELECT DISTINCT node FROM ({rows}) r) w JOIN node n ON n.id = w.node".replace(
        "{node}", _NODE
    ).replace("{rows}", _BEGINNING)
)


class Span(NamedTuple):
    """Epoch seconds, both ends in it."""

    since_s: int
    until_s: int


def of(name: str, *, is_folder: bool) -> str:
    """What stands before the slash in a node's type."""
    return FOLDER if is_folder else names.content_type(name).partition("/")[0]


# -- what is kept --------------------------------------------------------------------------------------------


def replace(writing: Writing, node_id: int, root: int, node: Node | None) -> None:
    """What is said of a node from now on; of None nothing."""
    writing.run("DELETE FROM node_kind WHERE node = ?", (node_id,))
    if node is not None:
        kind = of(node.name, is_folder=bool(node.is_folder))
        writing.run(
            "INSERT INTO node_kind (node, root, kind, mtime_s) VALUES (?, ?, ?, ?)",
            (node_id, root, kind, node.mtime_s),
        )


# -- what is asked -------------------------------------------------------------------------------------------


def behind(reading: Reading, most: int) -> list[int] | None:
    """Nodes that are to be looked at themselves; None where they are more than ``most``, or where there is no whole
    index yet."""
    number = index.reached(reading)
    if number is None or whole.way(reading) is not None:
        return None
    rows = reading.all("SELECT node FROM change WHERE number > ? LIMIT ?", (number, most + 1))
    rows += reading.all("SELECT node FROM word_due LIMIT ?", (most + 1,))
    found = list(dict.fromkeys(row[0] for row in rows))
    return found if len(rows) <= most else None


def is_under(reading: Reading, folder_id: int, root: int) -> bool:
    """Whether the index has a folder under this root, and so all below it but what is ``behind`` itself."""
    return bool(scalar(reading, "SELECT root FROM node_kind WHERE node = ?", (folder_id,)) == root)


def all_of(reading: Reading, root: int) -> list[str]:
    """The kinds of what lies under a root."""
    found: list[str] = []
    while row := reading.one(
        "SELECT kind FROM node_kind WHERE root = ? AND kind > ? ORDER BY kind LIMIT 1",
        (root, found[-1] if found else ""),
    ):
        found.append(row[0])
    return found


def in_order(
    reading: Reading, root: int, kind: str, span: Span, *, newest_first: bool, page: int
) -> Iterator[tuple[tuple[int, int], Node | None]]:
    """(time and number as the index has them, the node) of one kind under a root; None: destroyed since. ``page``: how
    many are read first; more each time."""
    asked, at = (_OLDER, (span.until_s + 1, 0)) if newest_first else (_NEWER, (span.since_s, 0))
    end = span.since_s if newest_first else span.until_s
    while rows := reading.all(asked, (root, kind, end, *at, page)):
        for mtime_s, node_id, *row in rows:
            at = mtime_s, node_id
            yield at, Node(*row) if row[0] is not None else None
        page = min(2 * page, PAGE)


def named(reading: Reading, root: int, piece: str, most: int) -> list[Node] | None:
    """Of which a piece of a word of the name begins so (``terms.ends``); None where more than ``most`` rows say so: of
    one name they are several."""
    first = piece.encode()
    asked = (root, first, first + b"\xff", most + 1)
    if len(reading.all(_BEGINNING, asked)) > most:
        return None
    return [Node(*row) for row in reading.all(_NAMED, asked)]
