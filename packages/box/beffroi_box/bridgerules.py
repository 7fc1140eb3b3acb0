"""What only a bridge needs of packet rules, as nft text. Pure.

Purpose: marks where a frame came from, since in a bridge the inet hooks see only the bridge as input interface; refuses
         who plays the router or the box in the LAN.
Posing:  a gateway of the box that was heard on the internet's side is there: a frame of the LAN that says to be it
         (ARP, neighbour discovery, its card's address), or that says to be the box, goes nowhere, and its sender is
         counted. A gateway that was never heard there is left alone: it may stand in the LAN.
Source:  docs/internals/box.md; decision 167.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from beffroi_box.lanprobe import NEAR

ELSEWHERE, PPPOE = 0x4, 0x8864
"""Bit of the mark of what a bridge passes on for a network in which the box itself has no address."""
_CHAINS = ("direction", "hear", "posing", "posed")


def bridge_rules(
    table: str, wan: str, lan: str, *, gateways: Mapping[int, Sequence[str]], own: Mapping[int, Sequence[str]]
) -> str:
    """``gateways``, ``own``: addresses by IP version. What was heard stays in its sets when the rules are loaded again:
    who floods the LAN with claims would else be first.

    The inet hooks read a packet within one tag of 802.1Q or PPPoE (sysctl.conf), and no deeper: what has two tags could
    hide any address."""
    wrapped = f"meta mark set meta mark or {ELSEWHERE:#x}"
    return f"""table bridge {table} {{
  set beyond4 {{ type ipv4_addr; flags dynamic; size 64; }}
  set beyond6 {{ type ipv6_addr; flags dynamic; size 64; }}
  set routers {{ type ether_addr; flags dynamic,timeout; size 64; timeout 1h; }}
  set posers {{ type ether_addr; flags dynamic,timeout; size 256; timeout 1h; counter; }}
  chain direction {{ type filter hook prerouting priority -300; policy accept; }}
  chain hear {{ }}
  chain posing {{ }}
  chain posed {{ }}
}}
{"\n".join(f"flush chain bridge {table} {chain}" for chain in _CHAINS)}
table bridge {table} {{
  chain direction {{
    meta protocol {{ 8021q, 8021ad }} drop
    ether type 8021ad drop
    iifname "{wan}" meta mark set 0x1
    iifname {{ "{lan}", "{NEAR}" }} meta mark set 0x2
    vlan id 1-4095 {wrapped}
    meta protocol {PPPOE:#x} {wrapped}
    meta mark 0x1 jump hear
    meta mark 0x2 jump posing
  }}
  chain hear {{
    {_hear(gateways)}
  }}
  chain posing {{
    meta protocol arp arp htype != 1 drop
    ether saddr @routers goto posed
    {_posing(own)}
  }}
  chain posed {{
    update @posers {{ ether saddr }}
    drop
  }}
}}"""


_NEIGHBOURS = "meta protocol ip6 icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }"
"""``meta protocol``: of a frame with an empty tag, too."""


_SAYS = {4: "meta protocol arp arp saddr ip", 6: f"{_NEIGHBOURS} ip6 saddr"}
_FIELD = {4: "arp saddr ip", 6: "ip6 saddr"}
_ANSWER6 = "meta protocol ip6 icmpv6 type nd-neighbor-advert icmpv6 taddr"
"""Another address may speak for the one that it is about."""


def _hear(gateways: Mapping[int, Sequence[str]]) -> str:
    return "\n    ".join(
        f"{says} {{ {', '.join(gateways[version])} }} update @beyond{version} {{ {_FIELD[version]} }} "
        "update @routers { ether saddr }"
        for version, says in _SAYS.items()
        if gateways[version]
    )


def _posing(own: Mapping[int, Sequence[str]]) -> str:
    rules = []
    for version, claim in (*_SAYS.items(), (6, _ANSWER6)):
        rules.append(f"{claim} @beyond{version} goto posed")
        if own[version]:
            rules.append(f"{claim} {{ {', '.join(own[version])} }} goto posed")
    return "\n    ".join(rules)
