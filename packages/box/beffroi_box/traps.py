"""Traps and detectors of what comes in: honeyports, port scans, password guessing.

Purpose: a touch of a honeyport is strong evidence, because the connection was completed: an address cannot be forged.
         The kernel redirects honeyports to the listener here; from the LAN they are ports of the box itself, so a
         touch from there tells of a PC that looks around.
Process: threads of the agent. The listener accepts and closes: it reads not one byte of a stranger.
Input:   addresses and ports only. A port scan's source may be forged: it is refused here for ten minutes, for flows
         that it begins, never where the floor protects it, and its sighting says ``completed_tcp`` false.
Fails:   without it nothing is detected; the rules do not depend on it.
Source:  linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h (SO_ORIGINAL_DST).
"""

from __future__ import annotations

import ipaddress
import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from beffroi_box.tallies import Tally

WINDOW_S = 60
SCAN_PORTS = 15
"""Distinct refused ports of one source within WINDOW_S: no honest program tries that many."""
GUESSES = 20
"""Completed connections of one source to a port that asks for a password, within WINDOW_S."""
LOGIN_PORTS = frozenset({21, 22, 23, 25, 110, 143, 465, 587, 993, 995, 1433, 3306, 3389, 5432, 5900, 5901})
MOST_SOURCES = 4096
ORIGINAL_DESTINATION = 80


@dataclass(frozen=True)
class Touch:
    """A completed TCP connection to a honeyport. ``from_lan``: ``remote`` is a machine of the LAN."""

    remote: str
    port: int
    from_lan: bool


class Honeyports:
    """Listens on ``port`` for touches from the WAN, on the next one for those from the LAN."""

    def __init__(self, port: int) -> None:
        """Errors: OSError."""
        self._selector = selectors.DefaultSelector()
        for from_lan in (False, True):
            for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104
                listening = socket.socket(family, socket.SOCK_STREAM)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listening.bind((anywhere, port + from_lan))
                listening.listen(64)
                listening.setblocking(False)
                self._selector.register(listening, selectors.EVENT_READ, from_lan)

    def touches(self, stopping: threading.Event) -> Iterator[Touch]:
        while not stopping.is_set():
            for key, _ in self._selector.select(1.0):
                assert isinstance(key.fileobj, socket.socket)
                try:
                    peer, address = key.fileobj.accept()
                except OSError:
                    continue  # it was gone again
                with peer:
                    port = _asked_port(peer)
                yield Touch(str(ipaddress.ip_address(address[0].partition("%")[0])), port, bool(key.data))

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()


def _asked_port(peer: socket.socket) -> int:
    """The port before the kernel redirected it; the own one where nothing was redirected."""
    level, size = (socket.IPPROTO_IPV6, 28) if peer.family == socket.AF_INET6 else (socket.IPPROTO_IP, 16)
    try:
        raw = peer.getsockopt(level, ORIGINAL_DESTINATION, size)
        return int(struct.unpack_from(">H", raw, 2)[0])
    except OSError:
        return int(peer.getsockname()[1])


class Strangers:
    """Who scans and who guesses, from what the kernel counted. Pure: the caller brings tallies and time."""

    def __init__(self) -> None:
        self._ports: dict[str, dict[tuple[str, int], float]] = {}
        self._guesses: dict[tuple[str, int], list[tuple[float, int]]] = {}

    def scanned(self, refused: Iterator[Tally], *, monotonic: float) -> dict[str, int]:
        """Return the sources that asked for SCAN_PORTS or more refused ports within a minute: source -> ports."""
        touched = set()
        for tally in refused:
            if tally.address not in self._ports and len(self._ports) >= MOST_SOURCES:
                continue  # a flood of forged sources: those known already are judged
            self._ports.setdefault(tally.address, {})[tally.protocol, tally.port] = monotonic
            touched.add(tally.address)
        for source in list(self._ports):
            recent = {p: at for p, at in self._ports[source].items() if monotonic - at < WINDOW_S}
            if recent:
                self._ports[source] = recent
            else:
                del self._ports[source]
        counts = {source: len(self._ports.get(source, ())) for source in touched}
        return {source: count for source, count in counts.items() if count >= SCAN_PORTS}

    def guessed(self, guests: Iterator[Tally], *, monotonic: float) -> dict[tuple[str, int], int]:
        """Return (source, port) -> completed connections within a minute, where they are GUESSES or more."""
        found = {}
        for tally in guests:
            key = tally.address, tally.port
            if tally.protocol != "tcp" or tally.port not in LOGIN_PORTS:
                continue
            if key not in self._guesses and len(self._guesses) >= MOST_SOURCES:
                continue
            recent = [(at, n) for at, n in self._guesses.get(key, ()) if monotonic - at < WINDOW_S]
            self._guesses[key] = [*recent, (monotonic, tally.packets)]
            if (count := sum(n for _, n in self._guesses[key])) >= GUESSES:
                found[key] = count
        self._guesses = {k: v for k, v in self._guesses.items() if monotonic - v[-1][0] < WINDOW_S}
        return found
