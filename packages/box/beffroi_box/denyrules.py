"""The packet rules that refuse what is listed, as nft text. Pure.

Order:   urgent addresses, prefixes, bulk lists. What comes from the LAN is asked for its target, what comes from the
         WAN for its source: the other end is a machine of this house. What comes from elsewhere, or from the box
         itself, is asked for both.
Passes:  what the box needs (keep4, keep6) and what a local exception names (spare4, spare6); asked of listed packets
         only, because most are not.
Spelt:   addresses of IPv6 that stand for one of IPv4 are no way round: nobody needs them in a network that has both,
         and in the sets they would double each load. Likewise the two tunnels that machines made by themselves.
Early:   what repeats an attempt that is counted already is refused before the kernel seeks or makes a connection for
         it: a flood costs less. Whether its source is still listed is asked all the same.
Source:  docs/internals/box.md, docs/internals/counting.md; decision 180.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from beffroi_protocol.messages import Policy

from beffroi_box.lanprobe import MARK, NEAR
from beffroi_box.tallies import callers, tried

LOG_IN, LOG_OUT, LOG_ALSO = "bf:in", "bf:out", "bf:also"
_FAMILIES = ((4, "ip"), (6, "ip6"))
STANDING = ("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
"""IPv4-mapped, NAT64 (RFC 6052, RFC 8215), Teredo, 6to4."""
_IPV6, _TEREDO_PORT = 41, 3544
DENY_CHAINS = (
    "tried_in", "tried_out", "callers", "blocked_in", "blocked_out",
    *(f"{name}{version}" for name in ("blocked_in", "blocked_out") for version, _ in _FAMILIES),
    "deny_in", "deny_out", "deny", "again", "early_",
)  # fmt: skip


def deny_rules(policy: Policy, table: str, group: int, wan: str, lan: str) -> str:
    """``wan``, ``lan``: what matches packets from there. ``group``: of nflog.

    ``goto`` ends the walk for a blocked packet; in observation (enforce off) it is only counted and logged.
    """
    refuse_in = "drop" if policy.enforce else "return"
    refuse_out = (
        "meta l4proto tcp reject with tcp reset\n    reject with icmpx admin-prohibited"
        if policy.enforce
        else "return"
    )
    # In a bridge, the inet hooks see the bridge alone, and the probe is one more machine of the LAN.
    probe = f'iifname "{NEAR}" meta mark set meta mark or {MARK:#x}' if policy.mode == "router" else ""
    listed = "\n".join(_listed(way, side) for way, side in (("in", "saddr"), ("out", "daddr")))
    return f"""table inet {table} {{
{tried("in", "saddr", group, LOG_IN)}
{callers(group, LOG_ALSO)}
{tried("out", "daddr", group, LOG_OUT)}
  chain blocked_in {{
    counter name blocked_in
    jump tried_in
    {refuse_in}
  }}
  chain blocked_out {{
    counter name blocked_out
    jump tried_out
    {refuse_out}
  }}
{listed}
  chain deny {{
    {lan} goto deny_out
    {wan} goto deny_in
    jump deny_in
    goto deny_out
  }}
  chain again {{
    ip saddr . meta l4proto . th dport @tried4_in jump deny_in
    ip6 saddr . meta l4proto . th dport @tried6_in jump deny_in
  }}
  chain early_ {{
    {wan} goto again
    {probe}
  }}
}}"""


def _listed(way: str, side: str) -> str:
    """One rule lets what is in none of a family's sets go on to the bulk lists: each rule costs each packet."""
    clean, blocked, chains = [], [], []
    for version, family in _FAMILIES:
        free = " ".join(f"{family} {side} != @{kind}{version}" for kind in ("hot", "cold"))
        clean.append(f"    {free} goto bulk_{way}")
        blocked.append(f"    meta nfproto ipv{version} goto blocked_{way}{version}")
        unkept = " ".join(
            f"{family} {end} != @{name}{version}" for name in ("keep", "spare") for end in ("saddr", "daddr")
        )
        chains.append(f"  chain blocked_{way}{version} {{\n    {unkept} goto blocked_{way}\n  }}")
    rules = "\n".join((*clean, *blocked))
    return "\n".join((*chains, f"  chain deny_{way} {{\n{rules}\n  }}"))


def standing_declared() -> str:
    return """\
  set stands_for { type ipv6_addr; flags interval; }
  counter stands_for { }"""


def standing_elements(table: str, translations: Iterable[str]) -> str:
    """``translations``: prefixes of IPv6 behind which the operator translates, beside those that mean it everywhere."""
    networks = (ipaddress.IPv6Network(one) for one in (*STANDING, *translations))
    elements = ", ".join(map(str, ipaddress.collapse_addresses(networks)))
    return f"flush set inet {table} stands_for\nadd element inet {table} stands_for {{ {elements} }}"


def standing_rules(policy: Policy, lan: str) -> str:
    """For new flows. What an exception names passes."""
    if not policy.enforce:
        return ""
    refuse = "counter name stands_for reject with icmpx admin-prohibited"
    tunnels = (f"meta l4proto {_IPV6}", f"udp dport {_TEREDO_PORT}")
    return "\n    ".join((
        f"ip6 daddr @stands_for ip6 daddr != @spare6 {refuse}",
        "ip6 saddr @stands_for ip6 saddr != @spare6 counter name stands_for drop",
        *(f"{lan} {tunnel} ip daddr != @spare4 {refuse}" for tunnel in tunnels),
    ))  # fmt: skip
