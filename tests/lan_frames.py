"""Frames that a machine of the LAN makes by hand: packets, and claims to be another."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import time

from tests.town_hall_network import run, socket_in

IPV4 = 0x0800
ports = itertools.count(30_000)


def card(space: str, name: str) -> tuple[socket.socket, bytes]:
    """A packet socket on a card, and the card's own address."""
    made = socket_in(space, socket.AF_PACKET, socket.SOCK_RAW)
    made.bind((name, 0))
    return made, made.getsockname()[4]


def arp_claim(mac: bytes, address: str, to: str, *, hardware: int = 1) -> bytes:
    """An unasked answer to everybody: this address is mine."""
    body = struct.pack(">HHBBH", hardware, 0x0800, 6, 4, 2) + mac + socket.inet_aton(address)
    return b"\xff" * 6 + mac + struct.pack(">H", 0x0806) + body + b"\xff" * 6 + socket.inet_aton(to)


def neighbour_claim(mac: bytes, address: str) -> bytes:
    """An unasked neighbour advertisement to all nodes, which overrides."""
    source = socket.inet_pton(socket.AF_INET6, address)
    return _discovery(
        mac, address, "ff02::1", struct.pack(">BBHI", 136, 0, 0, 0xA0000000) + source + b"\2\1" + mac
    )


def neighbour_question(mac: bytes, address: str, wanted: str) -> bytes:
    """Who has ``wanted``? Sent to all nodes; who reads it knows the asker from then on."""
    target = socket.inet_pton(socket.AF_INET6, wanted)
    return _discovery(mac, address, "ff02::1", struct.pack(">BBHI", 135, 0, 0, 0) + target + b"\1\1" + mac)


def _discovery(mac: bytes, address: str, to_address: str, body: bytes) -> bytes:
    source, to = (socket.inet_pton(socket.AF_INET6, one) for one in (address, to_address))
    words = struct.unpack(
        f">{(40 + len(body)) // 2}H", source + to + struct.pack(">II", len(body), 58) + body
    )
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + struct.pack(">H", ~total & 0xFFFF) + body[4:]
    head = struct.pack(">IHBB", 6 << 28, len(body), 58, 255) + source + to
    return b"\x33\x33\0\0\0\1" + mac + struct.pack(">H", 0x86DD) + head + body


def known(space: str, link: str, address: str) -> str:
    """Which card the kernel takes for that of a neighbour, "" for none."""
    shown = json.loads(run("ip", "-n", space, "-j", "neigh", "show", address, "dev", link))
    return next((one["lladdr"] for one in shown if "lladdr" in one), "")


def plain(packet: bytes) -> bytes:
    return struct.pack(">H", IPV4) + packet


def packet_to(address: str, source: str, content: bytes, port: int, from_port: int = 0) -> bytes:
    datagram = struct.pack(">4H", from_port or next(ports), port, 8 + len(content), 0) + content
    return fragment(source, address, datagram)


def fragment(source: str, address: str, content: bytes, at: int = 0, *, more: bool = False) -> bytes:
    """One packet of UDP that is whole, or the part of it that begins at byte ``at``."""
    ends = socket.inet_aton(source) + socket.inet_aton(address)
    place = more << 13 | at >> 3
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(content), 1, place, 64, socket.IPPROTO_UDP, 0) + ends
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack(">H", ~total & 0xFFFF) + head[12:] + content


def lease_wanted(mac: bytes, address: str, own: str = "") -> bytes:
    """A packet: the machine had this address, and wants it again; that of ``own`` is sent to the box alone."""
    renews = own == address
    head = struct.pack(">4BI2H", 1, 1, 6, 0, 1, 0, 0) + (socket.inet_aton(own) if renews else bytes(4))
    wanted = b"" if renews else b"\x32\4" + socket.inet_aton(address)
    content = head + bytes(12) + mac + bytes(202) + b"\x63\x82\x53\x63\x35\1\3" + wanted + b"\xff"
    to = "192.168.213.1" if own else "255.255.255.255"
    return plain(packet_to(to, own or "0.0.0.0", content, 67, 68))


def is_leased(space: str, name: str, mac: bytes, address: str, *, within_s: float = 2.0) -> bool:
    """Whether the router gives a machine the address that it says it had."""
    with socket_in(space, socket.AF_PACKET, socket.SOCK_RAW) as line:
        line.bind((name, IPV4))
        line.send(b"\xff" * 6 + mac + lease_wanted(mac, address))
        end = time.monotonic() + within_s
        while (left := end - time.monotonic()) > 0:
            line.settimeout(left)
            try:
                frame = line.recv(2048)
            except TimeoutError:
                break
            if frame[70:76] == mac and b"\x63\x82\x53\x63\x35\1\5" in frame:  # DHCPACK
                return frame[58:62] == socket.inet_aton(address)
    return False
