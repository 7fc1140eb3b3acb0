"""The server of the drive on a real socket: heads go with the first short piece of their bodies, and none is lost."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from beffroi.lib import asgi

LONG = b"x" * (asgi.JOINED_BYTES + 1)


class Said(asyncio.Transport):
    """Notes each write on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.writes.append(b"<closed>")


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"
EMPTY = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ([HEAD, b"abc"], [HEAD + b"abc"]),
        ([HEAD, LONG, b"y"], [HEAD, LONG, b"y"]),
        ([EMPTY, b""], [EMPTY, b""]),
        ([GO_ON, EMPTY], [GO_ON, EMPTY]),
        ([REFUSED, b"abc"], [REFUSED, b"abc"]),
        ([HEAD], [HEAD]),
        ([HEAD, b"abc", b"HTTP/1.1 200 is in a file"], [HEAD + b"abc", b"HTTP/1.1 200 is in a file"]),
    ],
    ids=["short", "long", "empty", "go on", "refused", "head alone", "a body that looks like a head"],
)
def test_a_head_waits_for_the_first_piece_alone_and_goes_at_the_end_at_the_latest(
    written: list[bytes], sent: list[bytes]
) -> None:
    said = Said()
    transport = asgi._Together(said)
    for data in written:
        transport.write(data)
    transport.flush()
    assert said.writes == sent
    transport.close()
    assert said.writes == [*sent, b"<closed>"]


def test_a_connection_that_closes_in_the_middle_takes_the_head_along() -> None:
    said = Said()
    transport = asgi._Together(said)
    transport.write(memoryview(HEAD))
    transport.close()
    assert said.writes == [HEAD, b"<closed>"]


def answering(*messages: dict[str, Any]) -> Callable[..., Awaitable[None]]:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        for one in messages:
            await send(one)

    return application


@asynccontextmanager
async def serving(path: Path, application: Any) -> AsyncIterator[None]:
    server = asgi.server(application)
    running = asyncio.create_task(server.serve(sockets=[asgi.listen(path, 0o600)]))
    try:
        yield
    finally:
        server.end()
        await running


@pytest.mark.parametrize(
    ("method", "status", "pieces"),
    [
        ("GET", 200, [b"abc"]),
        ("GET", 200, [b"", b"abc"]),
        ("GET", 207, [b"a", LONG, b"c"]),
        ("GET", 404, [b"abc"]),
        ("PUT", 201, [b""]),
        ("DELETE", 204, [b""]),
        ("HEAD", 200, [b"abc"]),
    ],
)
def test_what_is_answered_arrives_whole_each_time_on_a_kept_connection(
    tmp_path: Path, method: str, status: int, pieces: list[bytes]
) -> None:
    body = b"".join(pieces)
    headers = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    start = {"type": "http.response.start", "status": status, "headers": headers}
    parts = [{"type": "http.response.body", "body": one, "more_body": True} for one in pieces]
    application = answering(start, *parts, {"type": "http.response.body", "body": b""})

    async def ask() -> None:
        async with serving(tmp_path / "s", application):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            for _ in range(3):
                writer.write(f"{method} / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(f"HTTP/1.1 {status} ".encode())
                if method != "HEAD" and body:
                    assert await reader.readexactly(len(body)) == body
            writer.close()

    asyncio.run(asyncio.wait_for(ask(), 30))


def test_a_short_answer_is_one_segment(tmp_path: Path) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]}
    application = answering(start, {"type": "http.response.body", "body": b"abc"})

    async def ask() -> bytes:
        async with serving(tmp_path / "s", application):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
                asking.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(asking, str(tmp_path / "s"))
                await loop.sock_sendall(asking, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                return await loop.sock_recv(asking, 65536)

    said = asyncio.run(asyncio.wait_for(ask(), 30))
    assert said.startswith(b"HTTP/1.1 200 ") and said.endswith(b"\r\n\r\nabc")


def test_what_comes_behind_a_body_is_no_header(tmp_path: Path) -> None:
    """A client wrote another address behind the one that front had set."""
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.append(scope["headers"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def ask() -> None:
        async with serving(tmp_path / "s", application):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(
                b"PUT / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"1\r\na\r\n0\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

    asyncio.run(asyncio.wait_for(ask(), 30))
    assert dict(seen[0])[b"x-forwarded-for"] == b"192.0.2.1"


@pytest.mark.parametrize(
    "head", ["PUT / HTTP/1.1\r\nContent-Length: 1", "GET / HTTP/1.1\r\nContent-Length: 1"]
)
def test_what_asks_for_a_websocket_as_nobody_can_is_answered(tmp_path: Path, head: str) -> None:
    async def ask() -> bytes:
        async with serving(tmp_path / "s", answering()):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            wish = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
            key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
            writer.write(f"{head}\r\nHost: x\r\n{wish}\r\n{key}\r\n\r\na".encode())
            said = await reader.read()
            writer.close()
            return said

    assert asyncio.run(asyncio.wait_for(ask(), 30)).startswith(b"HTTP/1.1 400 ")


def test_a_server_at_rest_wakes_once_a_second_and_ends_when_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: list[int] = []
    tick = asgi.Server.on_tick

    async def counted(server: asgi.Server, counter: int) -> bool:
        ticks.append(counter)
        return await tick(server, counter)

    monkeypatch.setattr(asgi.Server, "on_tick", counted)

    async def rest() -> float:
        began = time.monotonic()
        async with serving(tmp_path / "s", answering()):
            await asyncio.sleep(1.5)
        return time.monotonic() - began

    took_s = asyncio.run(asyncio.wait_for(rest(), 30))
    assert 2 <= len(ticks) <= took_s + 3
