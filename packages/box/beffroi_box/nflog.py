"""Reader of the kernel's log of blocked packets (NFLOG), with the standard library only.

Process: a thread of the agent, CAP_NET_ADMIN.
Input:   packet headers from the internet: hostile; every length is checked, anything odd is skipped.
Fails:   without it nothing is counted, everything is blocked all the same. The rules limit the rate.
Source:  linux/netfilter/nfnetlink_log.h; RFC 791, RFC 8200.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from beffroi_box.netlink import NETLINK_NETFILTER, SO_RCVBUFFORCE, SOL_NETLINK, attribute

NETLINK_NO_ENOBUFS = 5
CONFIG, PACKET = 4 << 8 | 1, 4 << 8
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
_ETHERTYPE_IP, _ETHERTYPE_IPV6 = 0x0800, 0x86DD


@dataclass(frozen=True)
class Blocked:
    """One refused packet. ``remote`` is the side on the internet, ``port`` the port that was asked for.
    ``direction``: in, out; also: one more machine calls a remote that is counted already."""

    direction: str
    remote: str
    protocol: str
    port: int
    local: str = ""


class PacketLog:
    def __init__(self, group: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 2 << 20)
        # Under a flood some records are lost; an exception for each would help nobody.
        self._socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
        self._group = group
        self._configure(attribute(1, struct.pack("=B", 1)))  # bind
        self._configure(attribute(2, struct.pack(">IBx", 96, 2)))  # copy 96 bytes of the packet
        self._configure(attribute(4, struct.pack(">I", 10)))  # flush after 0.1 s
        self._configure(attribute(5, struct.pack(">I", 50)))  # or after 50 packets

    def _configure(self, attributes: bytes) -> None:
        body = struct.pack(">BBH", 0, 0, self._group) + attributes
        self._socket.send(struct.pack("=IHHII", 16 + len(body), CONFIG, 5, 1, 0) + body)
        answer = self._socket.recv(4096)
        if (code := -struct.unpack_from("=i", answer, 16)[0]) != 0:
            raise OSError(code, "nflog group not available")

    def __iter__(self) -> Iterator[Blocked]:
        while True:
            data = self._socket.recv(1 << 18)
            yield from parse(data)

    def close(self) -> None:
        self._socket.close()


def parse(data: bytes) -> Iterator[Blocked]:
    """Yield what one datagram of the kernel reports."""
    offset = 0
    while offset + 20 <= len(data):
        length, kind = struct.unpack_from("=IH", data, offset)
        if length < 16:
            return
        if kind == PACKET and (blocked := _packet(data[offset + 20 : offset + length])) is not None:
            yield blocked
        offset += (length + 3) & ~3


def _packet(attributes: bytes) -> Blocked | None:
    prefix, payload, ethertype = "", b"", 0
    offset = 0
    while offset + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, offset)
        if length < 4:
            break
        value = attributes[offset + 4 : offset + length]
        match kind & 0x3FFF:
            case 1 if len(value) >= 2:
                ethertype = struct.unpack_from(">H", value)[0]
            case 9:
                payload = value
            case 10:
                prefix = value.rstrip(b"\0").decode("ascii", "replace")
        offset += (length + 3) & ~3
    direction = prefix.partition(":")[2]
    if direction not in ("in", "out", "also"):
        return None
    if ethertype == _ETHERTYPE_IP and len(payload) >= 20:
        start, protocol = (payload[0] & 15) * 4, payload[9]
        ends = payload[12:16], payload[16:20]
    elif ethertype == _ETHERTYPE_IPV6 and len(payload) >= 40:
        start, protocol = 40, payload[6]
        ends = payload[8:24], payload[24:40]
    else:
        return None
    port = 0
    if protocol in (6, 17) and len(payload) >= start + 4:
        port = struct.unpack_from(">H", payload, start + 2)[0]
    remote, local = ends if direction == "in" else ends[::-1]
    return Blocked(
        direction,
        str(ipaddress.ip_address(remote)),
        _PROTOCOLS.get(protocol, str(protocol)),
        port,
        str(ipaddress.ip_address(local)),
    )
