"""Events that a consumer has not taken in for a while, and those that it gave up; a person has these taken again.

Process: worker looks each minute; `./beffroi events` acts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.events import running
from beffroi.core.events.models import ConsumerCursor, OutboxEvent, ParkedEvent
from beffroi.core.events.registry import consumers
from beffroi.core.events.told import Told, Waiting
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import NotFound

BEHIND = timedelta(minutes=10)
MOST = 1000
"""So many are counted."""


def look() -> Told:
    """What waits now, over all groups."""
    return Told(clock.epoch_s(), tuple(_behind()), tuple(_parked()))


def _behind() -> Iterable[Waiting]:
    cursors = ConsumerCursor.objects.in_bulk()
    for one in consumers().values():
        cursor = cursors.get(one.name)
        position = cursor.position if cursor else 0
        first = _first(one.kinds, position)
        if first is None or first.created_at > clock.now() - BEHIND:
            continue
        waits = OutboxEvent.objects.filter(id__gt=position, kind__in=one.kinds)
        count = waits.values("id")[:MOST].count()
        error = cursor.last_error if cursor and cursor.failures else ""
        yield Waiting(one.name, one.group, count, int(first.created_at.timestamp()), error)


def _first(kinds: Iterable[str], position: int) -> OutboxEvent | None:
    """Kind by kind: each is one step in the index, where all together may read the outbox of three months."""
    rows = (OutboxEvent.objects.filter(kind=kind, id__gt=position).order_by("id").first() for kind in kinds)
    return min((one for one in rows if one is not None), key=lambda one: one.id, default=None)


def _parked() -> Iterable[Waiting]:
    found: dict[str, list[ParkedEvent]] = {}
    for row in ParkedEvent.objects.order_by("event_id"):
        found.setdefault(row.consumer, []).append(row)
    known = consumers()
    for name, rows in found.items():
        group = known[name].group if name in known else ""
        since_s = int(min(one.parked_at for one in rows).timestamp())
        yield Waiting(name, group, len(rows), since_s, rows[-1].error)


def parked(name: str) -> list[ParkedEvent]:
    """Of a consumer, the oldest first. Errors: NotFound (none)."""
    found = list(ParkedEvent.objects.filter(consumer=name).order_by("event_id"))
    if not found:
        raise NotFound("parked event")
    return found


def take_again(row: ParkedEvent, *, actor: Actor) -> bool:
    """Have its consumer take a parked event now, behind what came since; it is parked no more. False where somebody
    else had it taken or forgotten meanwhile. Errors: whatever the consumer raises: it stays parked; NotFound (there is
    no such consumer or event any more)."""
    actor.require_departement("have an event taken again")
    one, kept = consumers().get(row.consumer), OutboxEvent.objects.filter(pk=row.event_id).first()
    if one is None or kept is None:
        raise NotFound("event")
    return running.take(
        one,
        [running.event_of(kept)],
        settle=lambda: _end(row, "taken_again", actor=actor),
        is_due=lambda _: ParkedEvent.objects.filter(pk=row.pk).exists(),
    )


@transaction.atomic
def forget(row: ParkedEvent, *, actor: Actor) -> None:
    """Its consumer never takes it; nothing else changes. Errors: NotFound (it was taken or forgotten meanwhile)."""
    actor.require_departement("forget an event")
    # As who has it taken: the row of its consumer first, so that one of the two is first.
    ConsumerCursor.objects.select_for_update().filter(pk=row.consumer).first()
    if not ParkedEvent.objects.filter(pk=row.pk).exists():
        raise NotFound("parked event")
    _end(row, "forgotten", actor=actor)


def _end(row: ParkedEvent, how: str, *, actor: Actor) -> None:
    row.delete()
    details = {"consumer": row.consumer, "kind": row.kind, "error": row.error}
    audit.record(actor, f"events:{how}", str(row.event_id), collectivite_id=None, details=details)
