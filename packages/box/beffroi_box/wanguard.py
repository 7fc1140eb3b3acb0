"""The packet rules of a box without a policy: the LAN goes out, nobody comes in. Pure.

Source: docs/internals/box.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from beffroi_box.bridgerules import bridge_rules
from beffroi_box.config import BoxConfig
from beffroi_box.crowdrules import LEASES
from beffroi_box.lanprobe import MARK, NEAR, probe_hidden
from beffroi_box.pagerules import PAGE_ADDRESS

FIRST = "beffroi_first"
ICMP_IN = """\
icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept
    meta l4proto { icmp, ipv6-icmp } limit rate 100/second burst 200 packets accept"""
"""To the box itself. By neighbour discovery all of IPv6 goes: a flood of pings may not use it up."""

PIECES = "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"
"""Of a router whose line is shorter than the LAN (4G, DS-Lite, a tunnel): the operator told the box alone, and what is
longer may vanish on its way here without a word."""


def guard_rules(
    config: BoxConfig, *, known: bool, gateways: Iterable[str] = (), own: Iterable[str] = ()
) -> str:
    """Return the text of one atomic ``nft -f``.

    ``known``: the port of the internet exists. Before ``beffroi-box network`` chose, every port is the internet's.
    ``gateways``, ``own``: of a bridge, its default routers and its addresses.
    """
    bridge = config.mode == "bridge"
    wan = "meta mark and 0x3 == 0x1" if bridge else f'iifname "{config.wan}"' if known else ""
    # Before the port of the internet is known the box gives no addresses; a bridge hears what is asked of the operator.
    leasing = "" if bridge or not known else "udp dport 67 jump leasing"
    no_router = "meta mark and 0x3 == 0x2 icmpv6 type nd-router-advert drop" if bridge else ""
    hide = f'oifname "{config.wan}" meta nfproto ipv4 masquerade' if config.masquerade and not bridge else ""
    probe = probe_hidden(config.wan) if not bridge else ""
    frames = ""
    if bridge:
        frames = bridge_rules(
            FIRST, config.wan, config.lan, gateways=_by_version(gateways), own=_by_version(own)
        )
    return f"""{lift_rules("inet" if bridge else "inet bridge")}table inet {FIRST} {{
  set leased {{ type ether_addr; flags dynamic,timeout; size 1024; timeout 1h; }}
  chain leasing {{
    {wan} return
    add @leased {{ ether saddr limit {LEASES[1]} }} drop
    limit {LEASES[0]} drop
  }}
  chain forward_ {{
    type filter hook forward priority -5; policy accept;
    {"" if bridge else PIECES}
    udp dport 67 jump leasing
    ct state established,related accept
    ct state invalid drop
    {wan} icmpv6 type {{ nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, packet-too-big }} accept
    {wan} udp sport 67 udp dport 68 accept
    {wan} drop
  }}
  chain input_ {{
    type filter hook input priority -5; policy accept;
    iif lo accept
    {leasing}
    ct state established,related accept
    {no_router}
    {ICMP_IN}
    {wan} udp dport {{ 68, 546 }} accept
    {wan} drop
    udp dport {{ 53, 67, 547 }} accept
    tcp dport {{ 53, {config.page_port} }} accept
    drop
  }}
  chain page_ {{
    type nat hook prerouting priority dstnat; policy accept;
    {wan} return
    ip daddr {PAGE_ADDRESS} tcp dport 80 redirect to :{config.page_port}
  }}
  chain probe_ {{
    type filter hook prerouting priority mangle; policy accept;
    iifname "{NEAR}" meta mark set meta mark or {MARK:#x}
  }}
  chain source_ {{
    type nat hook postrouting priority srcnat; policy accept;
    {probe}
    {hide}
  }}
}}
{frames}
"""


def _by_version(addresses: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {4: [], 6: []}
    for address in addresses:
        found[6 if ":" in address else 4].append(address)
    return found


def lift_rules(families: str = "inet bridge") -> str:
    return "".join(f"add table {one} {FIRST}\ndelete table {one} {FIRST}\n" for one in families.split())
