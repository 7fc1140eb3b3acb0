"""Traffic that lasts: servers, a person who browses, and attackers' tools. What ``hands`` does beside single tries.

Purpose: browsing that is measured while attacks run; a scan, guesses, a tunnel in DNS, an upload, each with
         real packets of the kind that such tools send.
Process: in a namespace of the scenario; no privilege used.
Fails:   an exception of the network is what the measure is about: it is counted, never raised.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import secrets
import select
import socket
import socketserver
import threading
import time
from collections.abc import Sequence
from typing import Any

Answer = dict[str, Any]
_PAGE = b"<!doctype html><title>page</title>"
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(_PAGE), _PAGE)
_MAX_HEAD_BYTES = 16384


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


class _Visit(socketserver.BaseRequestHandler):
    """One request, its body read and forgotten."""

    def handle(self) -> None:
        self.request.settimeout(10)
        try:
            data = b""
            while b"\r\n\r\n" not in data and len(data) < _MAX_HEAD_BYTES:
                piece = self.request.recv(65536)
                if not piece:
                    return
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            left = _content_length(head) - len(body)
            while left > 0 and (piece := self.request.recv(65536)):
                left -= len(piece)
            self.request.sendall(_REPLY)
        except OSError:
            pass


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return 0


_servers: list[_Server] = []


def serve(addresses: Sequence[str], port: int) -> Answer:
    """Answer HTTP at these IPv4 addresses until this process ends."""
    for address in addresses:
        server = _Server((address, port), _Visit)
        _servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    return {"ok": True}


# -- a person who browses ----------------------------------------------------------------------------------


class _Browsing(threading.Thread):
    """A page every ``every_s``: its name looked up, a new connection, the answer read."""

    def __init__(self, host: str, every_s: float) -> None:
        super().__init__(daemon=True)
        self._host, self._every_s = host, every_s
        self._ending = threading.Event()
        self.pages = self.failed = 0
        self.longest_s = 0.0
        self.longest_at = 0.0

    def run(self) -> None:
        last = time.monotonic()
        while not self._ending.is_set():
            began = time.monotonic()
            seen = self._page()
            now = time.monotonic()
            self.pages += seen
            self.failed += not seen
            if now - last > self.longest_s:
                self.longest_s, self.longest_at = now - last, time.time()
            if seen:
                last = now
            self._ending.wait(max(0.0, began + self._every_s - now))

    def _page(self) -> bool:
        try:
            with socket.create_connection((self._host, 80), 0.5) as visit:
                visit.sendall(f"GET / HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n".encode())
                return visit.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def end(self) -> None:
        self._ending.set()
        self.join(10)


_browsing: dict[str, _Browsing] = {}


def browse(host: str, every_s: float) -> Answer:
    """Begin to open a page of ``host`` every ``every_s``."""
    _browsing[host] = _Browsing(host, every_s)
    _browsing[host].start()
    return {"ok": True}


def browsed(host: str) -> Answer:
    """End it. ``longest_gap_ms``: between two pages that opened, or since the last one; ``gap_at_ms``: its end."""
    one = _browsing.pop(host)
    one.end()
    return {
        "ok": one.pages > 0,
        "pages": one.pages,
        "failed": one.failed,
        "longest_gap_ms": round(one.longest_s * 1000),
        "gap_at_ms": round(one.longest_at * 1000),
    }


def visit(host: str, address: str, port: int = 80, timeout_s: float = 3.0) -> Answer:
    """One page by HTTP of an address that is known from elsewhere, as from a hosts file."""
    try:
        with socket.create_connection((address, port), timeout_s) as line:
            line.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return {"ok": line.recv(4096).startswith(b"HTTP/1.1 200")}
    except OSError as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"[:300]}


# -- attackers' tools --------------------------------------------------------------------------------------


def scan(targets: Sequence[str], ports: Sequence[int], source: str) -> Answer:
    """A TCP connect scan: each port of each target, many at once. ``open``: [target, port] that completed."""
    poller, waiting, found = select.poll(), {}, []
    for target in targets:
        for port in ports:
            one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            one.setblocking(False)
            one.bind((source, 0))
            one.connect_ex((target, port))
            waiting[one.fileno()] = (one, target, port)
            poller.register(one, select.POLLOUT)
    deadline = time.monotonic() + 0.6
    while waiting and (left := deadline - time.monotonic()) > 0:
        for number, _ in poller.poll(left * 1000):
            one, target, port = waiting.pop(number)
            poller.unregister(number)
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append([target, port])
            one.close()
    for one, *_ in waiting.values():
        one.close()
    return {"ok": True, "tried": len(targets) * len(ports), "open": found}


def tunnel(zone: str, server: str, pieces: int, pause_s: float) -> Answer:
    """Carry data out in names, as iodine and dnscat2 do: each look-up a new name of random letters under ``zone``."""
    import dns.exception  # noqa: PLC0415 - only this tool needs it
    import dns.message  # noqa: PLC0415
    import dns.query  # noqa: PLC0415

    answered = 0
    for number in range(pieces):
        label = secrets.token_hex(28)
        query = dns.message.make_query(f"{number:04x}{label}.{zone}", "TXT")
        try:
            dns.query.udp(query, server, timeout=2)
            answered += 1
        except (dns.exception.DNSException, OSError):
            pass
        time.sleep(pause_s)
    return {"ok": answered > 0, "answered": answered}


def upload(address: str, port: int, size_bytes: int) -> Answer:
    """Send a large body in one connection."""
    began = time.monotonic()
    sent = _ask(address, port, b"\0" * size_bytes)
    return {"ok": sent, "ms": round((time.monotonic() - began) * 1000)}


def beacon(address: str, port: int, every_s: float, beats: int) -> Answer:
    """Begin to call home at a fixed rhythm, a new connection each time, as an implant does; return at once."""

    def call() -> None:
        began = time.monotonic()
        for number in range(beats):
            time.sleep(max(0.0, began + number * every_s - time.monotonic()))
            _ask(address, port, b"")

    threading.Thread(target=call, daemon=True).start()
    return {"ok": True}


def _ask(address: str, port: int, body: bytes) -> bool:
    head = f"POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    try:
        with socket.create_connection((address, port), 5) as line:
            line.sendall(head + body)
            return line.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


DEEDS = (serve, browse, browsed, visit, scan, tunnel, upload, beacon)
