"""Whether who stands behind an editor's token still belongs to the collectivité, asked of the centre's database.

Process: drive; a connection a question, for there are few: an editor asks when it opens, locks and saves.
Fails:   closed: Unavailable while the database does not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from beffroi.core.planes.db import Database
from beffroi.drive.who import Role, Who
from beffroi.lib import clock


class Members:
    """Callable as ``web.wopi.Members``. ``connect``: opens the centre's database."""

    def __init__(self, connect: Callable[[], Database]) -> None:
        self._connect = connect

    def __call__(self, person_id: str, collectivite_id: str, role: Role) -> Who | None:
        now = clock.now()
        with closing(self._connect()) as database:
            rows = database.execute(
                "SELECT m.id, p.name FROM membership m JOIN person p ON p.id = m.person_id"
                " WHERE m.person_id = ? AND m.collectivite_id = ? AND m.role = ? AND p.is_active = ?"
                " AND m.since <= ? AND (m.until IS NULL OR m.until > ?)",
                (person_id, collectivite_id, role, True, now, now),
            )
        if not rows:
            return None
        membership_id, name = rows[0]
        return Who(person_id, membership_id, collectivite_id, role, "", name, "")
