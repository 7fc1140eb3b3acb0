"""What a box that was asked to install new software may hear and fetch.

Process: stream, relays; plain SQL on the tables of ``boxes.releases``.
"""

from __future__ import annotations

from beffroi.core.planes.db import Database

NO_ROOM = "it cannot be written here%"
"""Of a box that takes the release when it has room (``beffroi_box.software``)."""


def release_lines(database: Database, box_id: str) -> bytes:
    """Return delegation and release that this box was asked to install and told nothing of, or had no room for; b""
    for none."""
    rows = database.execute(
        "SELECT r.line FROM box_update u JOIN box_release r ON r.number = u.number"
        " WHERE u.box_id = ? AND (u.outcome = '' OR u.reason LIKE ?) AND r.state <> 'stopped'"
        " ORDER BY u.number DESC LIMIT 1",
        (box_id, NO_ROOM),
    )
    return f"{rows[0][0]}\n".encode() if rows else b""


def may_have(database: Database, box_id: str, sha256: str) -> bool:
    """Whether this box was asked to install the package with this digest."""
    rows = database.execute(
        "SELECT 1 FROM box_update u JOIN box_release r ON r.number = u.number"
        " WHERE u.box_id = ? AND r.sha256 = ? LIMIT 1",
        (box_id, sha256),
    )
    return bool(rows)
