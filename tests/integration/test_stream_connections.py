"""Connections of boîtiers over a real Unix socket, as a front door, a slow and a hostile client use them."""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest
from beffroi.lib.errors import NotFound
from beffroi.stream import connections
from beffroi.stream.acks import SLOWED_S, Uplines
from beffroi.stream.connections import Connections, Followed
from beffroi.stream.hub import STALL_S, Hub, Subscriber
from beffroi.stream.store import BoxRow
from beffroi_protocol.errors import MessageTooLarge
from starlette.requests import Request

from tests.waiting import PATIENCE_S

ROW = BoxRow("box_1", "col_a", "", "active")
ASK = b"POST /v1/feed?since=box:0:0: HTTP/1.1\r\nHost: centre\r\nTransfer-Encoding: chunked\r\n\r\n"

type Reader = asyncio.StreamReader
type Writer = asyncio.StreamWriter


def transport(writer: Writer) -> asyncio.Transport:
    """Both ways of a connection."""
    return cast(asyncio.Transport, writer.transport)


class Heard(Uplines):
    """Takes lines as they come; ``slow``: how often it asks to be left alone first."""

    def __init__(self) -> None:
        self.box = ROW
        self.pieces: list[bytes] = []
        self.slow = 0

    def take(self, data: bytes) -> float:
        if data == b"bad\n":
            raise MessageTooLarge(len(data))
        self.pieces.append(data)
        self.slow -= 1
        return 0.0 if self.slow < 0 else SLOWED_S


class Place:
    """The connections of one process. ``gate`` holds a request back until it is set."""

    def __init__(self, directory: Path) -> None:
        self.hub = Hub()
        self.heard = Heard()
        self.gate = asyncio.Event()
        self.gate.set()
        self.subscriber = Subscriber(ROW.id, ["box"], [b"first\n"])
        self.requests: list[Request] = []
        self.refuses = False
        self.fails = False
        self.connections = Connections(directory / "held.sock", self.hub, self.follow, lambda: "next-nonce")

    async def follow(self, request: Request) -> Followed:
        self.requests.append(request)
        await self.gate.wait()
        if self.refuses:
            raise NotFound("channel")
        if self.fails:
            raise RuntimeError
        self.hub.add(self.subscriber, at_most=1)
        return Followed(self.subscriber, self.heard, "a-nonce")

    async def open(self, *sent: bytes) -> tuple[Reader, Writer]:
        reader, writer = await asyncio.open_unix_connection(self.connections.path)
        for data in sent:
            writer.write(data)
        return reader, writer


def going(directory: Path, script: Callable[[Place], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S):
            place = Place(directory)
            await place.connections.start()
            try:
                await script(place)
            finally:
                place.connections.close()
                place.hub.close_all()

    asyncio.run(run())


async def head(reader: Reader) -> list[bytes]:
    return (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")


async def chunk(reader: Reader) -> bytes:
    size = int(await reader.readline(), 16)
    return (await reader.readexactly(size + 2))[:-2]


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def test_lines_go_down_as_they_are_sent_and_up_as_they_come(tmp_path: Path) -> None:
    async def script(place: Place) -> None:
        reader, writer = await place.open(ASK)
        lines = await head(reader)
        assert lines[0] == b"http/1.1 200 ok"
        assert b"x-beffroi-nonce: a-nonce" in lines
        assert await chunk(reader) == b"first\n"
        place.hub.send("box", b"one\n")
        place.hub.send("box", b"two\n")
        assert await chunk(reader) + await chunk(reader) == b"one\ntwo\n"
        writer.write(b"3\r\nup\n\r\n")
        await until(lambda: b"up\n" in place.heard.pieces)
        assert place.requests[0].query_params["since"] == "box:0:0:"

    going(tmp_path, script)


def test_what_is_said_before_the_answer_is_heard_after_it(tmp_path: Path) -> None:
    async def script(place: Place) -> None:
        place.gate.clear()
        reader, _ = await place.open(ASK + b"3\r\nup\n\r\n")
        await until(lambda: place.requests)
        assert place.heard.pieces == []
        place.gate.set()
        await head(reader)
        await until(lambda: b"up\n" in place.heard.pieces)

    going(tmp_path, script)


@pytest.mark.parametrize(
    "end", [b"0\r\n\r\n", b"4\r\nbad\n\r\n", b"zz\r\n"], ids=["end", "unsound", "no chunk"]
)
def test_either_side_ends_both(tmp_path: Path, end: bytes) -> None:
    async def script(place: Place) -> None:
        reader, writer = await place.open(ASK)
        await head(reader)
        writer.write(end)
        await reader.read()
        assert place.subscriber.closed
        assert len(place.hub) == 0

    going(tmp_path, script)


def test_a_box_that_left_before_its_answer_is_forgotten(tmp_path: Path) -> None:
    async def script(place: Place) -> None:
        place.gate.clear()
        _, writer = await place.open(ASK)
        await until(lambda: place.requests)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        place.gate.set()
        # Nothing is read before the answer, so the end is seen by the first write at the latest.
        await until(lambda: place.subscriber.closed or place.hub.send("box", b"line\n") < 0)
        assert len(place.hub) == 0

    going(tmp_path, script)


def test_a_refusal_arrives_though_the_body_goes_on(tmp_path: Path) -> None:
    async def script(place: Place) -> None:
        place.refuses = True
        reader, writer = await place.open(ASK + b"3\r\nup\n\r\n")
        lines = await head(reader)
        assert lines[0] == b"http/1.1 404 not found"
        assert {b"connection: close", b"x-beffroi-nonce: next-nonce"} <= set(lines)
        writer.write(b"3\r\nup\n\r\n")
        size = next(int(line.split()[1]) for line in lines if line.startswith(b"content-length"))
        assert b'"code"' in await reader.readexactly(size)
        assert place.heard.pieces == []

    going(tmp_path, script)


def test_what_nobody_expected_is_an_answer_too(tmp_path: Path) -> None:
    async def script(place: Place) -> None:
        place.fails = True
        reader, _ = await place.open(ASK)
        assert (await head(reader))[0] == b"http/1.1 500 internal server error"

    going(tmp_path, script)


@pytest.mark.parametrize("line", [b"GET /v1/feed", b"POST /v1/facts", b"POST /v1/feedback", b"POST *"])
def test_there_is_one_thing_to_ask_for(tmp_path: Path, line: bytes) -> None:
    async def script(place: Place) -> None:
        reader, _ = await place.open(line + b" HTTP/1.1\r\n\r\n")
        assert (await head(reader))[0] == b"http/1.1 404 not found"
        assert place.requests == []

    going(tmp_path, script)


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02", b"POST /v1/feed HTTP/9\r\n\r\n", b"POST /v1/feed HTTP/1.1\r\nA: " + b"a" * 40_000],
    ids=["tls", "version", "long"],
)
def test_a_head_that_is_none_ends_the_connection(tmp_path: Path, data: bytes) -> None:
    async def script(place: Place) -> None:
        reader, _ = await place.open(data)
        assert await reader.read() == b""
        assert place.requests == []

    going(tmp_path, script)


def test_a_head_that_does_not_end_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.1)

    async def script(place: Place) -> None:
        reader, _ = await place.open(ASK[:-2])
        assert await reader.read() == b""

    going(tmp_path, script)


def test_an_answer_that_takes_longer_than_a_head_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.05)

    async def script(place: Place) -> None:
        place.gate.clear()
        reader, _ = await place.open(ASK)
        await until(lambda: place.requests)
        await asyncio.sleep(0.2)
        place.gate.set()
        assert (await head(reader))[0] == b"http/1.1 200 ok"

    going(tmp_path, script)


def test_a_second_request_on_the_connection_is_not_read(tmp_path: Path) -> None:
    async def script(place: Place) -> None:
        reader, _ = await place.open(ASK + b"0\r\n\r\n" + ASK)
        assert (await head(reader))[0] == b"http/1.1 200 ok"
        assert (await reader.read()).endswith(b"0\r\n\r\n")
        assert len(place.requests) == 1

    going(tmp_path, script)


def test_the_body_of_a_second_request_is_not_taken_for_the_first_ones(tmp_path: Path) -> None:
    async def script(place: Place) -> None:
        second = ASK + b"6\r\nsecond\r\n0\r\n\r\n"
        reader, _ = await place.open(ASK + b"5\r\nfirst\r\n0\r\n\r\n" + second)
        await reader.read()
        assert place.heard.pieces == [b"first"]

    going(tmp_path, script)


@pytest.mark.parametrize(
    "ask",
    [
        ASK[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"CONNECT centre:443 HTTP/1.1\r\nHost: centre\r\n\r\n",
    ],
    ids=["upgrade", "connect"],
)
def test_who_asks_for_another_protocol_is_cut_without_a_word_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ask: bytes
) -> None:
    async def script(place: Place) -> None:
        reader, _ = await place.open(ask)
        assert await reader.read() == b""
        await until(lambda: len(place.hub) == 0)
        assert not [one for one in caplog.records if one.exc_info]

    going(tmp_path, script)


@pytest.mark.parametrize(
    "endless", [b"1;" + b"x" * 1022, b"0\r\nA: " + b"x" * 1017, b"0\r\n" + b"A: x\r\n" * 170]
)
def test_what_a_body_brings_besides_lines_is_not_read_without_end(tmp_path: Path, endless: bytes) -> None:
    async def script(place: Place) -> None:
        reader, writer = await place.open(ASK)
        await head(reader)
        writer.write(endless + endless[-6:] * 100_000)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        await until(lambda: place.subscriber.closed)
        assert place.heard.pieces == []

    going(tmp_path, script)


def test_lines_in_many_small_chunks_are_heard_together(tmp_path: Path) -> None:
    async def script(place: Place) -> None:
        place.heard.slow = 1
        reader, writer = await place.open(ASK)
        await head(reader)
        writer.write(b"1\r\n\n\r\n" * 2000)
        await until(lambda: b"".join(place.heard.pieces) == b"\n" * 2000)
        assert len(place.heard.pieces) < 20

    going(tmp_path, script)


def test_an_ended_connection_does_not_wait_for_a_reader_who_leaves_no_room_for_the_end(
    tmp_path: Path,
) -> None:
    line, sent = b"x" * 10_000 + b"\n", []

    async def counts(place: Place) -> None:
        _, writer = await place.open(ASK)
        transport(writer).pause_reading()
        await until(lambda: len(place.hub))
        while not place.subscriber.writing_since_s:
            place.hub.send("box", line)
            sent.append(line)

    async def script(place: Place) -> None:
        _, writer = await place.open(ASK)
        transport(writer).pause_reading()
        await until(lambda: len(place.hub))
        for one in sent[1:]:
            place.hub.send("box", one)
        assert place.subscriber.writing_since_s == 0.0  # the kernel took everything, and takes nothing more
        place.hub.close_owner(ROW.id)
        ended = select.poll()
        ended.register(writer.get_extra_info("socket"), select.POLLHUP)
        await until(lambda: ended.poll(0))

    going(tmp_path, counts)
    going(tmp_path, script)


def test_who_does_not_read_is_found_and_who_reads_late_gets_everything_in_order(tmp_path: Path) -> None:
    async def script(place: Place) -> None:
        reader, _ = await place.open(ASK)
        await head(reader)
        lines = [b"%d:" % number + b"x" * 100_000 + b"\n" for number in range(9)]
        for line in lines:
            assert place.hub.send("box", line) == 1
        now_s = asyncio.get_running_loop().time()
        assert 0 < place.subscriber.writing_since_s <= now_s
        assert place.hub.cut_stalled(now_s=now_s) == 0
        whole = b""
        while len(whole) < len(b"first\n") + sum(map(len, lines)):
            whole += await chunk(reader)
        assert whole == b"first\n" + b"".join(lines)
        await until(lambda: place.subscriber.writing_since_s == 0.0)

    going(tmp_path, script)


def test_who_never_reads_is_cut(tmp_path: Path) -> None:
    async def script(place: Place) -> None:
        reader, writer = await place.open(ASK)
        transport(writer).pause_reading()
        while not place.subscriber.writing_since_s:
            place.hub.send("box", b"x" * 100_000 + b"\n")
            await asyncio.sleep(0)
        now_s = asyncio.get_running_loop().time()
        assert place.hub.cut_stalled(now_s=now_s + STALL_S + 1) == 1
        transport(writer).resume_reading()
        await reader.read()
        assert len(place.hub) == 0

    going(tmp_path, script)


def test_a_box_that_says_too_much_is_read_later(tmp_path: Path) -> None:
    async def script(place: Place) -> None:
        place.heard.slow = 2
        reader, writer = await place.open(ASK)
        await head(reader)
        writer.write(b"3\r\nup\n\r\n")
        await until(lambda: place.heard.slow < 0)
        writer.write(b"5\r\nmore\n\r\n")
        await until(lambda: place.heard.pieces[-1] == b"more\n")
        assert not place.subscriber.closed

    going(tmp_path, script)
