"""Whether who watches a page may go on: their session stands, and they are still who they were in it.

Rule:    asked when a page begins to listen, and again each ``CHECK_S`` of all who listen at once: who signed out, was
         suspended, left or changed their password hears nothing more within seconds.
Process: stream, in the thread of its database.
Fails:   Unavailable while the database does not answer. Then nothing is published either.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import batched
from typing import NamedTuple

from beffroi.core.planes.db import Database, Row
from beffroi.core.planes.sessions import Session, mark_of, opened
from beffroi.core.planes.tokens import Grant
from beffroi.lib import clock
from beffroi.stream.hub import Hub, Subscriber

log = logging.getLogger("beffroi.stream")
CHECK_S = 5.0
IDS_A_QUERY = 500


class Watcher(NamedTuple):
    """``collectivite_id`` None: an administrator of the Département."""

    subject_id: str
    collectivite_id: str | None
    role: str
    session: Session


class Watching:
    """Subscribers with who they are; those who may not go on are taken out of the hub. Runs in the event loop."""

    def __init__(self, hub: Hub, ask: Callable[[Sequence[Watcher]], Awaitable[set[Watcher]]]) -> None:
        self._hub, self._ask = hub, ask
        self._who: dict[Subscriber, Watcher] = {}

    def add(self, subscriber: Subscriber, who: Watcher) -> None:
        self._who[subscriber] = who

    async def run(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            self._who = {one: who for one, who in self._who.items() if not one.closed}
            asked = dict(self._who)
            try:
                stand = await self._ask([*asked.values()])
            except Exception as error:  # noqa: BLE001 - outermost loop: that it goes on is what ends sessions
                log.error("who may listen is not known: %s", getattr(error, "code", type(error).__name__))
                continue
            for subscriber, who in asked.items():
                if who not in stand:
                    self._hub.remove(subscriber)


def watcher(key: bytes, grant: Grant) -> Watcher:
    """Errors: GrantRefused."""
    return Watcher(grant.subject_id, grant.collectivite_id, grant.role, opened(key, grant.session))


def standing(database: Database, watchers: Sequence[Watcher]) -> set[Watcher]:
    """Those who may go on."""
    found: set[Watcher] = set()
    for part in batched(watchers, IDS_A_QUERY, strict=False):
        found |= _standing(database, part)
    return found


def _standing(database: Database, watchers: Sequence[Watcher]) -> set[Watcher]:
    now = clock.now()
    keys = [one.session.key for one in watchers]
    people = [one.subject_id for one in watchers if one.collectivite_id is not None]
    others = [one.subject_id for one in watchers if one.collectivite_id is None]
    marks = ", ".join("?" * len(keys))
    sessions = {
        row[0]
        for row in database.execute(
            f"SELECT session_key FROM django_session WHERE session_key IN ({marks}) AND expire_date > ?",  # noqa: S608
            (*keys, now),
        )
    }
    present = _people(database, people) | _administrators(database, others)
    roles = _roles(database, people)
    return {
        one
        for one in watchers
        if one.session.key in sessions
        and one.subject_id in present
        and hmac.compare_digest(present[one.subject_id], one.session.mark)
        and (one.collectivite_id is None or (one.subject_id, one.collectivite_id, one.role) in roles)
    }


def _people(database: Database, ids: Sequence[str]) -> dict[str, str]:
    if not ids:
        return {}
    marks = ", ".join("?" * len(ids))
    rows = database.execute(
        f"SELECT id, password, sessions_from FROM person WHERE id IN ({marks}) AND is_active = ?",  # noqa: S608
        (*ids, True),
    )
    return {row[0]: mark_of(row[1], database.time(row[2]) if row[2] else None) for row in rows}


def _administrators(database: Database, ids: Sequence[str]) -> dict[str, str]:
    if not ids:
        return {}
    marks = ", ".join("?" * len(ids))
    rows = database.execute(
        f"SELECT id, session_version FROM administrator WHERE id IN ({marks}) AND is_active = ?",  # noqa: S608
        (*ids, True),
    )
    return {row[0]: str(row[1]) for row in rows}


def _roles(database: Database, ids: Sequence[str]) -> set[Row]:
    if not ids:
        return set()
    marks, now = ", ".join("?" * len(ids)), clock.now()
    rows = database.execute(
        f"SELECT person_id, collectivite_id, role FROM membership WHERE person_id IN ({marks})"  # noqa: S608
        " AND since <= ? AND (until IS NULL OR until > ?)",
        (*ids, now, now),
    )
    return {tuple(row) for row in rows}
