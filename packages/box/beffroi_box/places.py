"""Where this box stands: its addresses, its networks, its default routers, as ip(8) says.

Fails:   what cannot be read is empty.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

import msgspec
from beffroi_protocol.errors import UNDECODABLE


class _Address(msgspec.Struct):
    local: str = ""
    prefixlen: int = 0


class _Link(msgspec.Struct):
    addr_info: list[_Address] = []


class _Route(msgspec.Struct):
    gateway: str = ""


def own_networks(lan: str, wan: str) -> tuple[str, ...]:
    """The LAN's networks and the box's own WAN addresses: a block of them would lock the town hall out."""
    found: list[str] = []
    for interface, whole in ((lan, True), (wan, False)):
        for link in _ip("addr", "show", "dev", interface, kind=list[_Link]) if interface else ():
            found += [f"{a.local}/{a.prefixlen}" if whole else a.local for a in link.addr_info if a.local]
    return tuple(found)


def own_addresses(interface: str) -> tuple[str, ...]:
    return tuple(sorted(place.partition("/")[0] for place in own_networks(interface, "")))


def gateways(interface: str) -> tuple[str, ...]:
    """The default routers behind an interface, of both families."""
    found = {
        route.gateway
        for family in ("-4", "-6")
        for route in _ip(family, "route", "show", "default", "dev", interface, kind=list[_Route])
    }
    return tuple(sorted(found - {""}))


def forget(neighbours: Iterable[str], interface: str) -> None:
    """The next packet to one of them asks on the wire who it is."""
    for address in neighbours:
        _ip("neigh", "del", address, "dev", interface, kind=list[_Route])


def _ip[T](*arguments: str, kind: type[list[T]]) -> list[T]:
    done = subprocess.run(["ip", "-json", *arguments], capture_output=True, check=False)
    try:
        return msgspec.json.decode(done.stdout.strip() or b"[]", type=kind)
    except UNDECODABLE:
        return []
