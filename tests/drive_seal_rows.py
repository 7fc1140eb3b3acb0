"""A sealed folder as the metadata has it, without the work of a seal."""

from __future__ import annotations

from typing import Any

from beffroi.drive.store import (
    seals,
)
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.drive.store.seals import NO_END, Seal
from beffroi.lib.ids import new_id

from tests.drive_trees import (
    NOW_S,
)


def a_seal(node: Node, *, until_s: int = NO_END, rule: str = "") -> Seal:
    return Seal(
        new_id("seal"), node.id, "sealing", node.name, NOW_S, until_s, rule, "per_me", 7, "ab" * 32,
        2, 3, 0, 0, 0, "none", 0, 0, 0, "",
    )  # fmt: skip


def sealed(database: Database, node: Node, **more: Any) -> Seal:
    made = a_seal(node, **more)
    database.write(lambda w: seals.begin(w, made))
    database.write(lambda w: seals.finish(w, made.id, {"sceau.txt": b"x"}, stamp="none"))
    return made
