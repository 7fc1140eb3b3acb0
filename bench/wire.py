"""Plain sockets with TLS for many simulated boxes in one thread: jobs that an epoll loop goes on with.

Purpose: asyncio's streams and buffers cost several times the memory and the time of the boxes' own work.
Input:   answers of the centre; anything else than 200 is a Refusal.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import select
import socket
import ssl
import time
from collections.abc import Generator

from beffroi_box import AGENT_VERSION
from beffroi_protocol.requests import NONCE_HEADER

READ, WRITE, PARKED = select.EPOLLIN, select.EPOLLOUT, 0
HANDSHAKES_AT_ONCE = 40
_READ_BYTES = 16384

type Waiting[R] = Generator[tuple[socket.socket | None, int, float], None, R]
"""A job yields what it waits for: (socket, events, 0), or (None, PARKED, seconds; 0: until it is stepped)."""
type Job = Waiting[None]


class Refusal(OSError):
    """The centre answered something else than 200, or ended the response."""


class Loop:
    """Goes on with jobs when their socket or their time is there."""

    def __init__(self) -> None:
        self.handshakes = 0
        self._epoll = select.epoll()
        self._waiting: dict[int, tuple[Job, int]] = {}
        self._timers: list[tuple[float, int, Job]] = []
        self._number = 0

    def run(self) -> None:
        while True:
            limit_s = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else 1.0
            for number, _ in self._epoll.poll(min(limit_s, 1.0), 1024):
                if (waiting := self._waiting.get(number)) is not None:
                    self.step(waiting[0])
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                self.step(heapq.heappop(self._timers)[2])

    def step(self, job: Job) -> None:
        sock, events, pause_s = next(job)
        if sock is not None:
            number = sock.fileno()
            known = self._waiting.get(number)
            if known is None:
                self._epoll.register(number, events)
            elif known[1] != events:
                self._epoll.modify(number, events)
            if known is None or known[1] != events:
                self._waiting[number] = (job, events)
        elif pause_s:
            self._number += 1
            heapq.heappush(self._timers, (time.monotonic() + pause_s, self._number, job))

    def release(self, sock: socket.socket) -> None:
        if self._waiting.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock)

    def close(self, sock: socket.socket) -> None:
        self.release(sock)
        sock.close()

    def connect(
        self, context: ssl.SSLContext, source: str, target: tuple[str, int], name: str
    ) -> Waiting[ssl.SSLSocket]:
        """Return a connection to ``target``, its certificate checked for ``name``. Errors: OSError."""
        while self.handshakes >= HANDSHAKES_AT_ONCE:
            yield None, PARKED, 0.01 + random.random() * 0.02
        self.handshakes += 1
        raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        current: socket.socket = raw
        try:
            raw.setblocking(False)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.bind((source, 0))
            with contextlib.suppress(BlockingIOError):
                raw.connect(target)
            yield raw, WRITE, 0.0
            if code := raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(code, "not connected")
            self.release(raw)
            tls = context.wrap_socket(raw, server_hostname=name, do_handshake_on_connect=False)
            current = tls
            while True:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    yield tls, READ, 0.0
                except ssl.SSLWantWriteError:
                    yield tls, WRITE, 0.0
                else:
                    return tls
        except BaseException:
            self.close(current)
            raise
        finally:
            self.handshakes -= 1


def exchange(tls: ssl.SSLSocket, sent: bytes, *, held: bool = False) -> Waiting[tuple[str, bytes]]:
    """Return (nonce, body), or of a ``held`` response what came with its head. Errors: Refusal, OSError."""
    yield from _send(tls, sent)
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += yield from receive(tls)
    head, rest = data[:end], data[end + 4 :]
    status = head.split(b" ", 2)[1]
    if not held:
        length = int(_field(head, b"content-length") or b"0")
        while len(rest) < length:
            rest += yield from receive(tls)
    if status != b"200":
        raise Refusal(f"answer {status.decode()} {rest[:60]!r}")
    return _field(head, NONCE_HEADER.encode()).decode(), rest


def say(tls: ssl.SSLSocket, line: bytes) -> Job:
    """Send one line on a request whose body is still open. Errors: OSError."""
    yield from _send(tls, b"%x\r\n%s\n\r\n" % (len(line) + 1, line))


def _send(tls: ssl.SSLSocket, sent: bytes) -> Job:
    while True:
        try:
            tls.send(sent)  # less than one record
            return
        except ssl.SSLWantReadError:
            yield tls, READ, 0.0
        except ssl.SSLWantWriteError:
            yield tls, WRITE, 0.0


def receive(tls: ssl.SSLSocket) -> Waiting[bytes]:
    """Errors: Refusal (ended), OSError."""
    while True:
        try:
            data = tls.recv(_READ_BYTES)
        except ssl.SSLWantReadError:
            yield tls, READ, 0.0
            continue
        if not data:
            raise Refusal("ended")
        return data


def _field(head: bytes, name: bytes) -> bytes:
    at = head.lower().find(b"\r\n" + name.lower() + b":")
    return b"" if at < 0 else head[at + len(name) + 3 :].partition(b"\r\n")[0].strip()


def request(method: str, path: str, host: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"User-Agent: beffroi-box/{AGENT_VERSION}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Chunks:
    """HTTP chunks to lines."""

    def __init__(self) -> None:
        self._raw, self._body = b"", b""

    def lines(self, data: bytes) -> list[bytes]:
        """Errors: Refusal (the response ended)."""
        raw = self._raw + data
        body = self._body
        while (end := raw.find(b"\r\n")) >= 0:
            size = int(raw[:end], 16)
            if size == 0:
                raise Refusal("the feed ended")
            if len(raw) < end + size + 4:
                break
            body += raw[end + 2 : end + 2 + size]
            raw = raw[end + size + 4 :]
        *lines, self._body = body.split(b"\n")
        self._raw = raw
        return [line for line in lines if line]
