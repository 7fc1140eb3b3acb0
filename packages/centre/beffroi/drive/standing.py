"""What somebody is in a collectivité now, for processes without Django: asked of the centre's database, each time.

Process: drive, drive-keeper.
Fails:   closed: Unavailable while the database does not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from beffroi.core.planes.db import Database
from beffroi.drive.who import ROLES, Who
from beffroi.lib import clock


class Standing:
    """``connect``: opens the centre's database; a connection a question, for there are few."""

    def __init__(self, connect: Callable[[], Database]) -> None:
        self._connect = connect

    def __call__(self, person_id: str, collectivite_id: str) -> list[Who]:
        """One for each role; none for who is not there any more. Errors: Unavailable."""
        now = clock.now()
        with closing(self._connect()) as database:
            rows = database.execute(
                "SELECT m.id, m.role FROM membership m JOIN person p ON p.id = m.person_id"
                " WHERE m.person_id = ? AND m.collectivite_id = ? AND p.is_active = ?"
                " AND m.since <= ? AND (m.until IS NULL OR m.until > ?) ORDER BY m.since, m.id",
                (person_id, collectivite_id, True, now, now),
            )
        return [
            Who(person_id, membership_id, collectivite_id, ROLES[role], "", "", "")
            for membership_id, role in rows
            if role in ROLES
        ]
