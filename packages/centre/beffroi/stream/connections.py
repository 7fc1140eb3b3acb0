"""Connections on which boîtiers follow the feed: one request each, whose body and answer do not end.

Purpose: tens of thousands of them. A line down is one write and a line up one read in the event loop, without a task, a
         queue of messages or a second buffer; through an ASGI server they cost twice as much (decision 0029).
Process: stream, relays. Listens on STATE/run/NAME-held.sock, to which the front door brings ``POST /v1/feed`` alone.
Input:   hostile; httptools (the parser of Node.js) reads it. The head is bounded in bytes and time, nothing of the body
         is read before the request is accepted, and nothing while its box is slowed. What a body carries besides
         lines (extensions of chunks, trailers) is bounded and dropped.
Fails:   what is not sound, or not expected, ends that one connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httptools
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.requests import FACTS_HEADER, NONCE_HEADER
from starlette.requests import Request
from starlette.responses import Response

from beffroi.lib.errors import BeffroiError, NotFound
from beffroi.stream.acks import Uplines
from beffroi.stream.answers import problem
from beffroi.stream.hub import Hub, Subscriber

log = logging.getLogger("beffroi.stream")

PATH = b"/v1/feed"
HEAD_BYTES = 32 * 1024
"""Also of what may come between two pieces of the body, which has no use for anything there."""
HEAD_TIMEOUT_S = 10.0
LINGER_S = 2.0
"""So long the rest of a refused request is read and dropped: closing before would take the answer along."""
BACKLOG = 4096
SOCKET_MODE = 0o660
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True)
class Followed:
    """A request that was accepted. ``nonce``: for the next one. ``told``: up to which number the box's posts of facts
    are here."""

    subscriber: Subscriber
    up: Uplines
    nonce: str
    told: int = 0


Follow = Callable[[Request], Awaitable[Followed]]


class Connections:
    """The listening socket, and all connections that came through it."""

    def __init__(self, path: Path, hub: Hub, follow: Follow, nonce: Callable[[], str]) -> None:
        """``follow`` raises BeffroiError or ProtocolError to refuse; ``nonce``: what a refusal brings along."""
        self.path = path
        self.hub = hub
        self.follow = follow
        self.nonce = nonce
        self.tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self.path.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Connection(self), self.path, backlog=BACKLOG)
        # haproxy runs under an account of its own, in the group of the socket.
        self.path.chmod(SOCKET_MODE)

    def close(self) -> None:
        """Take no more; those that follow end with their hub."""
        if self._server is not None:
            self._server.close()
        for task in self.tasks:
            task.cancel()


class _Connection(asyncio.Protocol):
    """One connection: its head is read, its request answered, then lines go both ways until either side ends."""

    __slots__ = (
        "_all",
        "_body",
        "_complete",
        "_followed",
        "_headers",
        "_idle_bytes",
        "_parser",
        "_paused",
        "_target",
        "_timer",
        "_transport",
    )

    _transport: asyncio.Transport

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] | None = []  # None: the head was read
        self._body = bytearray()  # as parsed and not heard yet: many small chunks are heard at once
        self._idle_bytes = 0  # read without a line of an accepted request
        self._complete = False
        self._followed: Followed | None = None
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None

    # -- what the event loop calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # What the kernel does not take at once counts as not read: so one whose reader takes nothing is found.
        transport.set_write_buffer_limits(high=0)
        self._after(HEAD_TIMEOUT_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._complete or self._transport.is_closing():
            return
        self._idle_bytes += len(data)
        if self._followed is None and self._idle_bytes > HEAD_BYTES:
            self._transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            log.exception("a request failed")
            self._transport.abort()
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._transport.abort()
        else:
            if self._followed is not None:
                self._heed()

    def pause_writing(self) -> None:
        self._paused = True
        if self._followed is not None:
            self._followed.subscriber.writing_since_s = asyncio.get_running_loop().time()

    def resume_writing(self) -> None:
        self._paused = False
        if self._followed is not None:
            self._followed.subscriber.writing_since_s = 0.0
            self._write()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        del self._parser  # it knows this connection: both are free at once
        if self._followed is not None:
            self._all.hub.remove(self._followed.subscriber)

    # -- what the parser calls ---------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headers is not None:  # else a trailer
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._headers is None:
            return  # one request a connection
        self._stop_waiting()
        self._transport.pause_reading()
        method, target, headers = self._parser.get_method(), self._target, self._headers
        self._target, self._headers = b"", None
        task = asyncio.get_running_loop().create_task(self._open(method, target, headers))
        self._all.tasks.add(task)
        task.add_done_callback(self._all.tasks.discard)

    def on_body(self, data: bytes) -> None:
        if not self._complete:  # else of a second request
            self._body += data

    def on_message_complete(self) -> None:
        self._complete = True

    # -- the request -------------------------------------------------------------------------------------

    async def _open(self, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        try:
            followed = await self._all.follow(_request(method, target, headers))
        except (BeffroiError, ProtocolError) as error:
            self._refuse(problem(error, self._all.nonce()))
        except Exception:
            log.exception("a request failed")
            self._refuse(Response(status_code=500))
        else:
            self._begin(followed)

    def _begin(self, followed: Followed) -> None:
        subscriber = followed.subscriber
        if self._transport.is_closing():
            self._all.hub.remove(subscriber)
            return
        self._followed = followed
        subscriber.on_ready, subscriber.on_close = self._write, self._end
        headers = [
            (b"content-type", b"application/x-ndjson"),
            (b"cache-control", b"no-store"),
            (b"transfer-encoding", b"chunked"),
            (NONCE_HEADER.encode(), followed.nonce.encode()),
            (FACTS_HEADER.encode(), b"%d" % followed.told),
        ]
        self._transport.write(_head(200, headers))
        self._write()
        self._transport.resume_reading()
        self._heed()
        if subscriber.closed:
            self._end()

    def _refuse(self, response: Response) -> None:
        self._transport.write(_head(response.status_code, [*response.raw_headers, (b"connection", b"close")]))
        self._transport.write(bytes(response.body))
        self._after(LINGER_S, self._transport.abort)
        self._transport.resume_reading()

    # -- lines -------------------------------------------------------------------------------------------

    def _write(self) -> None:
        assert self._followed is not None
        while not self._paused and (data := self._followed.subscriber.take()):
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _heed(self) -> None:
        """Hear what came of the body, and notice its end."""
        if self._body:
            data, self._body = bytes(self._body), bytearray()
            self._idle_bytes = 0
            self._hear(data)
        if self._complete:
            self._end()
        elif self._idle_bytes > HEAD_BYTES:
            self._transport.abort()

    def _hear(self, data: bytes) -> None:
        assert self._followed is not None
        up = self._followed.up
        try:
            slowed_s = up.take(data)
        except (BeffroiError, ProtocolError) as error:
            log.warning("what %s said ends its connection: %s", up.box.id, error.code)
            self._end()
            return
        if slowed_s and not self._transport.is_closing():
            self._transport.pause_reading()
            self._after(slowed_s, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        self._transport.resume_reading()
        self._hear(b"")

    # -- the end -----------------------------------------------------------------------------------------

    def _end(self) -> None:
        """End the answer; who does not read loses what waits for it."""
        if not self._paused and not self._transport.is_closing():
            self._transport.write(_LAST_CHUNK)
            self._transport.close()
        if self._paused:  # perhaps by these last bytes: nobody would cut it any more
            self._transport.abort()

    def _after(self, delay_s: float, then: Callable[[], object]) -> None:
        self._stop_waiting()
        self._timer = asyncio.get_running_loop().call_later(delay_s, then)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _request(method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> Request:
    """Errors: NotFound."""
    path, _, query = target.partition(b"?")
    if method != b"POST" or path != PATH:
        raise NotFound("page")
    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH.decode(),
        "raw_path": path,
        "query_string": query,
        "headers": headers,
    }
    return Request(scope)


def _head(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = [b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode())]
    lines += [b"%b: %b" % header for header in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"
