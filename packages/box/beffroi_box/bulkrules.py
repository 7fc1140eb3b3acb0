"""The packet rules of the bulk lists as nft text. Pure.

Order:   ``bulk_in`` and ``bulk_out`` are the last that ``deny`` asks, ``web_bulk`` what the box's page asks;
         ``ruleset`` declares them, and no policy touches what is in them.
Names:   ``bulk4_24_a``: family, prefix length, and the turn: sets in force and sets that are filled stand side by side.
Passed:  a connection neither end of which is listed gets the number of the sets' generation into its mark, and is not
         looked up again as long as that one is in force. Each load is another generation, in the transaction that
         exchanges the sets: every flow that runs is then asked anew.
Source:  docs/decisions/0027-generations-of-bulk-sets.md.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from beffroi_box.ruleset import TABLE

GENERATION = 0xFFFFFF00
"""The bits of the connection's mark that hold the generation; the others are of ``tallies``."""
_STEP, _CHAINS = 0x100, ("bulk_in", "bulk_out", "bulk_passed", "web_bulk")
_FAMILIES = ((4, "ip"), (6, "ip6"))


def next_generation(former: int, eighths: int) -> int:
    """Return the mark of a new generation. ``former``: the one in force, 0 for none; ``eighths``: of seconds since
    the machine started, which connections do not outlive: so even without a former one no earlier mark fits."""
    clock = eighths * _STEP & GENERATION
    ahead = (clock - former & GENERATION) < GENERATION >> 1 and clock != former
    return (clock if ahead else former + _STEP & GENERATION) or _STEP


def bulk_declared(version: int, length: int, turn: str, size: int) -> str:
    """Return the text that declares a set of so many elements."""
    return (
        f"add set inet {TABLE} {bulk_set(version, length, turn)} {{ type ipv{version}_addr; size {size}; }}\n"
    )


def bulk_rules(keys: Iterable[tuple[int, int]], turn: str, generation: int) -> str:
    """Return the text that makes exactly these sets of one turn count. No policy touches these chains."""
    lines = [*(f"flush chain inet {TABLE} {chain}" for chain in _CHAINS)]
    lines.append(f"destroy chain inet {TABLE} bulk")  # of a box whose software was brought up to date
    sets: dict[int, list[tuple[str, str]]] = {4: [], 6: []}
    for version, length in keys:
        whole, zero = (32, 0) if version == 4 else (128, bytes(16))
        mask = "" if length == whole else f" & {ipaddress.ip_network((zero, length)).netmask}"
        sets[version].append((mask, bulk_set(version, length, turn)))
    asked = [(version, family) for version, family in _FAMILIES if sets[version]]

    def free(version: int, family: str, side: str) -> str:
        return " ".join(f"{family} {side}{mask} != @{name}" for mask, name in sets[version])

    def add(chain: str, rule: str) -> None:
        lines.append(f"add rule inet {TABLE} {chain} {rule}")

    passed = f"ct mark & {GENERATION:#x} == {generation:#x} return"
    if asked:
        # What is only related, an error of ICMP, has a connection's mark and another sender.
        add("bulk_passed", "ct state related return")
        add("bulk_passed", passed)
    for chain, side in (("bulk_in", "saddr"), ("bulk_out", "daddr")):
        if asked:
            add(chain, f"ct state established {passed}")
        for version, family in asked:
            add(chain, f"{free(version, family, side)} goto bulk_passed")
        for version, _ in asked:
            add(chain, f"meta nfproto ipv{version} goto blocked_{chain.removeprefix('bulk_')}{version}")
    for version, family in asked:
        ends = f"{free(version, family, 'saddr')} {free(version, family, 'daddr')}"
        add("bulk_passed", f"{ends} ct mark set ct mark & {~GENERATION & 0xFFFFFFFF:#x} | {generation:#x}")
        for mask, name in sets[version]:
            add("web_bulk", f"{family} daddr{mask} @{name} goto to_page")
    return "\n".join(lines) + "\n"


def deleted_sets(names: Iterable[str]) -> str:
    return "".join(f"delete set inet {TABLE} {name}\n" for name in names)


def bulk_set(version: int, length: int, turn: str) -> str:
    return f"bulk{version}_{length}_{turn}"
