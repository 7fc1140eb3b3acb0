"""The publisher on a real database: what a follower holds is what a newcomer would get."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from pathlib import Path

import pytest
from beffroi.lib import clock, durable
from beffroi.lib.errors import Unavailable
from beffroi.stream import archive, snapshots
from beffroi.stream.feedlog import parse_since
from beffroi_protocol.messages import Policy, PolicyMessage, decode_feed, encode
from beffroi_protocol.signing import split_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures_publisher import Bench, Door, bench, steps
from tests.waiting import PATIENCE_S

__all__ = ["bench"]


ACTIVATE, END, STEP, RESTART, JOIN, DROP = "activate", "end", "step", "restart", "join", "drop"
LIST, UNLIST, EPOCH = "list", "unlist", "epoch"
operations = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from([ACTIVATE, ACTIVATE, END, LIST, UNLIST]),
            st.integers(0, 5),
            st.sampled_from(["all", "col_a"]),
            st.sampled_from(["ip", "domain"]),
        ),
        st.tuples(st.sampled_from([STEP, STEP, RESTART, JOIN, DROP, EPOCH])),
    ),
    max_size=30,
)


@pytest.mark.parametrize("inline_bytes", [snapshots.INLINE_BYTES, 0], ids=["in lines", "as files"])
@given(operations)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_snapshot_and_deltas_equal_a_fresh_snapshot(
    bench: Bench, inline_bytes: int, monkeypatch: pytest.MonkeyPatch, played: list[tuple[object, ...]]
) -> None:
    bench.clear()
    monkeypatch.setattr(snapshots, "INLINE_BYTES", inline_bytes)
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
                case ("list" | "unlist" as verb, int(number), str(scope), str(indicator)):
                    kind = "list:published" if verb == LIST else "list:withdrawn"
                    bench.publish_list(kind, number, scope=scope, indicator=indicator)
                case ("step",):
                    await steps(publisher)
                    await follower.read()
                case ("epoch",):
                    await publisher.raise_epoch()
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
        assert follower.held() == newcomer.held()
        assert [t.version for t in follower.session.tables.values()] == [
            t.version for t in newcomer.session.tables.values()
        ]
        assert follower.refused == newcomer.refused == []
        if inline_bytes:
            assert newcomer.files == 0
        elif any(newcomer.held().values()):
            assert newcomer.files > 0
        if (EPOCH,) not in played:
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


def test_doors_do_not_hear_of_a_clock_that_was_set_forward_and_back(bench: Bench) -> None:
    """Their trusted time never goes back: what ends by it has ended at every door."""

    async def play() -> None:
        publisher, door = await bench.restart(), Door("box")
        bench.publish("decision:activated", 1)
        await steps(publisher)
        with clock.jumped(86400):
            bench.publish("decision:activated", 2)
            await steps(publisher)
            door.connect(publisher, bench.hub)
            await door.read()
        assert len(door.session.tables["box"]) == 2
        assert door.session.clock.floor <= clock.epoch()

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


def test_a_replaced_snapshot_file_serves_its_own_channel_for_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "INLINE_BYTES", 0)
    now_s = time.monotonic()
    monkeypatch.setattr(archive.time, "monotonic", lambda: now_s)  # type: ignore[attr-defined]

    async def play() -> None:
        nonlocal now_s
        publisher = await bench.restart()
        bench.publish("decision:activated", 1, scope="col_a")
        await steps(publisher)
        digests = []
        for number in (2, 3, 4):
            await publisher._save("box@col_a")
            digests.append(publisher._snapshots.saved["box@col_a"].sha256)
            bench.publish("decision:activated", number, scope="col_a")
            await steps(publisher)
        for digest in digests:
            path = publisher.file(digest, lambda name: name == "box@col_a")
            assert path is not None
            assert path.exists()
            for other in ("box", "box@col_b", "mail@col_a", ""):
                assert publisher.file(digest, lambda name, other=other: name == other) is None
        now_s += archive.KEEP_S + 1
        await publisher._save("box@col_a")
        paths = [publisher.file(digest, lambda name: name == "box@col_a") for digest in digests]
        assert paths[:2] == [None, None]
        # The last one and this one.
        assert len(list((bench.config.state / "feed").glob("*.snapshot.zlib"))) == 2

    asyncio.run(play())


def test_a_full_disk_keeps_small_channels_going_and_refuses_what_no_line_holds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "INLINE_BYTES", 0)

    def full(path: Path, pieces: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        await steps(publisher)
        monkeypatch.setattr(durable, "write", full)
        door = Door("box")
        door.connect(publisher, bench.hub)  # no file can be written: the line holds it
        await door.read()
        assert (len(door.session.tables["box"]), door.files) == (1, 0)
        monkeypatch.setattr(snapshots, "MAX_MESSAGE_BYTES", 10)
        with pytest.raises(Unavailable):
            Door("box").connect(publisher, bench.hub)

    asyncio.run(play())


def test_boxes_that_come_back_after_a_restart_hold_no_decision_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each asks for its policy, all at once."""

    async def play() -> None:
        publisher = await bench.restart()
        answered = threading.Event()
        monkeypatch.setattr(publisher._store, "policy", lambda _: None if answered.wait(PATIENCE_S) else 1)
        asked = [asyncio.create_task(publisher.policy_line(f"col_{n}")) for n in range(3)]
        await asyncio.sleep(0)  # they ask
        bench.publish("decision:activated", 1)
        await steps(publisher)
        assert len(publisher.feed.log("box").channel.entries) == 1
        assert not any(one.done() for one in asked)
        answered.set()
        assert await asyncio.gather(*asked) == [None] * 3

    asyncio.run(play())


def version_of(line: bytes | None) -> int:
    assert line is not None
    message = decode_feed(split_line(line.strip())[2])
    assert isinstance(message, PolicyMessage)
    return message.policy_version


def test_a_policy_that_changes_while_it_is_read_is_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before the change would be told to every box of the collectivité from then on."""

    async def play() -> None:
        publisher = await bench.restart()
        reading, answered = threading.Event(), threading.Event()
        versions = iter((1, 2))

        def policy(owner: str) -> PolicyMessage:
            found = PolicyMessage(1, owner, next(versions), 0, Policy("router"), "x", "", "")
            reading.set()
            assert answered.wait(PATIENCE_S)
            return found

        monkeypatch.setattr(publisher._store, "policy", policy)
        asked = asyncio.create_task(publisher.policy_line("col_a"))
        assert await asyncio.to_thread(reading.wait, PATIENCE_S)
        publisher.forget_policy("col_a")
        answered.set()
        told = [await asked, await publisher.policy_line("col_a")]
        assert [version_of(line) for line in told] == [2, 2]

    asyncio.run(play())


def test_a_snapshot_is_made_once_for_all_who_come(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 5,000 decisions in force each box cost the loop several milliseconds: 200 that came back, a second."""

    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        await steps(publisher)
        Door("box").connect(publisher, bench.hub)
        counted: list[object] = []
        monkeypatch.setattr(snapshots, "encode", lambda one: counted.append(one) or encode(one))
        doors = [Door("box") for _ in range(3)]
        for door in doors:
            await publisher.prepare(parse_since(door.session.since()))
            door.connect(publisher, bench.hub)
            await door.read()
        assert [len(door.session.tables["box"]) for door in doors] == [1, 1, 1]
        assert not counted

    asyncio.run(play())
