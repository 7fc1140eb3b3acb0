"""Openings of the policy, as nft text: one machine, one port, named sources, an end. Pure.

Router:  what reaches the box at that port over IPv4 is sent on to the machine. IPv6 and bridges need no other address:
         there the operator's router, or nobody, translates.
Shape:   a flow that came in so carries ``OPENED`` in its mark. Each later packet of it, in both directions, is compared
         again with what is open now: what ended, or was taken back, cuts what runs.
End:     by the kernel's clock, whoever else is dead. The centre's policy without it comes in the same minute.
Source:  nft(8), META (time) and CT EXPRESSIONS; docs/decisions/0233-openings-end-by-themselves.md.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from beffroi_protocol.openings import Opening

OPENED = 0x40
"""Bit of the connection's mark (``tallies`` has 0x30, bulk sets the bits from 8 on)."""
OPENED_CHAIN, SENT_ON = OPENING_CHAINS = ("opened", "sent_on")
_IS_OPENED = f"ct mark and {OPENED:#x} != 0"
HELD = f"{_IS_OPENED} jump {OPENED_CHAIN}"
LET_IN = f"{_IS_OPENED} accept"
"""What has just been marked."""
_FAMILY = {4: "ip", 6: "ip6"}
type Sources = Sequence[tuple[Opening, Mapping[int, Sequence[str]]]]
"""Each opening with its sources by IP version."""


def opened_rules(table: str, openings: Sources, *, sent_from: str) -> str:
    """Chain ``opened`` lets go on what is open, by what its connection began as; ``sent_on`` translates what comes to
    a router's own address. ``sent_from``: match of the internet's side of a router, "" for a bridge."""
    each = _each(openings)
    still = [
        f"ct original protocol {one.protocol} ct original proto-dst {one.port} "
        f"ct original {family} saddr {nets} ct reply {family} saddr {one.machine} {_until(one)} return"
        for one, family, nets in each
    ]
    sent = [
        f"{sent_from} fib daddr type local {_begins(one, family, nets)} dnat ip to {one.machine}"
        for one, family, nets in each
        if sent_from and family == "ip"
    ]
    return f"""table inet {table} {{
  chain {OPENED_CHAIN} {{
    {"\n    ".join((*still, "drop"))}
  }}
  chain {SENT_ON} {{
    {"\n    ".join(sent)}
  }}
}}"""


def marks(openings: Sources, wan: str, out: str) -> str:
    """Rules that mark what begins; they stand before any other that would let it in without an end. ``out``: match of
    the way to the LAN, "" where the bridge knows it."""
    return "\n    ".join(
        f"{wan} {out}{family} daddr {one.machine} {_begins(one, family, nets)} "
        f"ct mark set ct mark or {OPENED:#x}"
        for one, family, nets in _each(openings)
    )


def _each(openings: Sources) -> list[tuple[Opening, str, str]]:
    """Each with the family of its machine, in which alone its sources count."""
    found = []
    for one, sources in openings:
        version = ipaddress.ip_address(one.machine).version
        if nets := sources[version]:
            found.append((one, _FAMILY[version], f"{{ {', '.join(nets)} }}"))
    return found


def _begins(one: Opening, family: str, nets: str) -> str:
    return f"{family} saddr {nets} {one.protocol} dport {one.port} {_until(one)}"


def _until(one: Opening) -> str:
    return f"meta time < {one.until}"
