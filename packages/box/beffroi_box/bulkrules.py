"""The packet rules of the bulk lists as nft text. Pure.

Order:   ``bulk_in`` and ``bulk_out`` are the last that ``deny`` asks, ``web_bulk`` what the box's page asks;
         ``ruleset`` declares them, and no policy touches what is in them.
Names:   ``bulk4_24_a``: family, prefix length, and the turn: sets in force and sets that are filled stand side by side.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from beffroi_box.ruleset import TABLE


def bulk_sets(sizes: Mapping[tuple[int, int], int], turn: str) -> str:
    """Return the text that declares the sets of one turn: (family, prefix length) -> number of elements."""
    return "".join(
        f"add set inet {TABLE} {bulk_set(*key, turn)} {{ type ipv{key[0]}_addr; size {size}; }}\n"
        for key, size in sizes.items()
    )


def bulk_rules(keys: Iterable[tuple[int, int]], turn: str) -> str:
    """Return the text that makes exactly these sets of one turn count. No policy touches these chains."""
    lines = [f"flush chain inet {TABLE} {chain}" for chain in ("bulk_in", "bulk_out", "web_bulk")]
    lines.append(f"destroy chain inet {TABLE} bulk")  # of a box whose software was brought up to date
    for version, length in keys:
        family, whole = ("ip", 32) if version == 4 else ("ip6", 128)
        mask = f" & {ipaddress.ip_network((0 if version == 4 else bytes(16), length)).netmask}"
        if length == whole:
            mask = ""
        name = bulk_set(version, length, turn)
        lines += [
            f"add rule inet {TABLE} bulk_{way} {family} {side}{mask} @{name} goto blocked_{way}{version}"
            for way, side in (("in", "saddr"), ("out", "daddr"))
        ]
        lines.append(f"add rule inet {TABLE} web_bulk {family} daddr{mask} @{name} goto to_page")
    return "\n".join(lines) + "\n"


def deleted_sets(names: Iterable[str]) -> str:
    return "".join(f"delete set inet {TABLE} {name}\n" for name in names)


def bulk_set(version: int, length: int, turn: str) -> str:
    return f"bulk{version}_{length}_{turn}"
