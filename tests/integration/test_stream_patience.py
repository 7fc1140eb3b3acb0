"""What a stream process still does after its database failed for a moment, in one process with the test."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence

import pytest
from beffroi.core.planes.db import Database
from beffroi.lib.config import Config, load
from beffroi.lib.errors import Unavailable
from beffroi.stream import app, software
from beffroi.stream.app import Stream
from beffroi.stream.auth import Caller
from beffroi.stream.hub import Subscriber
from beffroi.stream.publisher import POLICY_TOPIC
from beffroi.stream.store import BoxRow, Event
from starlette.requests import Request

from tests.fixtures_stream import make_state, write_keys
from tests.waiting import PATIENCE_S

TOPICS = [POLICY_TOPIC + "col_a", POLICY_TOPIC + "box_1"]


@pytest.fixture
def stream(
    committed: str, plane: Database, config: Config, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stream]:
    monkeypatch.setattr(app, "SEEN_EVERY_S", 0.01)
    monkeypatch.setattr(app, "RETRY_MAX_S", 0.01)
    state = make_state(committed, config.run / "wake")
    write_keys(state / "secrets")
    yield Stream(load(state))
    shutil.rmtree(state, ignore_errors=True)


def test_boxes_are_seen_again_after_an_error_of_the_disk(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[Sequence[str]] = []

    def seen(boxes: Sequence[str]) -> None:
        noted.append(boxes)
        if len(noted) == 1:
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(stream._store, "seen", seen)

    async def play() -> None:
        stream.hub.add(Subscriber("box_1", TOPICS, []), at_most=1)
        task = asyncio.create_task(stream._note_seen())
        async with asyncio.timeout(20):
            while len(noted) < 3:
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(play())
    assert noted[1:3] == [["box_1"], ["box_1"]]


@pytest.mark.parametrize("kind", ["box:policy_changed", "box:release_offered"])
def test_a_policy_and_a_release_are_sent_once_the_database_answers(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    failures = iter([Unavailable("The database"), sqlite3.OperationalError("disk I/O error")])

    def asked(_: str) -> bytes:
        for error in failures:
            raise error
        return b"a line\n"

    async def policy_line(owner: str) -> bytes:
        return asked(owner)

    monkeypatch.setattr(stream.publisher, "policy_line", policy_line)
    monkeypatch.setattr(software, "release_lines", lambda _database, box_id: asked(box_id))

    async def play() -> None:
        box = Subscriber("box_1", TOPICS, [])
        stream.hub.add(box, at_most=1)
        stream._on_event(Event(1, kind, "col_a", {"box_id": "box_1"}))
        async with asyncio.timeout(20):
            while not (data := box.take()):
                await asyncio.sleep(0.01)
        assert data == b"a line\n"

    asyncio.run(play())


def test_a_box_that_comes_while_its_policy_changes_gets_the_new_one(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told twice of a change: who came with what was before kept it until the next one."""
    policies = {"col_a": b"former\n"}
    sent = threading.Event()

    async def policy_line(owner: str) -> bytes:
        return policies[owner]

    monkeypatch.setattr(stream.publisher, "policy_line", policy_line)
    monkeypatch.setattr(stream.hub, "send", lambda _topic, _line: sent.set())

    async def play() -> None:
        loop = asyncio.get_running_loop()

        def release_lines(_database: Database, _box_id: str) -> bytes:
            policies["col_a"] = b"new\n"
            loop.call_soon_threadsafe(stream._on_event, Event(1, "box:policy_changed", "col_a", {}))
            assert sent.wait(PATIENCE_S)
            return b""

        monkeypatch.setattr(software, "release_lines", release_lines)
        caller = Caller("box_1", "box", BoxRow("box_1", "col_a", "", "active"), 1)
        asked = Request({"type": "http", "query_string": b"since=box", "headers": []})
        box = await stream._subscribe(caller, asked)
        told = []
        while line := box.take():
            told.append(line)
        assert b"new\n" in told and b"former\n" not in told

    asyncio.run(play())
