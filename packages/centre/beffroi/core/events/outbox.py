"""Write events in the transaction of the change they tell of.

Order: consumers keep a cursor on the id, so an id must never become visible after a higher one. On PostgreSQL
an advisory lock, held from the first publish to the commit, sees to that; on SQLite one writer runs at a time.
Locks: this one first, then rows. An action of several parts holds it when it comes to the rows of its second part: one
that changes such a row before it publishes calls ``serialise`` first, else each waits for the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from beffroi.core.events.models import OutboxEvent
from beffroi.core.planes import wake
from beffroi.core.planes.db import OUTBOX_CHANNEL, OUTBOX_LOCK
from beffroi.lib import clock
from beffroi.lib.errors import Conflict

RESTORED = "database:restored"
"""Written by the restore itself (mail/backup/database), in the step that puts the database in place."""
CALL_BACK_AGAIN = timedelta(hours=24)


def publish(kind: str, payload: Mapping[str, object], *, collectivite_id: str | None = None) -> int:
    """Add one event; return its id. Consumers wake after the commit.

    Errors: Conflict outside of ``atomic()``: the change and its event must be one.
    """
    serialise()
    event = OutboxEvent.objects.create(
        kind=kind,
        collectivite_id=collectivite_id,
        payload=json.dumps(payload, separators=(",", ":"), ensure_ascii=False),
    )
    if not any(waiting[1] is _wake for waiting in connection.run_on_commit):
        _announce()
        transaction.on_commit(_wake, robust=True)
    return event.id


def restored_lately() -> bool:
    """Whether this database was put in place by a restore in the last day: what somebody called back since it was
    written may be granted in it, so nothing that cannot be undone begins, and there is time to call it back again."""
    since = clock.now() - CALL_BACK_AGAIN
    return OutboxEvent.objects.filter(kind=RESTORED, created_at__gt=since).exists()


def forgotten(within: timedelta) -> tuple[datetime, datetime] | None:
    """Since when the database may know nothing, and when a restore put it in place; None where none did lately. Its own
    event is the first since what it knew last, also where a restore was taken back."""
    found = list(
        OutboxEvent.objects.filter(kind=RESTORED, created_at__gt=clock.now() - within).order_by("id")
    )
    if not found:
        return None
    before = OutboxEvent.objects.filter(id__lt=found[0].id).order_by("-id").first()
    return (found[0] if before is None else before).created_at, found[-1].created_at


def serialise() -> None:
    """Let one publishing transaction run at a time, from here to its commit. Errors: Conflict outside of one."""
    if not connection.in_atomic_block:
        raise Conflict("an event is published outside of a transaction")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [OUTBOX_LOCK])


def _announce() -> None:
    """Processes on another machine are woken by the database, at the commit."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [OUTBOX_CHANNEL])


def _wake() -> None:
    wake.send_all(settings.BEFFROI.run)
