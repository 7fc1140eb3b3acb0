"""The publisher on a real database: what a follower holds is what a newcomer would get."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.stream.feedlog import parse_since
from beffroi.stream.hub import Hub, Subscriber
from beffroi.stream.publisher import Publisher
from beffroi.stream.store import Store
from beffroi_protocol.session import FeedSession, Refused, TrustedClock
from beffroi_protocol.signing import Signer, TrustStore, delegate, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT, FEED = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
DELEGATION = delegate(ROOT, public_bytes(FEED), serial=1, not_before=0, not_after=2**37)
TABLES = ("outbox", "feed_batch", "feed_channel", "publish_cursor", "decision")


class Door:
    """A follower in the same loop."""

    def __init__(self, *channels: str) -> None:
        self.session = FeedSession(TrustStore(public_bytes(ROOT)), channels, TrustedClock())
        self.session.receive(DELEGATION, monotonic=0.0)
        self.subscriber: Subscriber | None = None
        self.refused: list[Refused] = []

    def connect(self, publisher: Publisher, hub: Hub) -> None:
        since = parse_since(self.session.since())
        self.subscriber = Subscriber("door", list(self.session.tables), publisher.answer(since))
        hub.add(self.subscriber, at_most=100)

    async def read(self) -> None:
        """Take in everything that waits."""
        while self.subscriber is not None and not self.subscriber.closed:
            try:
                async with asyncio.timeout(0.0):
                    data = await self.subscriber.next()
            except TimeoutError:
                return
            for line in (data or b"").splitlines():
                result = self.session.receive(line, monotonic=time.monotonic())
                if isinstance(result, Refused):
                    self.refused.append(result)

    def entries(self) -> dict[str, list[object]]:
        return {name: sorted(table) for name, table in self.session.tables.items()}


@dataclass
class Bench:
    """A publisher that can be thrown away and started again on the same database and directory."""

    database: Database
    config: Config
    hub: Hub
    publisher: Publisher | None = None

    async def restart(self) -> Publisher:
        if self.publisher is not None:
            self.publisher.close()
        self.hub.close_all("restart")
        store = Store(self.database, self.config.run)
        self.publisher = Publisher(self.config, store, Signer(FEED), self.hub, lambda _: None)
        await self.publisher.start()
        return self.publisher

    def clear(self) -> None:
        for table in TABLES:
            self.database.execute(f"DELETE FROM {table}")  # type: ignore[arg-type]
        shutil.rmtree(self.config.state / "feed", ignore_errors=True)

    def publish(self, kind: str, number: int, *, scope: str = "all", indicator: str = "ip") -> None:
        value = f"185.203.{number // 250}.{number % 250 + 1}" if indicator == "ip" else f"n{number}.lure.fr"
        payload = {
            "decision_id": f"dec_{indicator}{scope}{number}",
            "kind": indicator,
            "value": value,
            "action": "block",
            "scope": scope,
            "reason": "two_communes",
            "expires_at": 4_000_000_000,
            "campaign_id": "",
        }
        state = "active" if kind == "decision:activated" else "revoked"
        now = clock.now()
        with self.database.transaction():
            self.database.execute(
                "INSERT INTO outbox (kind, collectivite_id, payload, created_at) VALUES (?, ?, ?, ?)",
                (kind, None if scope == "all" else scope, json.dumps(payload), now),
            )
            self.database.execute("DELETE FROM decision WHERE id = ?", (payload["decision_id"],))
            self.database.execute(
                "INSERT INTO decision (id, kind, value, action, scope, state, reason, evidence, rule, campaign_id,"
                " proposed_at, activated_at, expires_at, decided_by, ended_by, end_reason)"
                " VALUES (?, ?, ?, 'block', ?, ?, 'two_communes', '{}', 'r', '', ?, ?, ?, 'x', '', '')",
                (
                    payload["decision_id"],
                    indicator,
                    value,
                    scope,
                    state,
                    now,
                    now,
                    clock.now().replace(year=2096),
                ),
            )


@pytest.fixture
def bench(plane: Database, config: Config) -> Iterator[Bench]:
    state = Path(tempfile.mkdtemp(prefix="bfp-"))
    made = Bench(plane, replace(config, state=state), Hub())
    yield made
    if made.publisher is not None:
        made.publisher.close()
    shutil.rmtree(state, ignore_errors=True)


async def steps(publisher: Publisher) -> None:
    while await publisher.step():
        pass


ACTIVATE, END, STEP, RESTART, JOIN, DROP = "activate", "end", "step", "restart", "join", "drop"
operations = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from([ACTIVATE, ACTIVATE, END]),
            st.integers(0, 5),
            st.sampled_from(["all", "col_a"]),
            st.sampled_from(["ip", "domain"]),
        ),
        st.tuples(st.sampled_from([STEP, STEP, RESTART, JOIN, DROP])),
    ),
    max_size=30,
)


@given(operations)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_snapshot_and_deltas_equal_a_fresh_snapshot(bench: Bench, played: list[tuple[object, ...]]) -> None:
    bench.clear()
    channels = ("box", "box@col_a", "mail", "login")

    async def play() -> None:
        publisher = await bench.restart()
        follower = Door(*channels)
        follower.connect(publisher, bench.hub)
        for operation in played:
            match operation:
                case ("activate" | "end" as verb, int(number), str(scope), str(indicator)):
                    kind = "decision:activated" if verb == ACTIVATE else "decision:ended"
                    bench.publish(kind, number, scope=scope, indicator=indicator)
                case ("step",):
                    await steps(publisher)
                    await follower.read()
                case ("restart",):
                    publisher = await bench.restart()
                    follower.connect(publisher, bench.hub)
                case ("drop",):
                    follower.subscriber = None  # a cut line: batches are missed
                case _:
                    follower.connect(publisher, bench.hub)
        await steps(publisher)
        follower.connect(publisher, bench.hub)
        await follower.read()
        newcomer = Door(*channels)
        newcomer.connect(publisher, bench.hub)
        await newcomer.read()
        assert follower.entries() == newcomer.entries()
        assert [t.version for t in follower.session.tables.values()] == [
            t.version for t in newcomer.session.tables.values()
        ]
        assert follower.refused == newcomer.refused == []
        assert publisher.feed.epoch == 1

    asyncio.run(play())


def test_decision_for_one_commune_reaches_its_overlay_only(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1, scope="col_a")
        bench.publish("decision:activated", 2)
        await steps(publisher)
        own, other = Door("box", "box@col_a"), Door("box", "box@col_b")
        for door in (own, other):
            door.connect(publisher, bench.hub)
            await door.read()
        assert {e.id for t in own.session.tables.values() for e in t} == {"dec_ipcol_a1", "dec_ipall2"}
        assert {e.id for t in other.session.tables.values() for e in t} == {"dec_ipall2"}

    asyncio.run(play())


def test_box_never_receives_what_concerns_mail_only(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1, indicator="sender")
        await steps(publisher)
        assert "box" not in publisher.feed.logs
        assert len(publisher.feed.logs["mail"].channel.entries) == 1

    # ``sender`` values of the bench are names; the kind alone decides the channel
    asyncio.run(play())


def test_one_batch_a_channel_a_wake_up(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        for number in range(40):
            bench.publish("decision:activated", number)
        await steps(publisher)
        assert publisher.feed.logs["box"].channel.version == 1
        assert len(publisher.feed.logs["box"].channel.entries) == 40

    asyncio.run(play())


def test_decision_that_came_and_went_within_a_wake_up_makes_no_batch(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        bench.publish("decision:ended", 1)
        await steps(publisher)
        assert publisher.feed.log("box").channel.version == 0

    asyncio.run(play())


def test_database_restored_from_a_backup_begins_a_new_epoch(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        await steps(publisher)
        saved = {t: bench.database.execute(f"SELECT * FROM {t}") for t in TABLES}  # type: ignore[arg-type]
        door = Door("box")
        door.connect(publisher, bench.hub)
        bench.publish("decision:activated", 2)
        await steps(publisher)
        await door.read()
        assert {e.id for e in door.session.tables["box"]} == {"dec_ipall1", "dec_ipall2"}
        for table, rows in saved.items():
            bench.database.execute(f"DELETE FROM {table}")  # type: ignore[arg-type]
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                values = [[json.dumps(v) if isinstance(v, dict) else v for v in row] for row in rows]
                bench.database.executemany(f"INSERT INTO {table} VALUES ({marks})", values)  # type: ignore[arg-type]
        publisher = await bench.restart()
        assert publisher.feed.epoch == 2
        door.connect(publisher, bench.hub)
        await door.read()
        assert door.refused == []
        table = door.session.tables["box"]
        assert (table.epoch, {e.id for e in table}) == (2, {"dec_ipall1"})
        bench.publish("decision:activated", 3)
        await steps(publisher)
        await door.read()
        assert {e.id for e in door.session.tables["box"]} == {"dec_ipall1", "dec_ipall3"}

    asyncio.run(play())


def test_lost_snapshot_file_costs_an_epoch_and_no_decision(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        await steps(publisher)
        bench.database.execute("DELETE FROM feed_batch")
        publisher = await bench.restart()
        assert publisher.feed.epoch == 2
        assert set(publisher.feed.logs["box"].channel.entries) == {"dec_ipall1"}
        # the new epoch stands on its saved snapshot: the next start finds it whole
        publisher = await bench.restart()
        assert publisher.feed.epoch == 2
        assert set(publisher.feed.logs["box"].channel.entries) == {"dec_ipall1"}

    asyncio.run(play())


def test_damaged_snapshot_file_is_noticed(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        await steps(publisher)
        await publisher.raise_epoch()
        for path in (bench.config.state / "feed").glob("*.zlib"):
            path.write_bytes(path.read_bytes()[:-3] + b"xxx")
        publisher = await bench.restart()
        assert publisher.feed.epoch == 3
        assert set(publisher.feed.logs["box"].channel.entries) == {"dec_ipall1"}

    asyncio.run(play())


def test_door_of_the_centre_that_knows_more_is_believed_once_an_hour(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        await steps(publisher)
        assert not publisher.feed.is_ahead(parse_since("box:1:1:abc"))
        assert publisher.feed.is_ahead(parse_since("box:1:2:abc"))
        assert publisher.feed.is_ahead(parse_since("box:2:0:"))
        assert await publisher.claim("door:mailgate", parse_since("mail:1:7:abc"), trusted=True)
        assert publisher.feed.epoch == 2
        assert not await publisher.claim("door:mailgate", parse_since("mail:7:7:abc"), trusted=True)

    asyncio.run(play())


def add_box(bench: Bench, number: int, collectivite_id: str) -> None:
    from beffroi.boxes.models import Box

    box_id = f"box_{number:026d}"
    Box.objects.create(
        id=box_id,
        collectivite_id=collectivite_id,
        serial=str(number),
        public_key=f"key{number}",
        fingerprint=f"print{number}",
        state="active",
    )


def test_one_lying_box_moves_nothing_two_communes_do_and_no_epoch_is_used_up(bench: Bench) -> None:
    for number, owner in enumerate(("col_a", "col_a", "col_b", "col_c")):
        add_box(bench, number, owner)
    lie, truth = parse_since("box:900000000:9:abc"), parse_since("box:3:9:abc")

    async def play() -> None:
        publisher = await bench.restart()
        for _ in range(5):
            assert not await publisher.claim("col_a", lie, trusted=False)
        assert publisher.feed.epoch == 1
        assert await publisher.claim("col_b", truth, trusted=False)
        assert publisher.feed.epoch == 4  # above what both have seen, not above the lie

    asyncio.run(play())


def test_the_only_commune_with_a_box_is_believed(bench: Bench) -> None:
    add_box(bench, 1, "col_a")

    async def play() -> None:
        publisher = await bench.restart()
        assert await publisher.claim("col_a", parse_since("box:1:9:abc"), trusted=False)

    asyncio.run(play())


def test_fork_at_the_same_version_is_healed_by_a_snapshot_without_a_new_epoch(bench: Bench) -> None:
    """A restore that took STATE/feed along, then as many decisions as were lost."""

    async def play() -> None:
        publisher = await bench.restart()
        door = Door("box")
        door.connect(publisher, bench.hub)
        bench.publish("decision:activated", 1)
        await steps(publisher)
        await door.read()
        bench.clear()
        bench.publish("decision:activated", 2)
        publisher = await bench.restart()
        await steps(publisher)
        table = door.session.tables["box"]
        assert (table.epoch, table.version) == (1, publisher.feed.log("box").channel.version)
        publisher.answer(parse_since("box:0:0:"))  # one snapshot is kept, no later than the door's last line
        since = parse_since(door.session.since())
        assert not publisher.feed.is_ahead(since)
        with clock.shifted(2):  # times in lines have whole seconds
            door.connect(publisher, bench.hub)
            await door.read()
        assert door.refused == []
        assert (table.epoch, {e.id for e in table}) == (1, {"dec_ipall2"})

    asyncio.run(play())


def test_heartbeat_carries_time_and_changes_nothing(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        door = Door("login")
        door.connect(publisher, bench.hub)
        await door.read()
        before = door.session.clock.floor
        with clock.shifted(3600):
            await publisher.beat()
            await door.read()
        assert door.session.clock.floor >= before + 3600
        assert (door.session.tables["login"].version, door.refused) == (0, [])

    asyncio.run(play())
