"""Where a search looks for somebody: under which roots the index has it, and what of that they see.

Rule:    what is shared is indexed with its owner's root, most of which is the owner's alone: each hit is one of
         ``within``, or lies below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from beffroi.drive.store import look
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Mount, View, Visit


class Reach(NamedTuple):
    """Node identifiers."""

    roots: frozenset[int]
    within: frozenset[int]


def here(reading: Reading, view: View) -> Reach:
    """In the person's own collectivité: their folder, the common one, and what is shared with them."""
    own = [one.id for one in view.roots(reading)]
    mounts = view.mounts_here(reading)
    return Reach(frozenset(own + _roots(reading, mounts)), frozenset(own + [one.node.id for one in mounts]))


def there(reading: Reading, visit: Visit) -> Reach:
    """In another one, by one share; nothing where the owner ended it. ``reading``: of the owner's metadata."""
    mount = visit.mount(reading)
    mounts = [mount] if mount is not None else []
    return Reach(frozenset(_roots(reading, mounts)), frozenset(one.node.id for one in mounts))


def _roots(reading: Reading, mounts: Sequence[Mount]) -> list[int]:
    return [look.above(reading, one.node.id)[-1].id for one in mounts]
