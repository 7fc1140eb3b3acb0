"""Looks at what is plugged into a port, without an address of its own and without disturbing anybody.

Purpose: is a router behind this port (an offer of DHCP, a router advertisement), which addresses do machines there
         have, does the other port lead to the same network. Also one whole DHCP exchange, for the proof that a
         machine of the LAN gets through a bridge.
Process: root, CAP_NET_RAW. A packet socket on the port: it also works on a port of a bridge. A DISCOVER that is not
         followed by a REQUEST takes no address.
Input:   frames of strangers: hostile; every length is checked, anything odd is skipped.
Source:  RFC 2131, 2132 (DHCP), RFC 4861 (router discovery), RFC 826 (ARP), RFC 9542 (locally administered addresses).
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import select
import socket
import struct
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ETH_P_ALL = 3
_SOL_PACKET, _ADD_MEMBERSHIP, _PROMISCUOUS = 263, 1, 1
_BROADCAST = b"\xff" * 6
_COOKIE = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
_MASK, _ROUTER, _ASKED, _KIND, _SERVER, _WANTED, _END = 1, 3, 50, 53, 54, 55, 255
_ALL_ROUTERS = ipaddress.IPv6Address("ff02::2").packed
_ROUTER_ADVERT = 134


@dataclass(frozen=True)
class Offer:
    """What a DHCP server would give: ``network`` is the address with its prefix length, ``router`` "" for none."""

    network: str
    router: str
    server: str

    @property
    def address(self) -> str:
        return self.network.partition("/")[0]


@dataclass
class Seen:
    """What was heard on one port. ``hosts``: IPv4 addresses of machines there. ``loop``: it leads to another port.
    ``gateway``: the router that an offer names answered here, whichever port the offer came by."""

    carrier: bool = False
    offer: Offer | None = None
    advert: bool = False
    hosts: set[str] = field(default_factory=set)
    loop: bool = False
    gateway: bool = False

    @property
    def offers_a_way(self) -> bool:
        """Of IPv4 or IPv6; a server of the town hall's own may name a router that is elsewhere."""
        return self.advert or (self.offer is not None and bool(self.offer.router))


class Port:
    """A packet socket on one interface, asking as a machine of its own, with a random address unless one is given."""

    def __init__(self, name: str, mac: bytes = b"") -> None:
        """``mac``: six bytes. Errors: OSError (no such interface, or down)."""
        self.name = name
        self.mac = mac or bytes([0x02, *os.urandom(5)])
        self.xid = os.urandom(4)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        try:
            self._socket.bind((name, ETH_P_ALL))
            # Answers to one's own random address, which the card would keep to itself.
            member = struct.pack("iHH8x", socket.if_nametoindex(name), _PROMISCUOUS, 0)
            self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, member)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def ask(self, kind: int, offer: Offer | None = None) -> None:
        """Send a DISCOVER, or a REQUEST of ``offer``; both ask for an answer to all. Errors: OSError."""
        options = [(_KIND, bytes([kind])), (_WANTED, bytes([_MASK, _ROUTER]))]
        if offer is not None:
            options.append((_ASKED, socket.inet_aton(offer.address)))
            options.append((_SERVER, socket.inet_aton(offer.server)))
        tail = b"".join(bytes([code, len(value)]) + value for code, value in options) + bytes([_END])
        head = b"\1\1\6\0" + self.xid + struct.pack(">HH", 0, 0x8000) + bytes(16) + self.mac.ljust(16, b"\0")
        self._socket.send(
            _BROADCAST + self.mac + _ip_udp((head + bytes(192) + _COOKIE + tail).ljust(300, b"\0"))
        )

    def solicit(self) -> None:
        """Ask for routers of IPv6. Errors: OSError."""
        eui = bytes([self.mac[0] ^ 2]) + self.mac[1:3] + b"\xff\xfe" + self.mac[3:]
        source = b"\xfe\x80" + bytes(6) + eui
        option = b"\1\1" + self.mac
        body = struct.pack(">BBHI", 133, 0, 0, 0) + option
        pseudo = source + _ALL_ROUTERS + struct.pack(">II", len(body), 58)
        body = body[:2] + struct.pack(">H", _checksum(pseudo + body)) + body[4:]
        ip = struct.pack(">IHBB", 6 << 28, len(body), 58, 255) + source + _ALL_ROUTERS
        self._socket.send(b"\x33\x33\0\0\0\2" + self.mac + b"\x86\xdd" + ip + body)

    def seek(self, address: str) -> None:
        """Ask by ARP who has it, as one who has no address. Errors: OSError."""
        body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + self.mac + bytes(10) + socket.inet_aton(address)
        self._socket.send(_BROADCAST + self.mac + b"\x08\x06" + body)

    def heard(self) -> bytes:
        """A frame that came by this cable; empty for one that a bridge sends out here."""
        frame, source = self._socket.recvfrom(2048)
        return b"" if source[2] == socket.PACKET_OUTGOING else frame


def look(names: Iterable[str], seconds: float, known: Collection[str] = ()) -> dict[str, Seen]:
    """Ask on each port and listen. A port that is absent or without a cable is seen without carrier.

    ``known``: IPv4 addresses of routers that the box has by hand, looked for beside those that are offered."""
    ports: list[Port] = []
    seen: dict[str, Seen] = {}
    for name in names:
        seen[name] = Seen(carrier=False)
        try:
            port = Port(name)
        except OSError:
            continue
        ports.append(port)
        seen[name].carrier = True
    try:
        end = time.monotonic() + seconds
        ask_at = 0.0
        while (now := time.monotonic()) < end:
            if now >= ask_at:
                ask_at = now + seconds / 3  # a frame may be lost, and a switch may still be learning
                routers = _routers(seen).union(known)
                for port in ports:
                    _ask(port, seen[port.name], routers)
            for port in select.select(ports, [], [], 0.1)[0]:
                _note(port, ports, seen[port.name])
        for one in seen.values():
            one.gateway = not one.hosts.isdisjoint(_routers(seen).union(known))
    finally:
        for port in ports:
            port.close()
    return seen


def lease(name: str, seconds: float) -> Offer | None:
    """Take an address by DHCP, for a proof; None when nobody gives one in time. It is not given back: it ends, and the
    next proof asks as the same machine, so that a box never holds more than one."""
    port = Port(name, _prover())
    try:
        end = time.monotonic() + seconds
        asked: Offer | None = None
        ask_at = 0.0
        while (now := time.monotonic()) < end:
            if now >= ask_at:
                ask_at = now + 1.0
                port.ask(REQUEST if asked else DISCOVER, asked)
            if not select.select([port], [], [], 0.1)[0]:
                continue
            kind, offer = parse_dhcp(port.heard(), port.xid)
            if kind == OFFER and asked is None and offer is not None:
                asked, ask_at = offer, 0.0
            elif kind == ACK and offer is not None:
                return offer
    finally:
        port.close()
    return None


def _prover(identity: Path = Path("/etc/machine-id")) -> bytes:
    """A locally administered address of this machine's own; none where it has no identity."""
    try:
        return b"\2" + hashlib.sha256(b"beffroi-box proof " + identity.read_bytes()).digest()[:5]
    except OSError:
        return b""


def _routers(seen: Mapping[str, Seen]) -> set[str]:
    return {one.offer.router for one in seen.values() if one.offer and one.offer.router}


def _ask(port: Port, seen: Seen, routers: Iterable[str]) -> None:
    try:
        port.ask(DISCOVER)
        port.solicit()
        for address in routers:
            port.seek(address)
    except OSError:
        seen.carrier = False


def _note(port: Port, ports: list[Port], seen: Seen) -> None:
    try:
        frame = port.heard()
    except OSError:
        seen.carrier = False
        return
    source = frame[6:12]
    if any(source == other.mac for other in ports):
        if source != port.mac:
            seen.loop = True
        return
    kind, offer = parse_dhcp(frame, port.xid)
    if kind == OFFER and offer is not None:
        seen.offer = seen.offer or offer
    elif is_advert(frame):
        seen.advert = True
    elif address := arp_sender(frame):
        seen.hosts.add(address)


def parse_dhcp(frame: bytes, xid: bytes) -> tuple[int, Offer | None]:
    """Return the kind of an answer to ``xid`` and what it offers; (0, None) for any other frame."""
    if len(frame) < 14 + 20 + 8 + 240 or frame[12:14] != b"\x08\0" or frame[23] != socket.IPPROTO_UDP:
        return 0, None
    start = 14 + (frame[14] & 15) * 4
    body = frame[start + 8 :]
    if frame[start : start + 4] != struct.pack(">HH", 67, 68) or len(body) < 240:
        return 0, None
    if body[0] != 2 or body[4:8] != xid or body[236:240] != _COOKIE:
        return 0, None
    options = _options(body[240:])
    kind = options.get(_KIND, b"\0")[0]
    try:
        mask = str(ipaddress.IPv4Address(options.get(_MASK, b"\xff\xff\xff\0")))
        network = str(ipaddress.IPv4Interface(f"{ipaddress.IPv4Address(body[16:20])}/{mask}"))
        router = str(ipaddress.IPv4Address(options[_ROUTER][:4])) if _ROUTER in options else ""
        server = str(ipaddress.IPv4Address(options.get(_SERVER, frame[26:30])))
    except ValueError:
        return 0, None
    return kind, Offer(network, router, server)


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 1 < len(data) and data[at] != _END:
        if data[at] == 0:
            at += 1
            continue
        value = data[at + 2 : at + 2 + data[at + 1]]
        if value and len(value) == data[at + 1]:
            found[data[at]] = value
        at += 2 + data[at + 1]
    return found


def is_advert(frame: bytes) -> bool:
    """A router that offers itself as default: its lifetime is not 0."""
    if len(frame) < 70 or frame[12:14] != b"\x86\xdd" or frame[20] != 58 or frame[54] != _ROUTER_ADVERT:
        return False
    return bool(struct.unpack_from(">H", frame, 60)[0])


def arp_sender(frame: bytes) -> str:
    if len(frame) < 42 or frame[12:14] != b"\x08\x06" or frame[14:20] != b"\0\1\x08\0\6\4":
        return ""
    sender = ipaddress.IPv4Address(frame[28:32])
    return "" if sender.is_unspecified or sender.is_link_local else str(sender)


def _ip_udp(payload: bytes) -> bytes:
    """From 0.0.0.0 port 68 to all, port 67."""
    udp = struct.pack(">HHHH", 68, 67, 8 + len(payload), 0) + payload
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    return b"\x08\0" + head[:10] + struct.pack(">H", _checksum(head)) + head[12:] + udp


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
