"""What others share with one person: colleagues, and other collectivités whose offer theirs accepted; and the name that
each of it has in their tree.

Rule:    a share that gives a person nothing that they have anyway is none to them; of two on one file the one that
         writes counts. Names are given to all of it together, so that no two have the same one. The name of what is
         shared no more, or was left, is nobody else's until its share is forgotten: what a device has for it and did
         not send yet would come to others.
Source:  docs/internals/drive.md, "Shares".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from beffroi.drive.store import look, mounts, received, schema, shares, trash
from beffroi.drive.store.model import Node
from beffroi.drive.store.mounts import Kept
from beffroi.drive.store.received import Received
from beffroi.drive.store.shares import Share
from beffroi.drive.store.writing import Reading
from beffroi.drive.who import WRITERS, Who
from beffroi.lib import clock


class Here(NamedTuple):
    """Of a colleague. ``name``: in the receiver's tree."""

    share: Share
    node: Node
    name: str


class Elsewhere(NamedTuple):
    """Of another collectivité: only its own metadata say whether it stands. ``name``: in the receiver's tree."""

    offer: Received
    name: str


def standing(reading: Reading, who: Who) -> Iterator[Share]:
    """Shares of the collectivité that give this person more than they have in it, left or not; the oldest first."""
    return (share for share, _, stands in _giving(reading, who) if stands)


def everything(reading: Reading, who: Who) -> tuple[list[Here], list[Elsewhere]]:
    """But what this person left; the oldest first."""
    kept = mounts.of(reading, who.person_id)
    known, offers = _of_each_node(reading, who, kept), _accepted(reading)
    named = mounts.named(
        [
            *(
                (share.id, node.name if is_seen else trash.name(reading, node))
                for share, node, is_seen in known
            ),
            *((one.share_id, one.label) for one in offers),
        ],
        kept,
    )
    return (
        [Here(share, node, named[share.id]) for share, node, is_seen in known if is_seen],
        [Elsewhere(one, named[one.share_id]) for one in offers if not _is_left(kept, one.share_id)],
    )


def elsewhere(reading: Reading, who: Who) -> list[Elsewhere]:
    """Those of other collectivités alone, which most people have none of."""
    return everything(reading, who)[1] if _accepted(reading) else []


def _accepted(reading: Reading) -> list[Received]:
    return [one for one in received.every(reading) if one.state == "accepted"]


def _giving(reading: Reading, who: Who) -> Iterator[tuple[Share, Node, bool]]:
    """As ``standing``, open or not: with what is shared, and whether the share stands."""
    now_s = clock.epoch_s()
    for share in shares.for_person(reading, person_id=who.person_id, role=who.role):
        way = look.above(reading, share.node)
        if not way:
            continue
        root = way[-1].name
        has = root == schema.COMMON and (share.rights == "read" or who.role in WRITERS)
        if not has and root != schema.HOME + who.person_id:
            yield share, way[0], share.is_open(now_s) and shares.lies(way)


def _of_each_node(reading: Reading, who: Who, kept: Mapping[str, Kept]) -> list[tuple[Share, Node, bool]]:
    """One share for each file that is shared here, or was; whether the person sees it."""
    found: dict[int, tuple[Share, Node, bool]] = {}
    for share, node, stands in _giving(reading, who):
        is_seen, before = stands and not _is_left(kept, share.id), found.get(node.id)
        if before is None or (is_seen and _worth(share, is_seen=True) > _worth(before[0], is_seen=before[2])):
            found[node.id] = share, node, is_seen
    return list(found.values())


def _worth(share: Share, *, is_seen: bool) -> tuple[bool, bool]:
    return is_seen, share.rights == "write"


def _is_left(kept: Mapping[str, Kept], share_id: str) -> bool:
    return share_id in kept and bool(kept[share_id].left_s)
