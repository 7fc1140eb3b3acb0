"""What the kernel counts for the box: new flows by remote, bytes sent, refused ports. Declared, read, emptied here.

Purpose: the kernel adds up what packets say; the agent fetches sums, and never sees a packet of an allowed flow.
Process: the agent, CAP_NET_ADMIN. One read takes a sum and sets it to zero in the kernel, so nothing counts twice.
Input:   addresses and ports of the internet: hostile, yet only numbers. Each set is bounded; a full one counts no more.
Fails:   without it nothing is counted; no packet depends on it.
Source:  linux/netfilter/nf_tables.h (NFT_MSG_GETSETELEM_RESET, kernel 6.5 or later).
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from beffroi_box.netlink import (
    FAMILY_BRIDGE,
    FAMILY_INET,
    NETLINK_NETFILTER,
    NEWSETELEM,
    NLMSG_ERROR,
    REQUEST,
    SO_RCVBUFFORCE,
    SUBSYS_NFTABLES,
    attribute,
)

GETSETELEM_RESET = 33
DUMP = 0x300
NLMSG_DONE = 3
_TYPE = "type ipv{v}_addr"
_FLOW = ". inet_proto . inet_service"
SETS = {
    "met": ("{t} . ipv{v}_addr " + _FLOW, "size 32768; timeout 3m;"),
    "sent": ("{t} . ipv{v}_addr", "size 32768; timeout 3m;"),
    "guests": ("{t} " + _FLOW, "size 16384; timeout 3m;"),
    "refused": ("{t} " + _FLOW, "size 16384; timeout 2m;"),
    "round": ("{t} . inet_service", "size 4096; timeout 3m;"),
    "asks": ("{t}", "size 4096; timeout 3m;"),
    "others": ("{t}", "size 256; timeout 1h;"),
}
"""Name -> (key, bounds). met: a LAN machine began a flow. sent: bytes of it. guests: an inbound flow was answered.
refused: an inbound port was refused. round: tried to go round the resolver. asks: uses the resolver. others: another
DHCP server or router on the LAN."""


COUNTED, ANSWERED = 0x10, 0x20
"""Bits of the connection's mark: one flow is counted once, however often its first packet is repeated."""
EPHEMERAL = 32768
PACE = "rate over 100/second burst 300 packets"


ATTEMPT_S = 300
"""Longer than all retries of one connection (127 s on Linux), short enough to see who comes back."""
ATTEMPTS_REMEMBERED = 65536
CALLERS_REMEMBERED = 16384


def declarations() -> str:
    """The sets as nft text, to stand within the table."""
    lines = []
    for name, (key, bounds) in SETS.items():
        for v in (4, 6):
            kind = key.format(t=_TYPE.format(v=v), v=v)
            lines.append(f"  set {name}{v} {{ {kind}; flags dynamic,timeout; {bounds} counter; }}")
    for v in (4, 6):  # a source that begins too many flows a second
        lines.append(
            f"  set pace{v} {{ {_TYPE.format(v=v)}; flags dynamic,timeout; size 16384; timeout 1m; }}"
        )
    return "\n".join(lines)


def counting(table: str) -> str:
    """``strangers`` sees what comes from the WAN; ``met`` and ``sent`` what the LAN sends there."""
    once = f"ct mark and {COUNTED:#x} == 0"
    answered = f"ct state established ct mark and {ANSWERED:#x} == 0 jump guests"
    both = (("4", "ip", 4), ("6", "ip6", 6))
    rules: dict[str, list[str]] = {
        name: [] for name in ("strangers", "met", "sent", "guests", "pace", "refuse")
    }
    rules["met"].append(f"ct mark set ct mark or {COUNTED:#x}")
    rules["guests"].append(f"ct mark set ct mark or {ANSWERED:#x}")
    # The temporary block is for flows that the stranger began: answers to the LAN's own flows pass.
    rules["strangers"].append("ct direction reply return")
    for n, family, _ in both:
        rules["strangers"].append(f"{family} saddr @local{n} counter name local_refused drop")
        flow = f"{family} saddr . {family} daddr . meta l4proto . th dport"
        rules["met"].append(f"meta l4proto {{ tcp, udp }} update @met{n} {{ {flow} }}")
        rules["sent"].append(f"update @sent{n} {{ {family} saddr . {family} daddr }}")
        came = f"{family} saddr . meta l4proto . th dport"
        rules["guests"].append(f"meta l4proto {{ tcp, udp }} update @guests{n} {{ {came} }}")
        # Late answers to the LAN's own flows, whose connection is forgotten, are no scan.
        for asked in ("tcp flags & (fin | syn | rst | ack) == syn", f"udp dport < {EPHEMERAL}"):
            rules["refuse"].append(f"{asked} update @refused{n} {{ {came} }}")
        rules["pace"].append(f"update @pace{n} {{ {family} saddr limit {PACE} }} counter name paced drop")
    rules["strangers"].append(answered)
    rules["met"].insert(0, f"{once.replace('== 0', '!= 0')} return")
    rules["refuse"].append("counter name inbound_refused drop")
    chains = "\n".join(
        f"  chain {name} {{\n" + "".join(f"    {rule}\n" for rule in lines) + "  }"
        for name, lines in rules.items()
    )
    return f"table inet {table} {{\n{chains}\n}}"


def attempt_sets() -> str:
    """The kernel's memory of attempts, by direction and family; ``bare``: of protocols without ports."""
    lines = []
    for way in ("in", "out"):
        lines.append(f"  counter attempts_{way} {{ }}")
        for version in (4, 6):
            for name, key in (
                ("tried", f"ipv{version}_addr . inet_proto . inet_service"),
                ("bare", f"ipv{version}_addr . inet_proto"),
            ):
                lines.append(
                    f"  set {name}{version}_{way} {{ type {key}; flags dynamic,timeout; timeout {ATTEMPT_S}s; "
                    f"size {ATTEMPTS_REMEMBERED}; }}"
                )
    for version in (4, 6):
        lines.append(
            f"  set callers{version} {{ type ipv{version}_addr . ipv{version}_addr; flags dynamic,timeout; "
            f"timeout {ATTEMPT_S}s; size {CALLERS_REMEMBERED}; }}"
        )
    return "\n".join(lines)


def callers(group: int, prefix: str) -> str:
    """One more machine of the LAN at a remote that is counted already: no attempt, but it is told too, since of some
    remotes somebody must find all callers. A full set tells of no more."""
    lines = ["  chain callers {"]
    for version, family in ((4, "ip"), (6, "ip6")):
        pair = f"{family} saddr . {family} daddr"
        lines.append(
            f"    {pair} != @callers{version} add @callers{version} {{ {pair} }} "
            f'limit rate 50/second burst 50 packets log group {group} prefix "{prefix}" snaplen 96'
        )
    return "\n".join((*lines, "  }"))


def tried(way: str, side: str, group: int, prefix: str) -> str:
    """Remember, count and log a new attempt. A full set ends the rule: too few are counted, never too many."""
    count = (
        f"counter name attempts_{way} limit rate 200/second burst 200 packets "
        f'log group {group} prefix "{prefix}" snaplen 96'
    )
    lines = [f"  chain tried_{way} {{", "    ct direction reply return"]
    known = "goto callers" if way == "out" else "return"
    for version, family in ((4, "ip"), (6, "ip6")):  # a repetition ends here
        lines.append(f"    {family} {side} . meta l4proto . th dport @tried{version}_{way} {known}")
    for version, family in ((4, "ip"), (6, "ip6")):
        for name, ports, key in (
            ("tried", "meta l4proto { tcp, udp }", f"{family} {side} . meta l4proto . th dport"),
            ("bare", "meta l4proto != { tcp, udp }", f"{family} {side} . meta l4proto"),
        ):
            memory = f"@{name}{version}_{way}"
            lines.append(f"    {ports} {key} != {memory} add {memory} {{ {key} }} {count}")
    if way == "out":  # its caller is told by the log of the attempt
        for version, family in ((4, "ip"), (6, "ip6")):
            pair = f"{family} saddr . {family} daddr"
            lines.append(f"    {pair} != @callers{version} add @callers{version} {{ {pair} }}")
    return "\n".join((*lines, "  }"))


@dataclass(frozen=True, slots=True)
class Tally:
    """One sum since the last read. ``other``: the second address of the key, "" without one."""

    address: str
    other: str
    protocol: str
    port: int
    packets: int
    bytes: int


_PROTOCOLS = {6: "tcp", 17: "udp"}


class Tallies:
    """Reads the sets of one table; for one thread."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._sequence = 0

    def take(self, name: str) -> Iterator[Tally]:
        """Yield what was counted in both families since the last call. Errors: OSError."""
        for version in (4, 6):
            for key, packets, size in self._read(f"{name}{version}"):
                if packets:
                    yield _tally(name, version, key, packets, size)

    def machines(self, name: str) -> list[str]:
        """MAC addresses of the LAN that did more than they may since the last call; ``posers``: that played the router
        or the box, a bridge's alone. Errors: OSError."""
        found = self._read(name, FAMILY_BRIDGE if name == "posers" else FAMILY_INET)
        return [key[:6].hex(":") for key, packets, _ in found if packets]

    def _read(self, name: str, family: int = FAMILY_INET) -> Iterator[tuple[bytes, int, int]]:
        self._sequence += 1
        head = attribute(1, self._table.encode() + b"\0") + attribute(2, name.encode() + b"\0")
        body = struct.pack(">BBH", family, 0, 0) + head
        kind = SUBSYS_NFTABLES << 8 | GETSETELEM_RESET
        request = struct.pack("=IHHII", 16 + len(body), kind, REQUEST | DUMP, self._sequence, 0) + body
        # A socket of its own: a dump that is broken off leaves nothing to the next one.
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
            netlink.bind((0, 0))
            netlink.settimeout(10)
            netlink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20)
            netlink.send(request)
            while True:
                data = netlink.recv(1 << 16)
                offset = 0
                while offset + 16 <= len(data):
                    length, kind = struct.unpack_from("=IH", data, offset)
                    if kind == NLMSG_DONE:
                        return
                    if kind == NLMSG_ERROR:
                        code = -struct.unpack_from("=i", data, offset + 16)[0]
                        raise OSError(code, errno.errorcode.get(code, "?"))
                    if kind == SUBSYS_NFTABLES << 8 | NEWSETELEM:
                        yield from elements(data[offset + 20 : offset + length])
                    offset += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def elements(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (key, packets, bytes) of the elements in one message of the kernel."""
    for kind, listed in _attributes(body):
        if kind != 3:
            continue
        for _, element in _attributes(listed):
            key, packets, size = b"", 0, 0
            for part, value in _attributes(element):
                if part == 1:
                    key = dict(_attributes(value)).get(1, b"")
                elif part == 7:
                    expression = dict(_attributes(value))
                    if expression.get(1) == b"counter\0":
                        counts = dict(_attributes(expression.get(2, b"")))
                        size, packets = (struct.unpack(">Q", counts.get(n, bytes(8)))[0] for n in (1, 2))
            if key:
                yield key, packets, size


def _tally(name: str, version: int, key: bytes, packets: int, size: int) -> Tally:
    """Fields of a key stand one after another, each filled up to 4 bytes."""
    width = 4 if version == 4 else 16
    address, rest = str(ipaddress.ip_address(key[:width])), key[width:]
    other = protocol = ""
    port = 0
    if name in ("met", "sent"):
        other, rest = str(ipaddress.ip_address(rest[:width])), rest[width:]
    if name in ("met", "guests", "refused"):
        protocol, rest = _PROTOCOLS.get(rest[0], str(rest[0])), rest[4:]
    if len(rest) >= 2:
        port = struct.unpack_from(">H", rest)[0]
    return Tally(address, other, protocol, port, packets, size)
