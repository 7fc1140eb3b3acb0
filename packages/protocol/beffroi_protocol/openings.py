"""Openings from the internet: what a policy says of one.

Purpose: remote maintenance or cameras reach one machine of the LAN, from named sources, until a time.
Source:  docs/decisions/0233-openings-end-by-themselves.md.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

PROTOCOLS = ("tcp", "udp")


class Opening(msgspec.Struct, frozen=True):
    """One port of one machine of the LAN that ``sources`` (prefixes or addresses, one at least) may reach from the
    internet, ``until`` then (UTC epoch seconds). ``machine``: its address. ``label``: whose request it is. A box that
    does not know of openings has none."""

    protocol: Annotated[str, msgspec.Meta(pattern=r"\A(tcp|udp)\Z")]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    machine: Annotated[str, msgspec.Meta(max_length=64)]
    sources: tuple[str, ...]
    until: Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
    label: Annotated[str, msgspec.Meta(max_length=64)] = ""


def is_sound(opening: Opening) -> bool:
    """Whether it leads to one machine. Its sources are checked where they become prefixes."""
    return (
        opening.protocol in PROTOCOLS
        and 0 < opening.port < 65536
        and opening.until >= 0
        and machine(opening.machine) == opening.machine
        and bool(opening.sources)
    )


def machine(text: str) -> str:
    """The address of a machine as it is written in a policy, "" for what is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return ""
    nowhere = found.is_loopback or found.is_multicast or found.is_unspecified or found.is_link_local
    return "" if nowhere or "%" in text else str(found)
