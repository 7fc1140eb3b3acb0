"""Which file came with which visit of a drop link, for pages of members; read alone.

Rule:    a folder's files are named beside who sent them while they lie in it: one that was moved away may lie where
         the reader sees nothing. Whether the reader may know of a sender, the caller asks.
Source:  docs/internals/drive.md, "Drop boxes"; rows are written by ``store.drops``.
"""

from __future__ import annotations

from typing import NamedTuple

from beffroi.drive.store.writing import Reading

MOST_FILES = 1000
"""Of one folder's page."""


class File(NamedTuple):
    """One that came by a link. ``handing``: of which visit (``drops.Handing.id``)."""

    handing: str
    node: int
    name: str


class Sender(NamedTuple):
    """Who handed one file in, as they wrote it. ``folder``: of the link."""

    name: str
    reference: str
    folder: int


def files(database: Reading, folder_id: int) -> dict[str, list[File]]:
    """By visit, what still lies in a folder; of more than MOST_FILES the first by name."""
    found: dict[str, list[File]] = {}
    for row in database.all(
        "SELECT handed.handing, node.id, node.name FROM node JOIN handed ON handed.node = node.id"
        " WHERE node.parent = ? ORDER BY node.name, node.id LIMIT ?",
        (folder_id, MOST_FILES),
    ):
        one = File(*row)
        found.setdefault(one.handing, []).append(one)
    return found


def sender(database: Reading, node_id: int) -> Sender | None:
    """None of a file that came another way, and once its link is forgotten."""
    row = database.one(
        "SELECT handing.sender, handing.id, share.node FROM handed"
        " JOIN handing ON handing.id = handed.handing JOIN share ON share.id = handing.share_id"
        " WHERE handed.node = ?",
        (node_id,),
    )
    return Sender(row[0], row[1].rpartition(":")[2], row[2]) if row else None
