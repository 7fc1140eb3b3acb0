"""What the box knows of a machine of its LAN: its MAC from the kernel's neighbours, its name from the DHCP server.

Input:   names are what machines call themselves: hostile; only letters, digits, dot and hyphen are kept.
Fails:   what is not known is "".
Source:  ip-neighbour(8); systemd-networkd's leases, /var/lib/systemd/network/dhcp-server-lease/INTERFACE (router mode;
         as a bridge the box gives no addresses and knows no names).
"""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path

import msgspec

LEASES = Path("/var/lib/systemd/network/dhcp-server-lease")
MAX_NAME = 63


class _Neighbour(msgspec.Struct):
    lladdr: str = ""


class _Route(msgspec.Struct):
    type: str = ""


class _Lease(msgspec.Struct, rename="pascal"):
    address: list[int] = []
    hostname: str = ""
    hardware_address: list[int] = []


class _Leases(msgspec.Struct, rename="pascal"):
    leases: list[_Lease] = []


def is_own(address: str) -> bool:
    """Whether it is an address of this box."""
    return any(route.type == "local" for route in _ip("route", "get", address, kind=_Route))


def mac_of(address: str) -> str:
    """The MAC address that answers for it, as far as the kernel knows it."""
    found = (one.lladdr for one in _ip("neigh", "show", "to", address, kind=_Neighbour))
    return next((mac for mac in found if mac), "")


def name_of(address: str, mac: str, leases: Path = LEASES) -> str:
    """What the machine called itself when it took its address here."""
    for path in sorted(leases.glob("*")) if leases.is_dir() else ():
        try:
            held = msgspec.json.decode(path.read_bytes(), type=_Leases).leases
        except (OSError, msgspec.MsgspecError):
            continue
        for lease in held:
            same_mac = bool(mac) and ":".join(f"{byte:02x}" for byte in lease.hardware_address) == mac
            if same_mac or ".".join(map(str, lease.address)) == address:
                return "".join(c for c in lease.hostname if c.isascii() and (c.isalnum() or c in "-."))[
                    :MAX_NAME
                ]
    return ""


def _ip[T](*arguments: str, kind: type[T]) -> list[T]:
    try:
        ipaddress.ip_address(arguments[-1])
        done = subprocess.run(["ip", "-json", *arguments], capture_output=True, check=False, timeout=5)
        return msgspec.json.decode(done.stdout or b"[]", type=list[kind])  # type: ignore[valid-type]
    except (ValueError, OSError, subprocess.SubprocessError):
        return []
