"""Run consumers and timers: once for tests, for ever in worker and remediation.

Process: worker, remediation; unprivileged.
Input:   events of the centre's own applications; a payload may hold values that came from outside.
Fails:   an event that raises is tried again with growing pauses, and parked after ``PARK_AFTER`` attempts
         (an error that says ``retryable``, or a database that does not answer, never parks). Other consumers
         go on meanwhile. Nothing is lost: parked events stay in the outbox and in ``outbox_parked``.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from datetime import timedelta

from django.db import DatabaseError, OperationalError, close_old_connections, connection, transaction

from beffroi.core.events.models import ConsumerCursor, OutboxEvent, ParkedEvent
from beffroi.core.events.registry import Consumer, Event, Periodic, consumers, timers
from beffroi.core.planes.wake import POLL_S, Waker
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

BATCH = 200
PARK_AFTER = 8
LONGEST_PAUSE_S = 60
log = logging.getLogger("beffroi.events")


def run_pending(group: str) -> int:
    """Run every consumer of the group until nothing is left; return how many events were taken.

    Errors: whatever a consumer raises; its event stays pending. For tests and one-off commands.
    """
    total = 0
    while True:
        taken = sum(_drain(one) for one in _of(group))
        if not taken:
            return total
        total += taken


def run_periodic(group: str) -> None:
    """Run every timer of the group once. For tests and one-off commands."""
    for timer in list(timers.values()):
        if timer.group == group:
            timer.function()


def run_forever(group: str, config: Config, *, stop: threading.Event | None = None) -> None:
    """Consume and run timers until SIGTERM or ``stop``; finishes the event in hand first."""
    stopping = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
    due = {timer.name: 0.0 for timer in timers.values() if timer.group == group}
    with Waker(config.run, group) as waker:
        log.info("consumers of group %s: %s", group, ", ".join(one.name for one in _of(group)) or "none")
        while not stopping.is_set():
            busy = sum(_guarded(one, stopping) for one in _of(group)) > 0
            _run_due(due)
            if not busy and not stopping.is_set():
                pause = min([POLL_S, *(moment - time.monotonic() for moment in due.values())])
                waker.wait(pause)


def _of(group: str) -> list[Consumer]:
    return [one for one in consumers.values() if one.group == group]


def _run_due(due: dict[str, float]) -> None:
    for name, moment in due.items():
        if moment <= time.monotonic():
            _run_timer(timers[name])
            due[name] = time.monotonic() + timers[name].every_s


def _run_timer(timer: Periodic) -> None:
    try:
        timer.function()
    except Exception as error:  # noqa: BLE001 - outermost loop of the process
        log.error("timer %s: %s", timer.name, type(error).__name__)
        _heal(error)


def _guarded(one: Consumer, stopping: threading.Event) -> bool:
    """Take the consumer's pending events; True if it may have more at once."""
    try:
        cursor = _cursor(one)
        if cursor.retry_at and cursor.retry_at > clock.now():
            return False
        return _drain(one, stopping) > 0
    except Exception as error:  # noqa: BLE001 - outermost loop of the process
        log.error("consumer %s: %s", one.name, type(error).__name__)
        _heal(error)
        try:
            _failed(one, error)
        except DatabaseError:
            time.sleep(POLL_S)
        return False


def _heal(error: Exception) -> None:
    if isinstance(error, DatabaseError):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        close_old_connections()


def _cursor(one: Consumer) -> ConsumerCursor:
    found = ConsumerCursor.objects.filter(pk=one.name).first()
    return found or ConsumerCursor.objects.get_or_create(consumer=one.name)[0]


def _drain(one: Consumer, stopping: threading.Event | None = None) -> int:
    taken = 0
    position = _cursor(one).position
    while True:
        rows = OutboxEvent.objects.filter(id__gt=position, kind__in=one.kinds).order_by("id")[:BATCH]
        events = [_event(row) for row in rows]
        if not events:
            return taken
        for event in events:
            if stopping is not None and stopping.is_set():
                return taken
            taken += _take(one, event)
            position = event.id


def _take(one: Consumer, event: Event) -> bool:
    """Run one event and move the cursor; False if another process of the group was faster."""
    arguments = (event,) if one.prepare is None else (event, one.prepare(event))
    if not one.atomic:
        one.function(*arguments)
    with transaction.atomic():
        cursor = ConsumerCursor.objects.select_for_update().get(pk=one.name)
        if cursor.position >= event.id:
            return False
        if one.atomic:
            one.function(*arguments)
        ConsumerCursor.objects.filter(pk=one.name).update(
            position=event.id, failures=0, retry_at=None, last_error=""
        )
    return True


def _failed(one: Consumer, error: Exception) -> None:
    """Note the failure; park the event when it has had its attempts."""
    with transaction.atomic():
        cursor = ConsumerCursor.objects.select_for_update().get_or_create(consumer=one.name)[0]
        failures = cursor.failures + 1
        code = error.code if isinstance(error, BeffroiError) else type(error).__name__
        pause_s = min(LONGEST_PAUSE_S, 0.25 * 2**failures)
        cursor.failures, cursor.last_error = failures, code[:200]
        cursor.retry_at = clock.now() + timedelta(seconds=pause_s)
        lasting = isinstance(error, OperationalError) or getattr(error, "retryable", False)
        if failures >= PARK_AFTER and not lasting:
            _park(one, cursor, code)
        cursor.save()


def _park(one: Consumer, cursor: ConsumerCursor, code: str) -> None:
    row = OutboxEvent.objects.filter(id__gt=cursor.position, kind__in=one.kinds).order_by("id").first()
    if row is None:
        return
    ParkedEvent.objects.get_or_create(
        consumer=one.name, event_id=row.id, defaults={"kind": row.kind, "error": code[:200]}
    )
    cursor.position, cursor.failures, cursor.retry_at = row.id, 0, None
    log.error("consumer %s: event %d is parked: %s", one.name, row.id, code)


def _event(row: OutboxEvent) -> Event:
    return Event(row.id, row.kind, row.collectivite_id, json.loads(row.payload), row.created_at)
