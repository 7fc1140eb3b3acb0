"""Where what is shared with a person stands in their own tree: a name that they chose, or that they left it.

Rule:    a row only where the receiver did something; without one the thing has its owner's name. Rows lie in the
         receiver's metadata, also for shares of another collectivité.
Source:  docs/internals/drive.md, "Shares".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from beffroi.drive.store import names
from beffroi.drive.store.writing import Reading, Writing


class Kept(NamedTuple):
    """``name``: "" for the owner's. ``left_s``: epoch seconds, 0 for not left."""

    name: str
    left_s: int


def of(database: Reading, person_id: str) -> dict[str, Kept]:
    """By the share's identifier."""
    rows = database.all("SELECT share_id, name, left_s FROM mount WHERE person_id = ?", (person_id,))
    return {row[0]: Kept(row[1], row[2]) for row in rows}


def rename(writing: Writing, share_id: str, person_id: str, name: str) -> None:
    _keep(writing, share_id, person_id, Kept(name, 0))


def leave(writing: Writing, share_id: str, person_id: str, *, now_s: int) -> None:
    """The person sees it no more; for all others it stands."""
    _keep(writing, share_id, person_id, Kept("", now_s))


def come_back(writing: Writing, share_id: str, person_id: str) -> None:
    writing.run("DELETE FROM mount WHERE share_id = ? AND person_id = ?", (share_id, person_id))


def forget(writing: Writing, person_id: str) -> None:
    """All of somebody who is erased."""
    writing.run("DELETE FROM mount WHERE person_id = ?", (person_id,))


def named(wanted: Iterable[tuple[str, str]], kept: Mapping[str, Kept]) -> dict[str, str]:
    """The name of each share by its identifier: the receiver's own first, then the owner's, numbered where taken.

    ``wanted``: (identifier, the owner's name), in an order that stays.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    pairs = sorted(wanted, key=lambda one: not kept.get(one[0], Kept("", 0)).name)
    for share_id, usual in pairs:
        name = kept.get(share_id, Kept("", 0)).name or usual
        number = 1
        while names.folded(tried := name if number == 1 else names.numbered(name, number)) in taken:
            number += 1
        found[share_id] = tried
        taken.add(names.folded(tried))
    return found


def _keep(writing: Writing, share_id: str, person_id: str, kept: Kept) -> None:
    come_back(writing, share_id, person_id)
    writing.run("INSERT INTO mount VALUES (?, ?, ?, ?)", (share_id, person_id, *kept))
