"""The purge of the feed's lines: who comes back after it is in step, a start finds its state, heads stay verifiable."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.decisions import retention
from beffroi.core.decisions.models import FeedBatch, FeedChannel
from beffroi.core.retention import actions, registry
from beffroi.lib import clock
from beffroi_protocol.indicators import normalise
from beffroi_protocol.signing import payload_hash, split_line
from beffroi_protocol.table import Change

from tests.fixtures_publisher import Bench, bench, steps
from tests.fixtures_stream import Centre, block, eventually, read_until, running_centre

__all__ = ["bench", "running_centre"]


def purge() -> int:
    """A run as of now, by the clock that a person vouches for; how many lines went."""
    run = actions.begin(clock_confirmed_by="root")
    assert actions.go_on(run)
    return int(run.counts.get(category="feed_lines").deleted)


def aged(days: float) -> None:
    FeedBatch.objects.update(created_at=clock.now() - timedelta(days=days))


def test_a_follower_that_comes_back_after_a_purge_gets_a_snapshot(centre: Centre) -> None:
    box = centre.box("col_a")
    session = centre.session("box")
    first = block("185.203.116.1")
    held = box.follow(session.since())
    read_until(held, session, lambda: len(session.tables["box"]) == 1)
    held.close()
    for n in range(2, 6):
        block(f"185.203.116.{n}")
        eventually(lambda: centre.health()["events_behind"] == 0, "published")
    aged(31)
    assert purge() == 0, "no snapshot stands for them yet"
    eventually(lambda: not FeedChannel.objects.exclude(saved_version=5).exists(), "saved after the purge")
    assert purge() > 0
    heads = dict(FeedChannel.objects.values_list("channel", "head"))
    for channel in ("box", "mail", "login", "drive"):
        (line,) = [bytes(one.line) for one in FeedBatch.objects.filter(channel=channel)]
        assert payload_hash(split_line(line)[2]) == heads[channel], "the last line proves the head"
    centre.stop()
    centre.start()
    assert centre.health()["epoch"] == 1, "a start needs no line that went"
    held = box.follow(session.since())
    results = read_until(held, session, lambda: len(session.tables["box"]) == 5)
    changes = [one for one in results if isinstance(one, Change)]
    assert changes[0].reset and len(changes[0].added) == 5, "lines no longer lead there"
    assert {entry.id for entry in session.tables["box"]} >= {first.id}
    block("185.203.116.9")
    read_until(held, session, lambda: len(session.tables["box"]) == 6)


def test_a_door_of_the_centre_comes_back_after_a_purge(centre: Centre, tmp_path: Path) -> None:
    door = centre.door("mailgate", "mail", tmp_path / "door")
    door.start()
    first, second = (normalise("ip", f"185.203.116.{n}") for n in (1, 2))
    block(first.value)
    eventually(lambda: door.match(first) is not None, "followed")
    door.stop()
    block(second.value)
    eventually(lambda: centre.health()["events_behind"] == 0, "published")
    aged(31)
    purge()
    eventually(lambda: FeedChannel.objects.get(channel="mail").saved_version == 2, "saved")
    assert purge() > 0
    centre.stop()
    centre.start()
    door = centre.door("mailgate", "mail", tmp_path / "door")
    door.start()
    eventually(lambda: door.match(second) is not None, "in step")
    assert door.match(first) is not None
    door.stop()


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("row", "channel", "due"),
    [
        ({"to_version": 3}, {"version": 9, "saved_version": 3}, True),
        ({"to_version": 4}, {"version": 9, "saved_version": 3}, False),
        ({"to_version": 9}, {"version": 9, "saved_version": 9}, False),
        ({"to_version": 3}, {"version": 9, "saved_version": 0}, False),
        ({"to_version": 9}, {"version": 9, "saved_version": 0, "epoch": 2}, True),
        ({"to_version": 9}, None, True),
    ],
    ids=[
        "a snapshot stands for it",
        "after it",
        "the last",
        "no snapshot",
        "of another epoch",
        "of no channel",
    ],
)
def test_which_lines_nobody_needs(row: dict[str, Any], channel: dict[str, Any] | None, due: bool) -> None:
    now = clock.now()
    if channel is not None:
        FeedChannel.objects.create(channel="box", **{"epoch": 1, **channel})
    FeedBatch.objects.create(channel="box", epoch=1, line=b"x", created_at=now - timedelta(days=31), **row)
    (category,) = [one for one in registry.categories() if one.name == "feed_lines"]
    assert retention.KEEP_LINES_DAYS == category.kept == 30
    cutoff = now - timedelta(days=30)
    assert category.due(cutoff).exists() is due
    FeedBatch.objects.update(created_at=now - timedelta(days=29))
    assert not category.due(cutoff).exists()


def test_directories_of_former_relays_go_at_the_next_start(bench: Bench) -> None:
    async def play() -> None:
        publisher = await bench.restart()
        bench.publish("decision:activated", 1)
        await steps(publisher)
        left = bench.config.state / "feed" / "relay-7"
        left.mkdir()
        (left / "box.json").write_text("{}")
        publisher = await bench.restart()
        assert not left.exists()
        assert set(publisher.feed.logs["box"].channel.entries) == {"dec_ipall1"}

    asyncio.run(play())
