"""The outbox: an event is as durable as its change, and a consumer takes each one once, in order of commit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from beffroi.core.events import registry, retention
from beffroi.core.events import running as running_module
from beffroi.core.events.models import ConsumerCursor, OutboxEvent, ParkedEvent
from beffroi.core.events.outbox import publish
from beffroi.core.events.registry import Consumer, ConsumerNameTaken, Event, Periodic, consumer, periodic
from beffroi.core.events.running import BATCH, PARK_AFTER, TURN_S, run_forever, run_pending, run_periodic
from beffroi.core.identity.models import Person
from beffroi.core.planes import db as planes_db
from beffroi.core.planes import outbox as plane_outbox
from beffroi.core.planes import wake
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, Unavailable
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.usefixtures("own_registry")
GROUP = "tests"


class Crash(BaseException):
    """The process dies here: nothing catches it."""


@pytest.fixture
def running(config: Config) -> Iterator[Callable[[], None]]:
    """Starts the consumers of the group in a thread; stops and joins it at the end."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        try:
            run_forever(GROUP, config, stop=stop)
        finally:
            connection.close()

    def start() -> None:
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    stop.set()
    wake.send_all(config.run)
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def tell(number: int, kind: str = "test:told") -> None:
    with transaction.atomic():
        publish(kind, {"number": number})


def collector(name: str = "tests.collect", **options: object) -> list[int]:
    taken: list[int] = []

    @consumer(name=name, kinds=("test:told",), group=GROUP, **options)  # type: ignore[arg-type]
    def collect(event: Event) -> None:
        taken.append(event.payload["number"])

    return taken


@pytest.mark.usefixtures("committed")
def test_what_waits_is_taken_together_and_one_by_one_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_module, "FIRST_PAUSE_S", 0)
    monkeypatch.setattr(running_module, "PARK_AFTER", 2)
    monkeypatch.setattr(running_module, "TURN_S", 60.0)  # on a busy machine, too, it is one
    taken: list[list[int]] = []

    @consumer(name="tests.some", kinds=("test:told",), group=GROUP, atomic=False, together=True)
    def some(events: Sequence[Event]) -> None:
        taken.append([one.payload["number"] for one in events])
        if 1 in taken[-1]:
            raise ZeroDivisionError

    for number in range(4):
        tell(number)
    for _ in range(4):
        running_module._guarded(registry.consumers()["tests.some"], threading.Event())
    assert taken == [[0, 1, 2, 3], [0], [1], [1], [2, 3]], "given up is what fails, and nothing beside it"
    given_up = OutboxEvent.objects.filter(kind="test:told").order_by("id")[1]
    assert [one.event_id for one in ParkedEvent.objects.all()] == [given_up.id]


@pytest.mark.usefixtures("committed")
def test_event_outside_of_a_transaction_is_refused() -> None:
    with pytest.raises(Conflict):
        publish("test:told", {})


@pytest.mark.usefixtures("committed")
def test_event_of_a_rolled_back_change_never_existed() -> None:
    taken = collector()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        publish("test:told", {"number": 1})
        raise ZeroDivisionError
    assert run_pending(GROUP) == 0
    assert taken == []


@pytest.mark.usefixtures("committed")
def test_each_consumer_takes_each_event_of_its_kinds_once_and_in_order() -> None:
    one, two = collector("tests.one"), collector("tests.two")
    for number in range(5):
        tell(number)
        tell(number, "test:other")
    assert run_pending(GROUP) == 10
    assert run_pending(GROUP) == 0
    assert one == two == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("committed")
def test_crash_between_effect_and_cursor_leaves_neither() -> None:
    crash = [True]

    @consumer(name="tests.crash", kinds=("test:told",), group=GROUP)
    def note(event: Event) -> None:
        Person.objects.create(email=f"n{event.payload['number']}@beaune.test", name="n")
        if crash:
            raise Crash

    tell(1)
    with pytest.raises(Crash):
        run_pending(GROUP)
    assert not Person.objects.exists()
    crash.clear()
    assert run_pending(GROUP) == 1
    assert run_pending(GROUP) == 0
    assert [person.email for person in Person.objects.all()] == ["n1@beaune.test"]


@pytest.mark.usefixtures("committed")
def test_event_of_a_consumer_within_its_effect_is_taken_in_the_same_run() -> None:
    taken = collector()

    @consumer(name="tests.chain", kinds=("test:first",), group=GROUP)
    def forward(event: Event) -> None:
        publish("test:told", {"number": event.payload["number"] + 1})

    tell(1, "test:first")
    assert run_pending(GROUP) == 2
    assert taken == [2]


@pytest.mark.usefixtures("committed")
def test_slow_preparation_runs_outside_of_the_transaction() -> None:
    seen: list[object] = []

    def look_up(event: Event) -> str:
        assert not connection.in_atomic_block
        return f"looked up {event.payload['number']}"

    @consumer(name="tests.prepared", kinds=("test:told",), group=GROUP, prepare=look_up)
    def use(event: Event, found: str) -> None:
        assert connection.in_atomic_block
        seen.append(found)

    @consumer(name="tests.loose", kinds=("test:told",), group=GROUP, atomic=False)
    def loose(event: Event) -> None:
        assert not connection.in_atomic_block
        seen.append(event.payload["number"])

    tell(7)
    run_pending(GROUP)
    assert seen == ["looked up 7", 7]


def test_two_consumers_of_one_name_are_refused() -> None:
    collector("tests.same")
    with pytest.raises(ConsumerNameTaken):

        @consumer(name="tests.same", kinds=("test:told",))
        def other(event: Event) -> None: ...

    periodic("tests.timer", 1.0)(test_two_consumers_of_one_name_are_refused)
    with pytest.raises(ConsumerNameTaken):
        periodic("tests.timer", 1.0)(collector)


@pytest.mark.usefixtures("committed")
def test_running_consumer_wakes_after_the_commit_and_runs_its_timers(running: Callable[[], None]) -> None:
    arrived, ticked = threading.Event(), threading.Event()
    periodic("tests.tick", 0.05, group=GROUP)(ticked.set)

    @consumer(name="tests.live", kinds=("test:told",), group=GROUP)
    def arrive(event: Event) -> None:
        arrived.set()

    running()
    assert ticked.wait(PATIENCE_S)
    tell(1)
    assert arrived.wait(PATIENCE_S)


@pytest.mark.usefixtures("committed")
def test_a_consumer_of_another_lane_waits_for_no_timer_and_no_event(running: Callable[[], None]) -> None:
    begun, arrived = threading.Semaphore(0), threading.Event()
    waited: list[bool] = []

    def slow(_event: Event | None = None) -> None:
        begun.release()
        waited.append(arrived.wait(PATIENCE_S))

    periodic("tests.slow", PATIENCE_S, group=GROUP)(slow)
    consumer(name="tests.slow_event", kinds=("test:slow",), group=GROUP, atomic=False)(slow)

    @consumer(name="tests.quick", kinds=("test:told",), group=GROUP, lane="quick")
    def quick(event: Event) -> None:
        arrived.set()

    tell(0, "test:slow")
    running()
    try:
        assert begun.acquire(timeout=PATIENCE_S)
        tell(1)
        assert arrived.wait(PATIENCE_S)
        assert begun.acquire(timeout=PATIENCE_S)
    finally:
        arrived.set()  # else what waits outlives a test that failed
    assert all(waited)


@pytest.mark.usefixtures("committed")
def test_a_lane_that_ends_by_an_error_ends_its_process(config: Config) -> None:
    @consumer(name="tests.crash", kinds=("test:told",), group=GROUP, lane="other")
    def crash(event: Event) -> None:
        raise Crash

    tell(1)
    with ThreadPoolExecutor(1) as pool, pytest.raises(Crash):
        pool.submit(run_forever, GROUP, config, stop=threading.Event()).result(PATIENCE_S)


def test_what_leads_to_a_decision_waits_for_nothing_else() -> None:
    """No DNS of members' names, no mail that the centre sends, no engine that is asked."""
    known: dict[str, Consumer | Periodic] = {**registry.consumers(), **registry.timers()}
    lane = {name for name, one in known.items() if (one.group, one.lane) == ("main", registry.DECISIONS)}
    assert lane == {
        "boxes.facts",
        "decisions.by_hand",
        "decisions.effects",
        "decisions.expiry",
        "decisions.sparing",
        "decisions.stages",
        "decisions.unanswered",
        "decisions.uses",
        "drive.sightings",
        "watch.file_sightings",
        "watch.addresses_of_names",
        "watch.box_sightings",
        "watch.login_attacks",
        "watch.sightings",
    }


def test_an_app_password_is_shut_out_whoever_else_leaves_meanwhile() -> None:
    """Of somebody who leaves ten other consumers hear, of 20 ms each; 300 leave at once where a collectivité does."""
    known: list[Consumer | Periodic] = [*registry.consumers().values(), *registry.timers().values()]
    lane = {one.name for one in known if (one.group, one.lane) == ("main", registry.ACCESSES)}
    assert lane == {"drive.alarm", "drive.app_passwords", "mail.app_passwords"}
    for name in ("drive.app_passwords", "mail.app_passwords"):
        one = registry.consumers()[name]
        assert "identity:access_ended" not in one.kinds and one.together, "each is revoked by itself"
    lane = {name for name, one in registry.consumers().items() if one.lane == registry.CONNECTIONS}
    assert lane == {"mail.connections"}, "what asks Dovecot, 30 s where that hangs"


def test_who_leaves_is_shut_out_while_timers_wait_for_answers() -> None:
    """Each ask of Dovecot takes up to 30 s, a mail to Postfix 60 s, a name server a second."""
    lanes = {
        registry.timers()[name].lane for name in ("mail.departures", "notices", "watch.shared_addresses")
    }
    shut_out = ("mail.app_passwords", "mail.mailboxes", "drive.members", "drive.app_passwords")
    assert not lanes & {registry.consumers()[name].lane for name in shut_out}


def test_a_withdrawal_waits_for_no_search_through_mailboxes() -> None:
    lanes = {name: registry.timers()[name].lane for name in ("mail.search", "mail.unrecorded")}
    assert registry.consumers()["mail.remediation"].lane not in lanes.values()


def test_timers_that_drifted_apart_wake_their_process_together_from_then_on() -> None:
    ran: list[str] = []
    for name in ("first", "second", "later"):
        periodic(f"tests.{name}", 60.0, group=GROUP)(lambda name=name: ran.append(name))
    now = time.monotonic()
    soon = now + running_module.TOGETHER_S
    due = {"tests.first": now, "tests.second": soon, "tests.later": soon + PATIENCE_S}
    running_module._run_due(due, {})
    assert ran == ["first", "second"]
    assert due["tests.first"] == due["tests.second"] > due["tests.later"] - PATIENCE_S


@pytest.mark.usefixtures("committed")
def test_a_backlog_of_one_consumer_holds_up_no_other(running: Callable[[], None]) -> None:
    before: list[int] = []
    urgent, through = threading.Event(), threading.Event()

    @consumer(name="tests.a_slow", kinds=("test:told",), group=GROUP)
    def slow(event: Event) -> None:
        time.sleep(TURN_S / 5)
        if not urgent.is_set():
            before.append(event.payload["number"])
        if event.payload["number"] == 99:
            through.set()

    @consumer(name="tests.b_urgent", kinds=("test:urgent",), group=GROUP)
    def quick(event: Event) -> None:
        urgent.set()

    for number in range(100):
        tell(number)
    tell(0, "test:urgent")
    running()
    assert urgent.wait(PATIENCE_S)
    assert 0 < len(before) < 50
    assert through.wait(PATIENCE_S), "and the backlog is taken to its end"


@pytest.mark.usefixtures("committed")
def test_what_is_urgent_waits_for_the_event_in_hand_and_for_no_backlog(
    running: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 boxes that look back are a backlog of three consumers beside the sightings."""
    monkeypatch.setattr(running_module, "TURN_S", 0.0)  # of one event
    taken: list[str] = []
    through = threading.Event()

    def backlog(event: Event) -> None:
        taken.append("backlog")
        if len(taken) == 5:
            publish("test:urgent", {})

    for name in ("tests.a", "tests.b", "tests.c"):
        consumer(name=name, kinds=("test:told",), group=GROUP)(backlog)

    @consumer(name="tests.z_urgent", kinds=("test:urgent",), group=GROUP, urgent=True)
    def quick(event: Event) -> None:
        taken.append("urgent")
        through.set()

    for number in range(5):
        tell(number)
    running()
    assert through.wait(PATIENCE_S)
    assert taken[:6] == ["backlog"] * 5 + ["urgent"]


@pytest.mark.usefixtures("committed")
def test_a_long_timer_gives_its_turn_back_between_its_pieces_and_goes_on_where_it_was(
    running: Callable[[], None],
) -> None:
    done: list[int] = []
    before: list[int] = []
    begun, urgent, through = threading.Event(), threading.Event(), threading.Event()

    @periodic("tests.long", PATIENCE_S, group=GROUP)
    def long() -> Iterator[None]:
        for number in range(100):
            time.sleep(TURN_S / 5)
            done.append(number)
            begun.set()
            yield
        through.set()

    @consumer(name="tests.urgent", kinds=("test:urgent",), group=GROUP)
    def quick(event: Event) -> None:
        before.extend(done)
        urgent.set()

    running()
    assert begun.wait(PATIENCE_S)
    tell(0, "test:urgent")
    assert urgent.wait(PATIENCE_S)
    assert 0 < len(before) < 50
    assert through.wait(PATIENCE_S)
    assert done == list(range(100)), "each piece once, in one go"


@pytest.mark.usefixtures("committed")
def test_a_long_timer_is_left_between_its_pieces_when_the_process_ends(config: Config) -> None:
    stop, left = threading.Event(), threading.Event()

    @periodic("tests.long", PATIENCE_S, group=GROUP)
    def long() -> Iterator[None]:
        try:
            while True:
                time.sleep(TURN_S / 5)
                stop.set()
                yield
        finally:
            left.set()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run_forever, GROUP, config, stop=stop).result(PATIENCE_S)
    assert left.is_set()


def test_a_long_timer_that_fails_between_its_pieces_begins_anew_when_it_is_due() -> None:
    def long() -> Generator[object]:
        yield
        raise Unavailable("The engine")

    periodic("tests.long", PATIENCE_S, group=GROUP)(long)
    begun = {"tests.long": long()}
    next(begun["tests.long"])
    due = {"tests.long": time.monotonic()}
    running_module._run_due(due, begun)
    assert not begun and due["tests.long"] > time.monotonic()


@pytest.mark.usefixtures("committed")
def test_failing_consumer_keeps_its_event_and_holds_up_nobody(running: Callable[[], None]) -> None:
    failed, done, others = threading.Event(), threading.Event(), threading.Event()
    broken = [True]

    @consumer(name="tests.a_broken", kinds=("test:told",), group=GROUP)
    def flaky(event: Event) -> None:
        if broken:
            failed.set()
            raise Unavailable("The engine")
        done.set()

    @consumer(name="tests.b_sound", kinds=("test:told",), group=GROUP)
    def sound(event: Event) -> None:
        others.set()

    tell(1)
    running()
    assert failed.wait(PATIENCE_S)
    assert others.wait(PATIENCE_S)
    broken.clear()
    assert done.wait(PATIENCE_S)
    assert not ParkedEvent.objects.exists()


@pytest.mark.usefixtures("committed")
def test_a_clock_that_is_set_back_holds_up_no_consumer_that_failed_before(
    running: Callable[[], None],
) -> None:
    failed, done = threading.Event(), threading.Event()

    @consumer(name="tests.once_broken", kinds=("test:told",), group=GROUP)
    def flaky(event: Event) -> None:
        if not failed.is_set():
            failed.set()
            raise Unavailable("The engine")
        done.set()

    with clock.jumped(86400):
        tell(1)
        running()
        assert failed.wait(PATIENCE_S)
        while not ConsumerCursor.objects.filter(consumer="tests.once_broken").exclude(retry_at=None).exists():
            assert not done.is_set()
    assert done.wait(PATIENCE_S)


@pytest.mark.usefixtures("committed")
def test_event_that_never_succeeds_is_parked_and_the_next_one_is_taken(
    running: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beffroi.core.events.running.FIRST_PAUSE_S", 0.001)
    next_one = threading.Event()

    @consumer(name="tests.poison", kinds=("test:told",), group=GROUP)
    def poisoned(event: Event) -> None:
        if event.payload["number"] == 1:
            raise ValueError
        next_one.set()

    tell(1)
    tell(2)
    running()
    assert next_one.wait(PATIENCE_S)
    parked = ParkedEvent.objects.get()
    assert (parked.consumer, parked.error) == ("tests.poison", "ValueError")
    assert OutboxEvent.objects.filter(pk=parked.event_id).exists()
    assert PARK_AFTER > 1


def test_plane_publishes_into_the_same_outbox(plane: planes_db.Database, config: Config) -> None:
    taken = collector()
    with pytest.raises(Conflict):
        plane_outbox.publish(plane, "test:told", {"number": 1}, run=config.run)
    with wake.Waker(config.run, "plane-test") as waker:
        with plane.transaction():
            plane_outbox.publish(plane, "test:told", {"number": 1}, run=config.run, collectivite_id="col_1")
            plane_outbox.publish(plane, "test:told", {"number": 2}, run=config.run)
            assert not waker.wait(0)
        assert waker.wait(PATIENCE_S)
    run_pending(GROUP)
    assert taken == [1, 2]
    first = OutboxEvent.objects.order_by("id")[0]
    assert (first.collectivite_id, json.loads(first.payload)) == ("col_1", {"number": 1})


def test_no_event_becomes_visible_behind_a_cursor_that_passed_it(
    plane: planes_db.Database, committed: str, config: Config
) -> None:
    """Writers on both kinds of connection publish at once, a reader follows: it must miss none."""
    writers, each = 4, 15
    seen: list[int] = []

    def by_django(number: int) -> None:
        try:
            for at in range(each):
                tell(number * each + at)
        finally:
            connection.close()

    def by_plane(number: int) -> None:
        own = planes_db.connect(committed)
        for at in range(each):
            with own.transaction():
                plane_outbox.publish(own, "test:told", {"number": number * each + at}, run=config.run)
        own.close()

    threads = [
        threading.Thread(target=by_django if number % 2 else by_plane, args=(number,))
        for number in range(writers)
    ]
    for thread in threads:
        thread.start()
    cursor, last_look = 0, False
    while not last_look:
        last_look = not any(thread.is_alive() for thread in threads)
        for event_id, payload in plane.execute(
            "SELECT id, payload FROM outbox WHERE id > ? ORDER BY id", (cursor,)
        ):
            cursor = event_id
            seen.append(json.loads(payload)["number"])
    assert sorted(seen) == list(range(writers * each))


@pytest.mark.usefixtures("committed")
def test_timers_and_cursors_of_the_core_run_on_the_real_database() -> None:
    run_periodic("main")
    run_pending("main")
    assert set(ConsumerCursor.objects.values_list("consumer", flat=True)) == {
        one.name for one in registry.consumers().values() if one.group == "main"
    }


@pytest.mark.usefixtures("committed")
def test_consumers_without_news_are_not_asked_one_by_one() -> None:
    run_pending("main")
    with CaptureQueriesContext(connection) as asked:
        assert run_pending("main") == 0
    assert len(asked) < len(registry.consumers()) / 4


@pytest.mark.usefixtures("committed")
def test_a_turn_of_a_consumer_asks_for_its_place_and_for_its_events_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a turn costs is what each mail costs: two consumers have one for each."""
    monkeypatch.setattr(running_module, "TURN_S", 60.0)  # on a busy machine, too, it is one
    taken = collector()
    tell(1)
    tell(2, "test:nobody_wants_it")
    run_pending(GROUP)
    tell(3)
    one = registry.consumers()["tests.collect"]
    with CaptureQueriesContext(connection) as asked:
        assert running_module._guarded(one, threading.Event()) is None
    read = [query["sql"] for query in asked if query["sql"].startswith("SELECT")]
    assert sum('FROM "outbox" ' in one for one in read) == 1
    # Its own once, and once under the lock under which it moves.
    assert sum('FROM "outbox_cursor"' in one for one in read) == 2
    assert taken == [1, 3]


@pytest.mark.usefixtures("committed")
def test_a_turn_goes_on_to_the_end_of_what_waited() -> None:
    taken = collector()
    with transaction.atomic():
        for number in range(BATCH + 1):
            publish("test:told", {"number": number})
    run_pending(GROUP)
    assert taken == list(range(BATCH + 1))


@pytest.mark.usefixtures("committed")
def test_what_a_consumer_tells_is_taken_by_those_before_it_and_after_it() -> None:
    before = collector("tests.before")

    @consumer(name="tests.again", kinds=("test:first",), group=GROUP)
    def again(event: Event) -> None:
        tell(event.payload["number"] + 1)

    after = collector("tests.after")
    tell(1, "test:first")
    assert run_pending(GROUP) == 3
    assert before == after == [2]


@pytest.mark.usefixtures("committed")
def test_old_event_is_forgotten_once_everyone_took_it_and_not_before() -> None:
    taken = collector()
    tell(1)
    tell(2, "test:nobody_wants_it")
    with clock.shifted((retention.KEEP_DAYS + 1) * 86400):
        tell(3)
        cutoff = clock.now() - timedelta(days=retention.KEEP_DAYS)
        # The first is pending: whatever follows it stays too.
        assert not retention.old_events(cutoff).exists()
        run_pending(GROUP)
        assert not retention.old_events(cutoff, unread_from=1).exists()
        old = retention.old_events(cutoff).order_by("id")
        assert [json.loads(row.payload)["number"] for row in old] == [1, 2]
    assert taken == [1, 3]
