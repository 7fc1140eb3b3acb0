"""Forget old events that everyone has taken, so that the outbox does not grow for ever.

Process: worker. A consumer that is behind, and the publisher of the feed, keep what they have not read yet.
A consumer that is new sees ``KEEP_DAYS`` of history; what it needs from before is in the tables of its application.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Min

from beffroi.core.events.models import ConsumerCursor, InboxFact, OutboxEvent
from beffroi.core.events.registry import consumers
from beffroi.lib import clock

KEEP_DAYS = 90
BATCH = 5000


def prune(*, unread_from: int | None = None) -> int:
    """Delete at most ``BATCH`` old events, and the old facts; return how many events.

    ``unread_from``: the lowest id that a reader without a consumer's cursor still needs.
    """
    cutoff = clock.now() - timedelta(days=KEEP_DAYS)
    old = OutboxEvent.objects.filter(created_at__lt=cutoff).order_by("id")
    needed = [number for number in (_first_pending(), unread_from) if number is not None]
    if needed:
        old = old.filter(id__lt=min(needed))
    ids = list(old.values_list("id", flat=True)[:BATCH])
    if not ids:
        return 0
    deleted, _ = OutboxEvent.objects.filter(id__gte=ids[0], id__lte=ids[-1], created_at__lt=cutoff).delete()
    InboxFact.objects.filter(received_at__lt=cutoff).delete()
    return deleted


def _first_pending() -> int | None:
    """The lowest id that some consumer has not taken."""
    positions = dict(ConsumerCursor.objects.values_list("consumer", "position"))
    found = [
        OutboxEvent.objects.filter(id__gt=positions.get(one.name, 0), kind__in=one.kinds).aggregate(
            id=Min("id")
        )["id"]
        for one in consumers.values()
    ]
    return min((number for number in found if number is not None), default=None)
