"""What the box knows of a machine of its LAN: its MAC from the kernel's neighbours, its name from the DHCP server.

Input:   names are what machines call themselves: hostile; only letters, digits, dot and hyphen are kept.
Fails:   what is not known is "".
Source:  ip-neighbour(8); networkctl(1), which asks systemd-networkd over the system bus for the leases that it gave.
         Router mode only: as a bridge the box gives no addresses and knows no names.
"""

from __future__ import annotations

import ipaddress
import re
import subprocess

import msgspec
from beffroi_protocol.errors import UNDECODABLE

MAX_NAME = 63
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class _Neighbour(msgspec.Struct):
    lladdr: str = ""


class _Route(msgspec.Struct):
    type: str = ""


class _Lease(msgspec.Struct, rename="pascal"):
    """``hardware_address`` is filled up with zeros to 16 bytes."""

    address: list[int] = []
    hostname: str = ""
    hardware_address_length: int = 0
    hardware_address: list[int] = []

    @property
    def ip(self) -> str:
        return ".".join(map(str, self.address))

    @property
    def mac(self) -> str:
        return ":".join(f"{byte:02x}" for byte in self.hardware_address[: self.hardware_address_length])


class _Server(msgspec.Struct, rename="pascal"):
    leases: list[_Lease] = []


class _Link(msgspec.Struct, rename="pascal"):
    dhcp_server: _Server | None = msgspec.field(default=None, name="DHCPServer")


class _Links(msgspec.Struct, rename="pascal"):
    interfaces: list[_Link] = []


def is_own(address: str) -> bool:
    """Whether it is an address of this box."""
    return any(route.type == "local" for route in _ip("route", "get", address, kind=list[_Route]))


def mac_of(address: str) -> str:
    """The MAC address that answers for it, as far as the kernel knows it; what is one already stays."""
    if _MAC.fullmatch(address):
        return address
    found = (one.lladdr for one in _ip("neigh", "show", "to", address, kind=list[_Neighbour]))
    return next((mac for mac in found if mac), "")


def name_of(address: str, mac: str) -> str:
    """What the machine called itself when it took its address here. ``mac``: "" where only the address is known."""
    for link in _answer("networkctl", "--json=short", "status", kind=_Links, nothing=_Links()).interfaces:
        for lease in link.dhcp_server.leases if link.dhcp_server else ():
            if lease.mac == mac if mac else lease.ip == address:
                name = (c for c in lease.hostname if c.isascii() and (c.isalnum() or c in "-."))
                return "".join(name)[:MAX_NAME]
    return ""


def _ip[T](*arguments: str, kind: type[list[T]]) -> list[T]:
    try:
        ipaddress.ip_address(arguments[-1])
    except ValueError:
        return []
    return _answer("ip", "-json", *arguments, kind=kind, nothing=[])


def _answer[T](*command: str, kind: type[T], nothing: T) -> T:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=5)
        return msgspec.json.decode(done.stdout, type=kind) if done.stdout.strip() else nothing
    except (OSError, subprocess.SubprocessError, *UNDECODABLE):
        return nothing
