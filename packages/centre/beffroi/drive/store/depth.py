"""Where nothing may go: a folder into itself, and what lies in it deeper than a path may be.

Source:  docs/internals/drive.md, "Names".
"""

from __future__ import annotations

from typing import LiteralString

from beffroi.drive.store import names
from beffroi.drive.store.look import above
from beffroi.drive.store.model import IntoItself, Node
from beffroi.drive.store.writing import Reading

_DEEPER: LiteralString = (
    "WITH RECURSIVE inside (id, depth) AS (SELECT CAST(? AS BIGINT), 0 UNION ALL SELECT node.id, depth + 1"
    " FROM inside CROSS JOIN node WHERE node.parent = inside.id AND node.is_folder = 1 AND depth < ?)"
    " SELECT 1 FROM inside WHERE depth = ?"
    " AND EXISTS (SELECT 1 FROM node WHERE parent = inside.id) LIMIT 1"
)


def refuse_cycle(database: Reading, one: Node, folder: int) -> None:
    """Errors: IntoItself."""
    if one.is_folder and any(step.id == one.id for step in above(database, folder)):
        raise IntoItself


def refuse_too_deep(database: Reading, one: Node, folder: int) -> None:
    """What is deeper than a path may be could be reached by nobody. Folders are walked, not their files.

    Errors: TooDeep.
    """
    depth = len(above(database, folder))  # of what lies in it; its root does not count
    left = names.MAX_DEPTH - depth
    if left < 0 or (one.is_folder and depth > 1 and database.one(_DEEPER, (one.id, left, left))):
        raise names.TooDeep
