"""An ASGI application served by the event loop of its own process: uvicorn with httptools, and no thread beside it.

Purpose: a request wakes nobody: it is parsed, answered and sent in the loop that the application runs in.
Process: drive. Behind front, which bounds heads (16 KiB, 10 s) and connections; neither is bounded here.
Fails:   a signal is the process's own affair (``lib.serving``), not the server's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

BACKLOG = 1024
KEPT_ALIVE_S = 300
"""Longer than front keeps an idle connection: it never sends a request into one that ends."""
LINE_BYTES, HEARD_BYTES = 4096, 64 * 1024
"""Of a websocket's message, and of all that one brings: a name, a password, then a ping now and then. Front counts
requests, and each frame of a few bytes costs as much as a small one."""
JOINED_BYTES = 64 * 1024
"""Of a first piece that its head is copied to."""
PING_S = 60
"""Who does not answer a websocket's ping within as much again is gone."""
_REFUSED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _Together:
    """A transport that sends the head of an answer with the first piece of its body, where that is short: one call of
    the system, one segment, and who reads is woken once."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | memoryview) -> None:
        if self._head:
            head, self._head = self._head, b""
            if len(data) <= JOINED_BYTES:
                self._transport.write(b"".join((head, data)))
            else:
                self._transport.write(head)
                self._transport.write(data)
        elif data[:10] == b"HTTP/1.1 2" and b"\r\ncontent-length: 0\r\n" not in data:
            self._head = bytes(data)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Of an answer that has no body after all."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()


class _Protocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(cast(asyncio.Transport, _Together(transport)))

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        # What comes behind a body in chunks is a trailer, and no header of the request: uvicorn would add it to those
        # that it hands over, where the client's address is what front set last.
        self.headers = self.headers.copy()

    def on_response_complete(self) -> None:
        cast(_Together, self.transport).flush()
        super().on_response_complete()


class _Listening(WebSocketsSansIOProtocol):
    _heard_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._heard_bytes += len(data)
        if self._heard_bytes > HEARD_BYTES:
            self.transport.abort()
        else:
            super().data_received(data)
            # uvicorn would wait for ever behind a head that is none of a websocket: not of a GET, or with a body.
            if self.conn.handshake_exc is not None and not self.transport.is_closing():
                self.transport.write(_REFUSED)
                self.transport.close()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:  # of which uvicorn would log a traceback, as often as a stranger likes
                self.transport.abort()
                return
        super().send_receive_event_to_app()


class Server(uvicorn.Server):
    """``serve(sockets=[...])`` until ``end()``."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()

    def end(self) -> None:
        """In its loop."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        """As uvicorn's, which wakes ten times a second to see whether it is to end; once is for the header ``Date``."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._ending.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server(application: Any) -> Server:
    return Server(
        uvicorn.Config(
            application,
            interface="asgi3",
            http=_Protocol,
            ws=_Listening,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEPT_ALIVE_S,
            ws_max_size=LINE_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
        )
    )


def listen(path: Path, mode: int) -> socket.socket:
    """A Unix socket, made anew; those who may ``connect`` are told by ``mode``."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(mode)
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening
