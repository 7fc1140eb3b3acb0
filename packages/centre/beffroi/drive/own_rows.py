"""What the metadata of one collectivité hold about one person's shares, links, groups, stars, ways back and stopped
devices, for themselves (GDPR article 15).

Process: a person's command line on the centre, as the Python user.
Privacy: of others identifiers alone; names of files only where the person shared them. No token, no password, no hash.
Source:  docs/internals/drive.md, "Shares".
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from beffroi.drive import alarms
from beffroi.drive.departures import metadata
from beffroi.drive.store import (
    departed,
    favourites,
    going_back,
    groups,
    handovers,
    look,
    mounts,
    passed,
    received,
    shares,
)
from beffroi.drive.store.shares import Share
from beffroi.drive.store.writing import Reading
from beffroi.lib.config import Config

PARTS = (
    "drive_groups",
    "drive_shares_made",
    "drive_links_made",
    "drive_shares_received",
    "drive_shares_answered",
    "drive_departures",
    "drive_handovers",
    "drive_ways_back",
    "drive_stars",
    "drive_alarms",
)
type Rows = dict[str, list[dict[str, Any]]]
"""By PARTS; times in UTC, ISO 8601, None for none."""


def of_person(config: Config, *, collectivite_id: str, person_id: str, roles: Collection[str]) -> Rows:
    """``roles``: that they have there now. Errors: Unavailable, FormatUnknown."""
    with metadata(config, collectivite_id) as database:
        if database is None:
            return {name: [] for name in PARTS}
        with database.reading() as reading:
            found = _of_person(reading, collectivite_id, person_id, roles)
    return {
        name: [{"collectivite_id": collectivite_id, **row} for row in found.get(name, [])] for name in PARTS
    }


def _of_person(reading: Reading, collectivite_id: str, person_id: str, roles: Collection[str]) -> Rows:
    named, every = groups.names(reading), shares.every(reading)
    inside, kept = groups.of_person(reading, person_id), mounts.of(reading, person_id)
    targets = {("person", person_id), *(("role", one) for one in roles), *(("group", one) for one in inside)}
    made = [one for one in every if one.created_by == person_id]
    given = [one for one in every if (one.kind, one.target) in targets and one not in made]
    return {
        "drive_groups": [
            {"group_id": one, "name": named.get(one, ""), "since": _at(since_s)}
            for one, since_s in inside.items()
        ],
        "drive_shares_made": [_made(reading, one) for one in made if one.kind != "link"],
        "drive_links_made": [
            _made(reading, one)
            | {
                "label": one.label,
                "has_password": one.has_password,
                "downloads_left": one.downloads_left,
                "types": one.types,
                "most_bytes": one.most_bytes,
            }
            for one in made
            if one.kind == "link"
        ],
        "drive_shares_received": [
            _share(one)
            | {
                "by": one.created_by,
                "own_name": kept[one.id].name if one.id in kept else "",
                "left_at": _at(kept[one.id].left_s) if one.id in kept else None,
            }
            for one in given
        ],
        "drive_shares_answered": [
            {
                "share_id": one.share_id,
                "owner": one.owner,
                "state": one.state,
                "answered_at": _at(one.answered_s),
            }
            for one in received.every(reading)
            if one.answered_by == person_id
        ],
        "drive_departures": [
            {"kind": one.kind, "id": one.thing, "left_at": _at(one.left_s)}
            for one in departed.every(reading, person_id)
        ],
        "drive_handovers": [
            {
                "id": one.id,
                "of": one.person_id,
                "to": one.heir,
                "by": one.begun_by,
                "state": one.state,
                "files": one.done_files,
                "entries": sum(passed.counts(reading, one.id).values()),
                "begun_at": _at(one.begun_s),
                "ended_at": _at(one.ended_s),
            }
            for one in handovers.naming(reading, person_id)
        ],
        "drive_ways_back": [
            {
                "folder_id": one.folder,
                "as_at": _at(one.at_s),
                "state": one.state,
                "steps": one.total,
                "done": one.done,
                "missed": one.missed,
                "begun_at": _at(one.begun_s),
                "ended_at": _at(one.ended_s),
            }
            for one in going_back.asked_by(reading, person_id)
        ],
        "drive_stars": [
            {"owner": owner, "node_id": node_id}
            for owner, node_id in sorted(favourites.of_person(reading, person_id, collectivite_id))
        ],
        "drive_alarms": [
            {"device_id": one.device_id, "files": one.files, "signs": dict(one.counts), "state": one.state}
            | {"since": _at(one.since_s), "settled_at": _at(one.settled_s)}
            for one in alarms.every(reading)
            if one.person_id == person_id
        ],
    }


def _made(reading: Reading, share: Share) -> dict[str, Any]:
    """``name``: of the file as it is called now, "" where it is gone."""
    node = look.node(reading, share.node)
    return _share(share) | {"name": node.name if node is not None else ""}


def _share(share: Share) -> dict[str, Any]:
    return {
        "id": share.id,
        "node_id": share.node,
        "with": share.kind,
        "target": share.target,
        "rights": share.rights,
        "created_at": _at(share.created_s),
        "expires_at": _at(share.expires_s),
        "ended_at": _at(share.ended_s),
    }


def _at(epoch_s: int) -> str | None:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat() if epoch_s else None
