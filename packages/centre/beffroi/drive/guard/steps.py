"""What a way back is told and what it says: entries of the journal, the tree as it is, steps. Pure.

Source:  ``plan``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

import msgspec

ROOT = ""


class Entry(msgspec.Struct, frozen=True):
    """One change of one node, as the journal has it; a folder that is deleted has an entry for each node in it.

    ``created``: new, or taken back from the trash (with ``version_before``); ``parent``, ``name``, ``version``.
    ``changed``: ``version_before``, ``version``. ``renamed`` (or moved): both places. ``deleted``: the place and the
    version that it had, as ``*_before``. Versions are "" for folders. ``with_folder``: deleted since a folder above it
    was.
    """

    device: str
    node: str
    what: Literal["created", "changed", "renamed", "deleted"]
    is_folder: bool = False
    parent_before: str = ""
    name_before: str = ""
    version_before: str = ""
    parent: str = ""
    name: str = ""
    version: str = ""
    with_folder: bool = False


class Place(msgspec.Struct, frozen=True):
    parent: str
    name: str


class Tree(Protocol):
    """The tree as it is now; the root is ROOT, and always there. ``child`` compares names as the store does."""

    def place(self, node: str, /) -> Place | None: ...
    def child(self, parent: str, name: str, /) -> str | None: ...
    def children(self, parent: str, /) -> Iterable[str]: ...


class Revert(msgspec.Struct, frozen=True, tag=True):
    """The node gets the content of ``version`` again, as a new version."""

    node: str
    version: str


class Move(msgspec.Struct, frozen=True, tag=True):
    node: str
    parent: str
    name: str


class Revive(msgspec.Struct, frozen=True, tag=True):
    """Out of the trash, at this place, with the content of ``version`` ("" for a folder)."""

    node: str
    parent: str
    name: str
    version: str


class Copy(msgspec.Struct, frozen=True, tag=True):
    """A new file with the content of ``version``, beside ``node`` whose own content somebody else wrote since."""

    node: str
    version: str
    parent: str
    name: str


class Remove(msgspec.Struct, frozen=True, tag=True):
    """Into the trash; a folder is empty by then."""

    node: str


Step = Revert | Move | Revive | Copy | Remove


class Counts(msgspec.Struct):
    """Nodes of one folder. ``lost``: whose content of before is kept nowhere any more."""

    reverted: int = 0
    revived: int = 0
    moved: int = 0
    copied: int = 0
    removed: int = 0
    lost: int = 0


class Plan(msgspec.Struct, frozen=True):
    """``preview``: by folder in which the nodes lie in the end, or lay when they were removed. ``kept``: nodes that the
    devices touched, or that went along with one, and that are there in the end."""

    steps: tuple[Step, ...]
    preview: dict[str, Counts]
    kept: frozenset[str] = frozenset()
