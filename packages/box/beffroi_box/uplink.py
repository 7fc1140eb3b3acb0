"""Machines that stand on the internet's side of a box that is a router: the operator's own Wi-Fi, or its other sockets.

Purpose: what they do never passes the box; that they are there is heard, because a question of ARP goes to everybody.
Process: the agent's thread ``watch``, CAP_NET_RAW; a packet socket for ARP on the internet's port, read when it wakes.
Input:   frames of strangers: hostile; ``look.arp_sender`` checks every length, and MOST machines are remembered.
Limits:  only where the box's own address there is private: else the neighbours are other customers. IPv4 only; who
         asks nobody, or an operator's Wi-Fi that keeps broadcasts to itself, is not seen. Whatever stands there is
         counted, a television too.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket

from beffroi_box.look import arp_sender
from beffroi_box.places import Link, Route, ip_shows

ETH_P_ARP = 0x0806
STABLE_S = 180
"""So long after it was first heard a machine is still there: who only passes by, or starts, is not counted."""
FORGOTTEN_S = 3600
MOST = 512
INSIDE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))


class Uplink:
    """``name``: the interface of the internet's side. For one thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._socket: socket.socket | None = None
        self._heard: dict[str, tuple[int, int]] = {}  # MAC -> first, last

    def machines(self, *, now: int) -> set[str]:
        """Read what was heard since the last call; return the MACs of machines that stay. ``now``: any clock's seconds.

        Errors: OSError (no such interface, or down; it is opened again by the next call)."""
        networks, gateways = _place(self._name)
        if not networks:
            self._heard.clear()
            return set()
        for mac, address in self._read():
            where = ipaddress.ip_address(address)
            if address in gateways or not any(where in network for network in networks):
                continue
            if mac in self._heard or len(self._heard) < MOST:
                self._heard[mac] = self._heard.get(mac, (now, now))[0], now
        self._heard = {m: (a, b) for m, (a, b) in self._heard.items() if now - b < FORGOTTEN_S}
        return {mac for mac, (first, last) in self._heard.items() if last - first >= STABLE_S}

    def _read(self) -> list[tuple[str, str]]:
        if self._socket is None:
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
            try:
                opened.bind((self._name, ETH_P_ARP))
            except OSError:
                opened.close()
                raise
            opened.setblocking(False)
            self._socket = opened
        found: list[tuple[str, str]] = []
        try:
            while len(found) < 4 * MOST:
                frame, source = self._socket.recvfrom(256)
                if source[2] != socket.PACKET_OUTGOING and (address := arp_sender(frame)):
                    found.append((frame[22:28].hex(":"), address))
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            raise
        return found

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def _place(name: str) -> tuple[list[ipaddress.IPv4Network], set[str]]:
    """The private networks there, and the addresses that are nobody's machine: the box's own and its gateways'."""
    networks: list[ipaddress.IPv4Network] = []
    known: set[str] = set()
    for link in ip_shows("-4", "addr", "show", "dev", name, kind=list[Link]):
        for one in link.addr_info:
            address = ipaddress.IPv4Address(one.local)
            known.add(one.local)
            if any(address in inside for inside in INSIDE):
                networks.append(ipaddress.IPv4Network((one.local, one.prefixlen), strict=False))
    routes = ip_shows("-4", "route", "show", "dev", name, kind=list[Route])
    known |= {route.gateway for route in routes} - {""}
    return networks, known
