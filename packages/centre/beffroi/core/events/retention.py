"""How long events and facts are kept, so that the outbox does not grow for ever.

A consumer that is behind, and the publisher of the feed, keep what they have not read yet (the category stands with the
decisions: only they know how far the publisher is). A consumer that is new sees ``KEEP_DAYS`` of history; what it needs
from before is in the tables of its application.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Min, QuerySet

from beffroi.core.events.models import ConsumerCursor, InboxFact, OutboxEvent
from beffroi.core.events.registry import consumers
from beffroi.core.retention.registry import Before, Category, category

KEEP_DAYS = 90
BATCH = 500


def old_events(cutoff: datetime, *, unread_from: int | None = None) -> QuerySet[OutboxEvent]:
    """Events that everyone has taken. ``unread_from``: the lowest id that a reader without a cursor still needs."""
    old = OutboxEvent.objects.filter(created_at__lt=cutoff)
    needed = [number for number in (_first_pending(), unread_from) if number is not None]
    return old.filter(id__lt=min(needed)) if needed else old


def _first_pending() -> int | None:
    """The lowest id that some consumer has not taken."""
    positions = dict(ConsumerCursor.objects.values_list("consumer", "position"))
    found = [
        OutboxEvent.objects.filter(id__gt=positions.get(one.name, 0), kind__in=one.kinds).aggregate(
            id=Min("id")
        )["id"]
        for one in consumers().values()
    ]
    return min((number for number in found if number is not None), default=None)


# Facts of doors, whose events are gone as well.
category(Category("facts", 81, KEEP_DAYS, Before(InboxFact, "received_at"), batch=BATCH))
