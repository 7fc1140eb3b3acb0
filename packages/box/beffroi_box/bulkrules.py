"""The packet rules of the bulk lists as nft text. Pure.

Order:   the chain ``bulk`` is the last that ``deny`` asks, ``web_bulk`` what the box's page asks; ``ruleset`` declares
         both, and no policy touches what is in them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from beffroi_box.ruleset import TABLE


def bulk_sets(keys: Iterable[tuple[int, int]]) -> str:
    """Return the text that declares the sets of the bulk lists, one for each (family, prefix length)."""
    return "".join(f"add set inet {TABLE} {bulk_set(*key)} {{ type ipv{key[0]}_addr; }}\n" for key in keys)


def bulk_rules(keys: Iterable[tuple[int, int]]) -> str:
    """Return the text that makes exactly these sets of the bulk lists count. No policy touches this chain."""
    lines = [f"flush chain inet {TABLE} bulk", f"flush chain inet {TABLE} web_bulk"]
    for version, length in keys:
        family, whole = ("ip", 32) if version == 4 else ("ip6", 128)
        mask = f" & {ipaddress.ip_network((0 if version == 4 else bytes(16), length)).netmask}"
        if length == whole:
            mask = ""
        lines += [
            f"add rule inet {TABLE} bulk {family} {way}{mask} @{bulk_set(version, length)} goto {chain}"
            for way, chain in (("saddr", "blocked_in"), ("daddr", "blocked_out"))
        ]
        listed = f"{family} daddr{mask} @{bulk_set(version, length)}"
        lines.append(f"add rule inet {TABLE} web_bulk {listed} goto to_page")
    return "\n".join(lines) + "\n"


def bulk_set(version: int, length: int) -> str:
    return f"bulk{version}_{length}"
