"""What one person sees: their own folder as the root, the collectivité's beside it, and what they may do in each.

Rule:    the only way from a path to a node on somebody's behalf. The tree comes from the credential's collectivité;
         what is absent and what is another's are one answer.
Hostile: paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from beffroi.drive.store import look, schema, tree
from beffroi.drive.store.database import Database, Reading, Writing
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.who import Who
from beffroi.lib import clock

COMMON_NAME = "Commune"
"""Name of the collectivité's own folder in every member's root; nobody can make another of this name there."""
LARGEST_ID = (1 << 63) - 1
"""What a database takes for a number."""


@dataclass(frozen=True)
class Rights:
    """``is_mount``: a root that is shown inside another one; it cannot be moved, renamed or deleted."""

    may_write: bool
    is_mount: bool = False


class Place(NamedTuple):
    """A node as one person sees it. ``path``: names from the person's root. ``etag``: for a root that shows others
    inside it, the newest of them all."""

    node: Node
    path: tuple[str, ...]
    rights: Rights
    etag: int


class View:
    """One person's tree. Look-ups take a ``Reading``, so that a request sees one picture."""

    def __init__(self, database: Database, who: Who) -> None:
        self.database, self.who = database, who
        self._writes_common = who.role in ("agent", "referent")

    def roots(self, reading: Reading) -> tuple[Node, Node]:
        """(own, common), made at the first use; in a change by that change itself."""
        own = look.root(reading, schema.HOME + self.who.person_id)
        common = look.root(reading, schema.COMMON)
        if own is None or common is None:
            if isinstance(reading, Writing):
                return self.make_roots(reading)
            return self.database.write(self.make_roots)
        return own, common

    def make_roots(self, writing: Writing) -> tuple[Node, Node]:
        """A change. A ``Reading`` that began before it does not see them: make them before, and look then."""
        now_s = clock.epoch_s()
        own = tree.make_root(writing, schema.HOME + self.who.person_id, now_s=now_s)
        return own, tree.make_root(writing, schema.COMMON, now_s=now_s)

    def place(self, reading: Reading, path: Sequence[str]) -> Place:
        """Errors: AbsentNode."""
        found = self.find(reading, path)
        if found is None:
            raise AbsentNode("file")
        return found

    def find(self, reading: Reading, path: Sequence[str]) -> Place | None:
        if not path:
            own, common = self.roots(reading)
            return Place(own, (), Rights(True, is_mount=True), max(own.etag, common.etag))
        is_common = path[0] == COMMON_NAME
        root = look.root(reading, schema.COMMON if is_common else schema.HOME + self.who.person_id)
        if root is None:
            root = self.roots(reading)[is_common]
        found = look.walk(reading, root.id, path[1:] if is_common else path)
        mount = is_common and len(path) == 1
        if found is None:
            return None
        may_write = self._writes_common if is_common else True
        return Place(found, tuple(path), Rights(may_write, is_mount=mount), found.etag)

    def at(self, reading: Reading, node_id: int) -> Place:
        """By its identifier, wherever it lies in what this person sees. Errors: AbsentNode."""
        if not 0 < node_id <= LARGEST_ID:
            raise AbsentNode("file")
        own, common = self.roots(reading)
        if node_id == own.id:
            return self.place(reading, ())
        way = look.above(reading, node_id)
        if not way or way[-1].id not in (own.id, common.id):
            raise AbsentNode("file")
        path = tuple(one.name for one in reversed(way[:-1]))
        if way[-1].id == own.id:
            return Place(way[0], path, Rights(may_write=True), way[0].etag)
        rights = Rights(self._writes_common, is_mount=len(way) == 1)
        return Place(way[0], (COMMON_NAME, *path), rights, way[0].etag)

    def children(self, reading: Reading, place: Place) -> list[Place]:
        """Errors: AbsentNode (it is no folder)."""
        if not place.node.is_folder:
            raise AbsentNode("folder")
        inside = Rights(place.rights.may_write)
        out = [
            Place(one, (*place.path, one.name), inside, one.etag)
            for one in look.children(reading, place.node.id)
        ]
        if not place.path:
            _, common = self.roots(reading)
            mount = Rights(self._writes_common, is_mount=True)
            out.append(Place(common, (COMMON_NAME,), mount, common.etag))
        return out

    def is_reserved(self, path: Sequence[str]) -> bool:
        """Whether a name stands for something of ours, so that nothing else may be made or put there."""
        return len(path) <= 1 and (not path or path[0].casefold() == COMMON_NAME.casefold())
