"""Whether who stands behind an editor's token may still act: they belong to the collectivité, and the session that
asked for it goes on; asked of the centre's database.

Rule:    a token dies with its session (``core.planes.sessions``).
Process: drive; a connection a question, for there are few: an editor asks when it opens, locks and saves.
Fails:   closed: Unavailable while the database does not answer.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from contextlib import closing

from beffroi.core.planes.db import Database
from beffroi.core.planes.sessions import mark_of
from beffroi.drive.office.tokens import Holder
from beffroi.drive.who import Who
from beffroi.lib import clock


class Members:
    """Callable as ``web.wopi.Members``. ``connect``: opens the centre's database."""

    def __init__(self, connect: Callable[[], Database]) -> None:
        self._connect = connect

    def __call__(self, holder: Holder) -> Who | None:
        now = clock.now()
        with closing(self._connect()) as database:
            rows = database.execute(
                "SELECT m.id, p.name, p.password, p.sessions_from FROM membership m JOIN person p ON p.id = m.person_id"
                " WHERE m.person_id = ? AND m.collectivite_id = ? AND m.role = ? AND p.is_active = ?"
                " AND m.since <= ? AND (m.until IS NULL OR m.until > ?)"
                " AND EXISTS (SELECT 1 FROM django_session s WHERE s.session_key = ? AND s.expire_date > ?)",
                (
                    holder.person_id,
                    holder.collectivite_id,
                    holder.role,
                    True,
                    now,
                    now,
                    holder.session.key,
                    now,
                ),
            )
            if not rows:
                return None
            membership_id, name, password, ended = rows[0]
            mark = mark_of(password, database.time(ended) if ended else None)
        if not hmac.compare_digest(mark, holder.session.mark):
            return None
        return Who(holder.person_id, membership_id, holder.collectivite_id, holder.role, "", name, "")
