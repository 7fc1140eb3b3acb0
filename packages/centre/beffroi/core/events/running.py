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
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import batched

from django.db import DatabaseError, OperationalError, close_old_connections, connection, transaction
from django.db.models import Max, QuerySet

from beffroi.core.events.models import ConsumerCursor, OutboxEvent, ParkedEvent
from beffroi.core.events.registry import Consumer, Event, Periodic, consumers, timers
from beffroi.core.planes.listen import Listener
from beffroi.core.planes.wake import POLL_S, Waker
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

BATCH, FEW = 200, 20
"""So many events are read at once: by who takes them together, and by who takes them one by one."""
PARK_AFTER = 8
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
TURN_S = 0.02
"""So long, and to the end of the event or piece in hand, a consumer or timer works before the others of its lane have
their turn."""
TOGETHER_S = 0.2
log = logging.getLogger("beffroi.events")


def run_pending(group: str) -> int:
    """Run every consumer of the group until nothing is left; return how many events were taken.

    Errors: whatever a consumer raises; its event stays pending. For tests and one-off commands.
    """
    total = 0
    while True:
        before, newest, positions = total, _newest(), _positions(group)
        for one in _of(group):  # most have nothing, and are not asked one by one
            if any(newest.get(kind, 0) > positions[one.name] for kind in one.kinds):
                total += _drain(one, positions[one.name])[0]
                newest = _newest()
        if total == before:
            return total


def run_periodic(group: str) -> None:
    """Run every timer of the group once. For tests and one-off commands."""
    for timer in list(timers().values()):
        if timer.group == group and isinstance(steps := timer.function(), Generator):
            whole(steps)


def whole[T](steps: Generator[object, None, T]) -> T:
    """What a long function returns at its end. For tests and one-off commands."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            returned: T = end.value
            return returned


def run_forever(group: str, config: Config, *, stop: threading.Event | None = None) -> None:
    """Consume and run timers until SIGTERM or ``stop``; finishes the events in hand first. Each lane has a thread of
    its own, so that none waits for another; one that ends by an error ends all."""
    stopping = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
    known: list[Consumer | Periodic] = [*consumers().values(), *timers().values()]
    lanes = sorted({one.lane for one in known if one.group == group} - {""})

    def run(lane: str) -> None:
        try:
            _run_lane(group, lane, config, stopping)
        finally:
            stopping.set()
            connection.close()

    with ThreadPoolExecutor(max(1, len(lanes)), group) as pool:
        threads = [pool.submit(run, lane) for lane in lanes]
        run("")
    for thread in threads:
        thread.result()


def _run_lane(group: str, lane: str, config: Config, stopping: threading.Event) -> None:
    own = [one for one in _of(group) if one.lane == lane]
    due = {timer.name: 0.0 for timer in timers().values() if (timer.group, timer.lane) == (group, lane)}
    begun: dict[str, Generator[object]] = {}
    waiting = {one.name: 0.0 for one in own}  # consumers that may have something, and from when on
    seen = -1
    called = f"{group}-{lane}" if lane else group
    with Waker(config.run, called) as waker, Listener(config.database, waker):
        log.info("consumers of %s: %s", called, ", ".join(waiting) or "none")
        while not stopping.is_set():
            seen, kinds = _news(seen)
            waiting |= {one.name: 0.0 for one in own if kinds.intersection(one.kinds)}
            ready = [consumers()[name] for name, moment in waiting.items() if moment <= time.monotonic()]
            if ready:  # one, by turns; then whatever is urgent and came meanwhile
                one = min(ready, key=lambda one: not one.urgent)
                pause_s = _guarded(one, stopping)
                del waiting[one.name]
                if pause_s is not None:
                    waiting[one.name] = time.monotonic() + pause_s
            _run_due(due, begun)
            if not stopping.is_set():
                moments = (*due.values(), *waiting.values())
                waker.wait(min([POLL_S, *(moment - time.monotonic() for moment in moments)]))


def _news(seen: int) -> tuple[int, set[str]]:
    """The highest id of the outbox and the kinds of what came after ``seen``; one query when nothing came."""
    kinds: set[str] = set()
    try:
        if seen < 0:  # at the start every consumer looks for itself
            return OutboxEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0, kinds
        while found := list(_after(seen).only("id", "kind")[:BATCH]):
            seen = found[-1].id
            kinds.update(row.kind for row in found)
    except DatabaseError as error:
        log.error("the outbox cannot be read: %s", type(error).__name__)
        _heal(error)
    return seen, kinds


def _newest() -> dict[str, int]:
    """The highest id of each kind in the outbox."""
    return dict(OutboxEvent.objects.values_list("kind").annotate(Max("id")))


def _positions(group: str) -> dict[str, int]:
    """Of every consumer of the group; who never ran begins at 0."""
    found = dict(ConsumerCursor.objects.values_list("consumer", "position"))
    new = [ConsumerCursor(consumer=one.name) for one in _of(group) if one.name not in found]
    ConsumerCursor.objects.bulk_create(new, ignore_conflicts=True)
    return {one.consumer: one.position for one in new} | found


def _after(position: int) -> QuerySet[OutboxEvent]:
    return OutboxEvent.objects.filter(id__gt=position).order_by("id")


def _of(group: str) -> list[Consumer]:
    return [one for one in consumers().values() if one.group == group]


def _run_due(due: dict[str, float], begun: dict[str, Generator[object]]) -> None:
    """What is due soon runs with what is due: else each timer, a little later each time, wakes the process alone.
    ``begun``: what gave its turn back before its end; it is due at once."""
    soon = time.monotonic() + TOGETHER_S
    ran = [name for name, moment in due.items() if moment <= soon]
    for name in ran:
        _run_timer(timers()[name], begun)
    now = time.monotonic()
    due.update({name: now if name in begun else now + timers()[name].every_s for name in ran})


def _run_timer(timer: Periodic, begun: dict[str, Generator[object]]) -> None:
    end = time.monotonic() + TURN_S
    try:
        steps = begun.pop(timer.name, None) or timer.function()
        if isinstance(steps, Generator):
            for _ in steps:
                if time.monotonic() > end:
                    begun[timer.name] = steps
                    break
    except Exception as error:  # noqa: BLE001 - outermost loop of the process
        log.error("timer %s: %s", timer.name, type(error).__name__)
        _heal(error)


def _guarded(one: Consumer, stopping: threading.Event) -> float | None:
    """Take the consumer's pending events for one turn; None when none is left, else after how many seconds to go
    on."""
    try:
        cursor = _cursor(one)
        pause_s = (cursor.retry_at - clock.now()).total_seconds() if cursor.retry_at else 0.0
        if 0 < pause_s <= LONGEST_PAUSE_S:  # nobody waits longer: the clock was set back since
            return pause_s
        end = time.monotonic() + TURN_S
        at_once = 1 if cursor.failures else BATCH
        _, whole = _drain(one, cursor.position, at_once, lambda: stopping.is_set() or time.monotonic() > end)
        return None if whole else 0.0
    except Exception as error:  # noqa: BLE001 - outermost loop of the process
        log.error("consumer %s: %s", one.name, type(error).__name__)
        _heal(error)
        try:
            return _failed(one, error)
        except DatabaseError:
            return POLL_S


def _heal(error: Exception) -> None:
    if isinstance(error, DatabaseError):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        close_old_connections()


def _cursor(one: Consumer) -> ConsumerCursor:
    found = ConsumerCursor.objects.filter(pk=one.name).first()
    return found or ConsumerCursor.objects.get_or_create(consumer=one.name)[0]


def _drain(
    one: Consumer, position: int, at_once: int = BATCH, enough: Callable[[], bool] = lambda: False
) -> tuple[int, bool]:
    """Take events behind ``position`` until none is left, or ``enough`` says so; return how many, and whether none is
    left. What comes meanwhile is news to whoever called. ``at_once``: by who takes events together."""
    taken, most = 0, BATCH if one.together else FEW
    while True:
        rows = _after(position).filter(kind__in=one.kinds)[:most]
        events = [event_of(row) for row in rows]
        for some in batched(events, at_once if one.together else 1, strict=False):
            taken += len(some) * _take(one, some)
            position = some[-1].id
            if enough():
                return taken, False
        if len(events) < most:
            return taken, True


def _take(one: Consumer, events: Sequence[Event]) -> bool:
    """Run one event, or some together, and move the cursor; False if another process of the group was faster."""
    last = events[-1].id

    def is_due(cursor: ConsumerCursor) -> bool:
        return cursor.position < last

    def move() -> None:
        ConsumerCursor.objects.filter(pk=one.name).update(
            position=last, failures=0, retry_at=None, last_error=""
        )

    return take(one, events, settle=move, is_due=is_due)


def take(
    one: Consumer,
    events: Sequence[Event],
    *,
    settle: Callable[[], object],
    is_due: Callable[[ConsumerCursor], bool] = lambda cursor: True,
) -> bool:
    """Run one event, or some ``together``, and ``settle`` in the transaction that says so, while no other process takes
    anything for this consumer; False where it was not due any more. Errors: whatever the consumer raises."""
    arguments: tuple[object, ...] = (events if one.together else events[0],)
    if one.prepare is not None:
        arguments += (one.prepare(events[0]),)
    if not one.atomic:
        one.function(*arguments)
    with transaction.atomic():
        if not is_due(ConsumerCursor.objects.select_for_update().get(pk=one.name)):
            return False
        if one.atomic:
            one.function(*arguments)
        settle()
    return True


def _failed(one: Consumer, error: Exception) -> float:
    """Note the failure, park the event when it has had its attempts; return the pause before the next one."""
    with transaction.atomic():
        cursor = ConsumerCursor.objects.select_for_update().get_or_create(consumer=one.name)[0]
        failures = cursor.failures + 1
        code = code_of(error)
        pause_s: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(failures - 1, 10)))
        cursor.failures, cursor.last_error = failures, code[:200]
        cursor.retry_at = clock.now() + timedelta(seconds=pause_s)
        lasting = isinstance(error, OperationalError) or getattr(error, "retryable", False)
        if failures >= PARK_AFTER and not lasting:
            _park(one, cursor, code)
        cursor.save()
        return max(pause_s, 0.001)


def code_of(error: Exception) -> str:
    """Of a failure, as logs and people are told it: no value is in it."""
    return error.code if isinstance(error, BeffroiError) else type(error).__name__


def _park(one: Consumer, cursor: ConsumerCursor, code: str) -> None:
    row = _after(cursor.position).filter(kind__in=one.kinds).first()
    if row is None:
        return
    ParkedEvent.objects.get_or_create(
        consumer=one.name, event_id=row.id, defaults={"kind": row.kind, "error": code[:200]}
    )
    cursor.position, cursor.failures, cursor.retry_at = row.id, 0, None
    log.error("consumer %s: event %d is parked: %s", one.name, row.id, code)


def event_of(row: OutboxEvent) -> Event:
    return Event(row.id, row.kind, row.collectivite_id, json.loads(row.payload), row.created_at)
