"""Links that are over: how they ended, and since when.

Rule:    what came first says why. When a link was used up the metadata do not know: who asks brings it along, and
         without it the link is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Literal, LiteralString, NamedTuple

from beffroi.drive.store import shares
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.shares import NEVER, Share
from beffroi.drive.store.writing import Reading

Why = Literal["stopped", "expired", "used", "gone"]
type UsedUp = Callable[[Collection[str]], Mapping[str, int]]
"""Share -> epoch seconds of its last download, of those whose downloads are all taken."""


class Ended(NamedTuple):
    """``gone``: what it opened was destroyed."""

    share: Share
    why: Why
    since_s: int


def made_by(database: Reading, person_id: str, *, now_s: int, since_s: int, used_up: UsedUp) -> list[Ended]:
    """Those that somebody made and that ended since a moment, the last one first."""
    links = [one for one in shares.every_by(database, person_id) if one.kind == "link"]
    taken = used_up([one.id for one in links if one.downloads_left == 0])
    found = [(one, _end(database, one, taken.get(one.id, NEVER), now_s=now_s)) for one in links]
    ended = [Ended(one, why, at_s) for one, (at_s, why) in found if at_s and since_s <= at_s <= now_s]
    return sorted(ended, key=lambda one: -one.since_s)


def _end(database: Reading, share: Share, used_s: int, *, now_s: int) -> tuple[int, Why]:
    ends: list[tuple[int, Why]] = [
        (share.ended_s, "stopped"),
        (used_s, "used"),
        (_destroyed_s(database, share.node), "gone"),
        (share.expires_s if share.expires_s <= now_s else NEVER, "expired"),
    ]
    return min((one for one in ends if one[0]), default=(NEVER, "stopped"))


def _destroyed_s(database: Reading, node_id: int) -> int:
    if database.one("SELECT 1 FROM node WHERE id = ?", (node_id,)) is not None:
        return NEVER
    asked: LiteralString = (
        "SELECT at_s FROM change WHERE node = ? AND kind = 'destroyed' ORDER BY number DESC LIMIT 1"
    )
    return scalar(database, asked, (node_id,)) or NEVER
