"""A node as one person sees it: where in their tree, what they may do with it, and through what it is shared.

Process: any; ``views`` makes them.
Source:  docs/internals/drive.md, "Shares".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from beffroi.drive.store import look
from beffroi.drive.store.model import Node, ReadOnly
from beffroi.drive.store.shares import Share
from beffroi.drive.store.writing import Reading

COMMON_NAME = "Commune"
"""Name of the collectivité's own folder in every member's root; nobody can make another of this name there."""
SHARED_NAME = "Partagé avec moi"
"""Name of the folder of what others share, in the root of who has something there; reserved in every root."""


@dataclass(frozen=True)
class Rights:
    """``is_mount``: a root that is shown inside another one; it cannot be moved or deleted. ``is_shared``: it is
    somebody else's, who shares it or a folder above it; nobody passes it on."""

    may_write: bool
    is_mount: bool = False
    is_shared: bool = False

    @property
    def may_share(self) -> bool:
        return self.may_write and not self.is_mount and not self.is_shared


_READ_ONLY = 1 << 62
"""In the etag of a folder that somebody may only read; numbers of changes stay far below."""


class Place(NamedTuple):
    """A node as one person sees it. ``path``: names from the person's root. ``etag``: for a root that shows others
    inside it, one that changes with each of them. ``owner``: the collectivité whose node it is."""

    node: Node
    path: tuple[str, ...]
    rights: Rights
    etag: int
    owner: str

    def require_writable(self) -> Place:
        """Itself. Errors: ReadOnly."""
        if not self.rights.may_write:
            raise ReadOnly
        return self

    @classmethod
    def of(cls, node: Node, path: tuple[str, ...], rights: Rights, owner: str) -> Place:
        """Where nothing else shows inside. The etag of a folder is another one once its person may write there, or no
        more: sync clients ask again what they may do with what lies in a folder only where its etag is another one."""
        is_read_only = node.is_folder and not rights.may_write
        return cls(node, path, rights, node.etag | _READ_ONLY if is_read_only else node.etag, owner)


class Mount(NamedTuple):
    """What is shared with a person, as they see it. ``name``: in the folder SHARED_NAME. ``owner``: a collectivité."""

    share: Share
    name: str
    node: Node
    may_write: bool
    owner: str

    @property
    def path(self) -> tuple[str, ...]:
        return SHARED_NAME, self.name

    @property
    def place(self) -> Place:
        return self._place_of(self.node, self.path)

    def below(self, reading: Reading, path: Sequence[str]) -> Place | None:
        """``path``: from the person's root, through this mount."""
        found = look.walk(reading, self.node.id, path[2:])
        return None if found is None else self._place_of(found, tuple(path))

    def holding(self, way: Sequence[Node]) -> Place | None:
        """The node at the beginning of ``way`` (``look.above``), if it is what is shared or lies below it."""
        for depth, one in enumerate(way):
            if one.id == self.node.id:
                return self._place_of(way[0], (*self.path, *(step.name for step in reversed(way[:depth]))))
        return None

    def _place_of(self, node: Node, path: tuple[str, ...]) -> Place:
        rights = Rights(self.may_write, is_mount=path == self.path, is_shared=True)
        return Place.of(node, path, rights, self.owner)


def best(places: Iterator[Place | None]) -> Place | None:
    """The first that may be written; a folder that is shared inside another one is a mount only where it must be."""
    found = [one for one in places if one is not None]
    return max(found, key=lambda one: (one.rights.may_write, not one.rights.is_mount), default=None)
