"""The packet generator of the benchmarks, and its proof: when did the last packet of an address come through?

Purpose: `python -m bench.flow` in a namespace answers JSON requests, as the laboratory's hands do. The attacked side
         asks two addresses for packets, the attacker's and an innocent one's, and both send until they are stopped.
         The last packet of the attacker counts only when the innocent one's go on coming: a dead link proves nothing.
Process: one on each side; no privilege used. Times are the kernel's at the receipt of the packet.
Fails:   a flow that never began, or never ended, is an answer with ``ok`` false.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Any

from beffroi_lab.hands import serve

PORT = 4433
SEND_EVERY_S = 0.001
QUIET_S = 0.4
"""So long without a packet of the attacker, while others arrive, and it is over."""
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
_TIMESPEC = struct.Struct("=qq")
_held: dict[str, socket.socket] = {}
_stop = threading.Event()

Answer = dict[str, Any]


def send(sources: list[str], limit_s: float) -> Answer:
    """From each of ``sources``, send a packet a millisecond to whoever said hello to it, until ``stop``."""
    sockets = []
    for address in sources:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, PORT))
        sock.setblocking(False)
        sockets.append(sock)
    _stop.clear()
    asked: dict[tuple[socket.socket, tuple[str, int]], None] = {}
    deadline = time.monotonic() + limit_s
    sent = 0
    while not _stop.is_set() and time.monotonic() < deadline:
        for sock in sockets:
            with contextlib.suppress(OSError):
                asked[sock, sock.recvfrom(64)[1]] = None
        for sock, peer in asked:
            with contextlib.suppress(OSError):
                sock.sendto(b"packet", peer)
                sent += 1
        time.sleep(SEND_EVERY_S)
    for sock in sockets:
        sock.close()
    return {"ok": True, "sent": sent}


def stop() -> Answer:
    _stop.set()
    return {"ok": True}


def open_flow(attacker: str, innocent: str, limit_s: float) -> Answer:
    """Ask both for packets; ok once packets of both come."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.settimeout(0.05)
    seen: set[str] = set()
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and seen != {attacker, innocent}:
        for address in (attacker, innocent):
            if address not in seen:
                with contextlib.suppress(OSError):
                    sock.sendto(b"hello", (address, PORT))
        for _ in range(20):
            with contextlib.suppress(OSError):
                seen.add(sock.recvfrom(64)[1][0])
    _held[attacker] = sock
    return {"ok": seen == {attacker, innocent}, "seen": sorted(seen)}


def last_packet(attacker: str, innocent: str, limit_s: float) -> Answer:
    """Wait for the end of the attacker's packets; ``at_ms``: epoch time of the last one, fractions of a ms kept."""
    sock = _held.pop(attacker)
    last_s = {attacker: time.time(), innocent: 0.0}
    after = 0
    deadline = time.monotonic() + limit_s
    try:
        while time.monotonic() < deadline:
            try:
                _, control, _, (address, _) = sock.recvmsg(64, 128)
            except TimeoutError:
                continue
            seconds, nanoseconds = _TIMESPEC.unpack(control[0][2][: _TIMESPEC.size])
            last_s[address] = seconds + nanoseconds / 1e9
            after = 0 if address == attacker else after + 1
            if last_s[innocent] - last_s[attacker] > QUIET_S:
                return {"ok": True, "at_ms": last_s[attacker] * 1000, "innocent_after": after}
    finally:
        sock.close()
    return {"ok": False, "error": f"packets still pass after {limit_s} s, or none of the innocent address"}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve({deed.__name__: deed for deed in (send, stop, open_flow, last_packet)})
