"""What lists cost the packets of a town hall: forwarded and refused ones, beside the same hooks without any rule.

Purpose: rates for no list, 10^4, 10^5, 10^6 addresses and 10^5 prefixes; and with the same addresses a plain nft set,
         CrowdSec's set and fail2ban's, hooked in forward, where these programs do not hook them themselves.
Way:     every variant has a client, a box and a server of its own, all at once, and is measured in turn, some
         milliseconds each: what else the machine does meets all alike. Small packets are counted by the processor's
         time of the sending thread, in which the kernel does all the work of a packet on these links: other
         programs on the machine do not disturb that. Generator included.
Process: root; packet sockets and iperf3. Every packet is counted where it arrives; none may be lost, none may pass.
"""

from __future__ import annotations

import json
import random
import re
import socket
import statistics
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from beffroi_box import load
from beffroi_box.ruleset import ruleset
from beffroi_lab.running import wait_until
from beffroi_lab.topology import LabFailed
from beffroi_protocol.lists import content
from beffroi_protocol.messages import Policy

from bench.place import SERVER, SITE, Place
from bench.rows import Row

FLOWS, SOURCES = 256, 1000
SLICE = 1024
ROUNDS, STREAM_ROUNDS, STREAM_S = 20, 3, 1
LEAST = 0.85
"""Of the rate of the same hooks without rules."""
HOOKS = """table inet hooks {
  chain raw_ { type filter hook prerouting priority raw; policy accept; }
  chain before_ { type nat hook prerouting priority dstnat; policy accept; }
  chain forward_ { type filter hook forward priority -5; policy accept; ct state established,related accept
  }
  chain input_ { type filter hook input priority -5; policy accept; }
  chain output_ { type filter hook output priority -5; policy accept; }
  chain after_ { type nat hook postrouting priority srcnat; policy accept; }
}
"""
"""The hooks of the box's ruleset in both modes, with conntrack and nothing else to do."""
_ROUTER_HOOK = """table inet hooks {
  chain last_ { type filter hook postrouting priority 300; policy accept; }
}
"""
_BRIDGE_HOOK = """table bridge hooks {
  chain direction { type filter hook prerouting priority -300; policy accept; }
}
"""
_PEER = """add table ip peer
add set ip peer listed {{ type ipv4_addr; {flags} }}
add chain ip peer forward {{ type filter hook forward priority -10; policy accept; }}
add rule ip peer forward ip saddr @listed drop
"""
_PACKETS = "small packets in a second of one processor, generator included"
_UDP = 17
_SOL_PACKET, _QDISC_BYPASS = 263, 20
_COUNT = """table netdev bench {{
  counter arrived {{ }}
  chain arriving {{ type filter hook ingress device {link} priority 0; ip protocol udp counter name arrived drop
  }}
}}
"""


@dataclass
class Variant:
    """``load`` fills the box of a place; ``listed``: addresses that it refuses then."""

    name: str
    load: Callable[[Place], None]
    listed: Sequence[str] = ()
    forwarded_ns: list[float] = field(default_factory=list)
    refused_ns: list[float] = field(default_factory=list)
    stream_gbit: list[float] = field(default_factory=list)


def run(
    directory: Path, hosts: Sequence[str], prefixes: Sequence[str], say: Callable[[str], None]
) -> Iterator[Row]:
    """``hosts``: a million addresses. Errors: LabFailed."""
    for bridge in (False, True):
        mode = "bridge" if bridge else "router"
        if bridge and not Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
            yield Row("bridge: packets", "k/s", None, note="not measured: no br_netfilter in this kernel")
            continue
        variants = _variants(directory, hosts, prefixes, bridge=bridge)
        with ExitStack() as stack:
            places = []
            for number, variant in enumerate(variants):
                say(f"{mode}: {variant.name}")
                place = Place(f"{mode[0]}{number}", bridge=bridge)
                stack.enter_context(place.built())
                variant.load(place)
                places.append(place)
            say(f"{mode}: small packets, {ROUNDS} rounds")
            _small_packets(list(zip(variants, places, strict=True)), stack)
            say(f"{mode}: streams, {STREAM_ROUNDS} rounds")
            why = _streams(list(zip(variants, places, strict=True)), stack)
        yield from _rows(mode, {variant.name: variant for variant in variants}, why)


def _variants(
    directory: Path, hosts: Sequence[str], prefixes: Sequence[str], *, bridge: bool
) -> list[Variant]:
    def ours(values: Sequence[str]) -> Callable[[Place], None]:
        def fill(place: Place) -> None:
            place.nft(ruleset(Policy(mode="bridge" if bridge else "router"), SITE))
            if values:
                path = directory / "packets"
                path.write_bytes(content(values))
                job = load.Addresses((("bench", str(path)),), ())
                place.inside("box", lambda: load.run(job))

        return fill

    def peer(count: int, flags: str = "", timeout: str = "") -> Callable[[Place], None]:
        def fill(place: Place) -> None:
            place.nft(_hooks(bridge=bridge) + _PEER.format(flags=flags))
            for start in range(0, count, 50_000):
                some = hosts[start : min(count, start + 50_000)]
                place.nft(f"add element ip peer listed {{ {', '.join(one + timeout for one in some)} }}\n")

        return fill

    most = len(hosts)
    return [
        Variant("hooks", lambda place: place.nft(_hooks(bridge=bridge))),
        Variant("no list", ours(())),
        *(Variant(f"{n} addresses", ours(hosts[:n]), hosts[:SOURCES]) for n in (10_000, 100_000, most)),
        Variant(f"{len(prefixes)} prefixes", ours(prefixes), [_inside(p) for p in prefixes[:SOURCES]]),
        Variant("nft", peer(100_000, "flags interval; auto-merge;"), hosts[:SOURCES]),
        Variant("fail2ban", peer(100_000), hosts[:SOURCES]),
        Variant("CrowdSec", peer(100_000, "flags timeout;", " timeout 4h"), hosts[:SOURCES]),
        Variant("CrowdSec, most", peer(most, "flags timeout;", " timeout 4h"), hosts[:SOURCES]),
    ]


def _hooks(*, bridge: bool) -> str:
    return HOOKS + (_BRIDGE_HOOK if bridge else _ROUTER_HOOK)


def _inside(prefix: str) -> str:
    """Return the second address of a prefix, where it has one."""
    address, _, length = prefix.partition("/")
    number = int.from_bytes(socket.inet_aton(address)) + (int(length or 32) < 32)
    return socket.inet_ntoa(number.to_bytes(4))


# -- small packets ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wire:
    """Packet sockets on both ends, and what each sends."""

    client: socket.socket
    server: socket.socket
    out: list[bytes]
    back: list[bytes]
    refused: list[bytes]


def _small_packets(pairs: list[tuple[Variant, Place]], stack: ExitStack) -> None:
    wires = []
    for variant, place in pairs:
        for side, link in (("client", "l0"), ("server", "n0")):
            place.nft(_COUNT.format(link=link), side)
        wires.append(_wire(variant, place, stack))
    for turn in range(ROUNDS + 1):
        for (variant, _), wire in zip(pairs, wires, strict=True):
            took = [
                (variant.forwarded_ns, _sent(wire.client, wire.out)),
                (variant.forwarded_ns, _sent(wire.server, wire.back)),
            ]
            if wire.refused:
                took.append((variant.refused_ns, _sent(wire.server, wire.refused)))
            if turn == 0:  # neighbours are sought, flows and attempts begin
                time.sleep(0.02)
                continue
            for where, nanoseconds in took:
                where.append(nanoseconds)
    for variant, place in pairs:
        for side, link in (("server", "n0"), ("client", "l0")):
            arrived = _arrived(place, side)
            # The first packets of all wait for a neighbour's answer, and the kernel keeps few of them.
            if not ROUNDS * SLICE <= arrived <= (ROUNDS + 1) * SLICE:
                raise LabFailed(f"{variant.name}: {arrived} packets arrived at {link}")


def _wire(variant: Variant, place: Place, stack: ExitStack) -> _Wire:
    ends = []
    for side, link in (("client", "l0"), ("server", "n0")):
        end = place.socket(side, socket.AF_PACKET, socket.SOCK_RAW)
        stack.callback(end.close)
        end.bind((link, 0x0800))
        end.setsockopt(_SOL_PACKET, _QDISC_BYPASS, 1)
        ends.append(end)
    near, far = place.mac("client", "l0"), place.mac("server", "n0")
    lan, wan = (far, near) if place.bridge else (place.mac("box", "lan"), place.mac("box", "wan"))
    ports = [1024 + n % FLOWS for n in range(SLICE)]
    out = [_frame(lan + near, place.client, SERVER, port, 9) for port in ports]
    back = [_frame(wan + far, SERVER, place.client, 9, port) for port in ports]
    sources = random.Random(1).choices(variant.listed, k=SLICE) if variant.listed else []
    return _Wire(
        ends[0], ends[1], out, back, [_frame(wan + far, one, place.client, 4444, 9) for one in sources]
    )


def _sent(end: socket.socket, frames: Sequence[bytes]) -> float:
    """Send all and return the processor's nanoseconds for one."""
    send = end.send
    started = time.thread_time_ns()
    for frame in frames:
        send(frame)
    return (time.thread_time_ns() - started) / len(frames)


def _frame(links: bytes, source: str, target: str, source_port: int, port: int) -> bytes:
    """A datagram of 18 bytes: the smallest Ethernet frame."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 46, 1, 0, 64, _UDP, 0) + ends
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    head = head[:10] + checksum.to_bytes(2) + head[12:]
    packet: bytes = links + b"\x08\0" + head + struct.pack(">4H", source_port, port, 26, 0) + bytes(18)
    return packet


def _arrived(place: Place, side: str) -> int:
    text = place.run(side, "nft", "list", "counter", "netdev", "bench", "arrived")
    found = re.search(r"packets (\d+)", text)
    return int(found[1]) if found else 0


# -- streams ---------------------------------------------------------------------------------------------


def _streams(pairs: list[tuple[Variant, Place]], stack: ExitStack) -> str:
    """TCP from the client to the server; return why it was not measured, or nothing."""
    for _, place in pairs:
        try:
            server = subprocess.Popen(
                place.command("server", "iperf3", "-s"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            return f"iperf3: {error.strerror}"
        stack.callback(server.wait, 10)
        stack.callback(server.terminate)
    for _ in range(STREAM_ROUNDS):
        for variant, place in pairs:
            variant.stream_gbit.append(_stream(place))
    return ""


def _stream(place: Place) -> float:
    argv = place.command("client", "iperf3", "-c", SERVER, "-t", str(STREAM_S), "-J")
    found: list[float] = []

    def measured() -> bool:
        done = subprocess.run(argv, capture_output=True, check=False, timeout=30)
        if done.returncode == 0:
            found.append(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9)
        return bool(found)

    if not wait_until(measured, 10, 0.1):  # its server may still be starting, or ending the last test
        raise LabFailed("iperf3 did not measure")
    return found[0]


# -- rows ------------------------------------------------------------------------------------------------


def _rows(mode: str, found: dict[str, Variant], no_streams: str) -> Iterator[Row]:
    ours = [name for name in found if name == "no list" or name.endswith(("addresses", "prefixes"))]
    for name in ours:
        yield from _beside(mode, found[name], found["hooks"], "the same hooks without rules", LEAST)
    for name, peer, words in (
        ("100000 addresses", "nft", "plain nft, one interval set, in forward"),
        ("100000 addresses", "fail2ban", "fail2ban's set, in forward"),
        ("100000 addresses", "CrowdSec", "CrowdSec's set, in forward"),
        (ours[-2], "CrowdSec, most", "CrowdSec's set, in forward"),
    ):
        yield from _beside(mode, found[name], found[peer], words, None)
        least = 1.0 if peer.startswith("CrowdSec") else None
        ours_k, peer_k = _rate(found[name].refused_ns), _rate(found[peer].refused_ns)
        yield _compared(Row(f"{mode}, {name}: refused", "k/s", ours_k, peer_k, words, note=_PACKETS), least)
    if no_streams:
        yield Row(f"{mode}: TCP", "Gb/s", None, note=f"not measured: {no_streams}")


def _beside(mode: str, ours: Variant, peer: Variant, words: str, least: float | None) -> Iterator[Row]:
    ours_k, peer_k = _rate(ours.forwarded_ns), _rate(peer.forwarded_ns)
    yield _compared(
        Row(f"{mode}, {ours.name}: forwarded", "k/s", ours_k, peer_k, words, note=_PACKETS), least
    )
    if ours.stream_gbit:
        ours_gb, peer_gb = statistics.median(ours.stream_gbit), statistics.median(peer.stream_gbit)
        yield _compared(Row(f"{mode}, {ours.name}: TCP", "Gb/s", ours_gb, peer_gb, words), least)


def _rate(nanoseconds: Sequence[float]) -> float:
    """Thousand packets a second."""
    return 1e6 / statistics.median(nanoseconds)


def _compared(row: Row, least: float | None) -> Row:
    """``least``: the part of the peer's rate that is the target."""
    assert row.ours is not None and row.peer is not None
    target = None if least is None else round(least * row.peer, 2)
    return replace(row, ours=round(row.ours, 2), peer=round(row.peer, 2), target=target, more_is_better=True)
