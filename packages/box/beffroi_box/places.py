"""Where this box stands: its addresses, its networks, its default routers, as ip(8) says; where its link's routers
translate to IPv4, as systemd-networkd says (org.freedesktop.network1(5)).

Fails:   what cannot be read is empty.
"""

from __future__ import annotations

import ipaddress
import socket
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE, ProtocolError
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.protected import reason_protected

_NETWORKD_RUNS = Path("/run/systemd/netif/state")


class Address(msgspec.Struct):
    local: str = ""
    prefixlen: int = 0


class Link(msgspec.Struct):
    addr_info: list[Address] = []


class Route(msgspec.Struct):
    gateway: str = ""


class _Answer(msgspec.Struct):
    data: list[str] = []


class _Translation(msgspec.Struct):
    prefix: list[int] = msgspec.field(default=[], name="Prefix")
    length: int = msgspec.field(default=0, name="PrefixLength")


class _Advertised(msgspec.Struct):
    translations: list[_Translation] = msgspec.field(default=[], name="PREF64")


class _Status(msgspec.Struct):
    ndisc: _Advertised | None = msgspec.field(default=None, name="NDisc")


def own_networks(lan: str, wan: str) -> tuple[str, ...]:
    """The LAN's networks and the box's own WAN addresses: a block of them would lock the town hall out."""
    found: list[str] = []
    for interface, whole in ((lan, True), (wan, False)):
        for link in ip_shows("addr", "show", "dev", interface, kind=list[Link]) if interface else ():
            found += [f"{a.local}/{a.prefixlen}" if whole else a.local for a in link.addr_info if a.local]
    return tuple(found)


def own_addresses(interface: str) -> tuple[str, ...]:
    return tuple(sorted(place.partition("/")[0] for place in own_networks(interface, "")))


def gateways(interface: str) -> tuple[str, ...]:
    """The default routers behind an interface, of both families."""
    found = {
        route.gateway
        for family in ("-4", "-6")
        for route in ip_shows(family, "route", "show", "default", "dev", interface, kind=list[Route])
    }
    return tuple(sorted(found - {""}))


def translations(interface: str) -> tuple[str, ...]:
    """Prefixes of IPv6 behind which a router of this link says that IPv4 is reached (PREF64, RFC 8781), but those that
    are never blocked: who forges one must not take the State's, or half of the internet, from everybody."""
    found = shown.ndisc.translations if (shown := _described(interface)) and shown.ndisc else []
    prefixes = set()
    for one in found:
        with suppress(ValueError, ProtocolError):  # none at all, or none that could ever be blocked
            network = ipaddress.IPv6Network((bytes(one.prefix), one.length), strict=False)
            prefixes.add(normalise(Kind.CIDR, str(network)))
    return tuple(sorted(one.value for one in prefixes if not reason_protected(one)))


def forget(neighbours: Iterable[str], interface: str) -> None:
    """The next packet to one of them asks on the wire who it is."""
    for address in neighbours:
        ip_shows("neigh", "del", address, "dev", interface, kind=list[Route])


def _described(interface: str) -> _Status | None:
    """What systemd-networkd knows of a link. It is never started by the question: at the machine's start it waits for
    the rules, and ``network`` stops it while it writes its files."""
    if not _NETWORKD_RUNS.exists():
        return None
    try:
        number = str(socket.if_nametoindex(interface))
    except OSError:
        return None
    where = ("org.freedesktop.network1", "/org/freedesktop/network1", "org.freedesktop.network1.Manager")
    asked = (
        "busctl",
        "--json=short",
        "--auto-start=no",
        "--timeout=5",
        "call",
        *where,
        "DescribeLink",
        "i",
        number,
    )
    answer = _decoded(asked, _Answer)
    try:
        return msgspec.json.decode(answer.data[0], type=_Status) if answer and answer.data else None
    except UNDECODABLE:
        return None


def ip_shows[T](*arguments: str, kind: type[list[T]]) -> list[T]:
    """What ip(8) says, empty where it says nothing."""
    return _decoded(("ip", "-json", *arguments), kind) or []


def _decoded[T](command: Sequence[str], kind: type[T]) -> T | None:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=10)
        return msgspec.json.decode(done.stdout.strip(), type=kind)
    except (OSError, subprocess.SubprocessError, *UNDECODABLE):
        return None
