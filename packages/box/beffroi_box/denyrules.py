"""The packet rules that refuse what is listed, as nft text. Pure.

Order:   urgent addresses, prefixes, bulk lists. What comes from the LAN is asked for its target, what comes from the
         WAN for its source: the other end is a machine of this house. What comes from elsewhere, or from the box
         itself, is asked for both.
Passes:  what the box needs (keep4, keep6) and what a local exception names (spare4, spare6); asked of listed packets
         only, because most are not.
Early:   what repeats an attempt that is counted already is refused before the kernel seeks or makes a connection for
         it: a flood costs less. Whether its source is still listed is asked all the same.
Source:  docs/internals/box.md, docs/internals/counting.md.
"""

from __future__ import annotations

from beffroi_protocol.messages import Policy

from beffroi_box.tallies import tried

LOG_IN, LOG_OUT = "bf:in", "bf:out"
_FAMILIES = ((4, "ip"), (6, "ip6"))
DENY_CHAINS = (
    "tried_in", "tried_out", "blocked_in", "blocked_out",
    *(f"{name}{version}" for name in ("blocked_in", "blocked_out", "deny_out", "deny") for version, _ in _FAMILIES),
    "deny", "again", "early_",
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
    by_family = "\n".join(_of_family(version, family, wan, lan) for version, family in _FAMILIES)
    return f"""table inet {table} {{
{tried("in", "saddr", group, LOG_IN)}
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
{by_family}
  chain deny {{
    meta nfproto ipv4 goto deny4
    meta nfproto ipv6 goto deny6
  }}
  chain again {{
    ip saddr . meta l4proto . th dport @tried4_in jump deny
    ip6 saddr . meta l4proto . th dport @tried6_in jump deny
  }}
  chain early_ {{
    {wan} jump again
  }}
}}"""


def _of_family(version: int, family: str, wan: str, lan: str) -> str:
    passes = "\n".join(
        f"    {family} {side} @{name}{version} return"
        for name in ("keep", "spare")
        for side in ("saddr", "daddr")
    )
    listed = {
        chain: "\n".join(
            f"    {family} {side} @{kind}{version} goto {chain}{version}" for kind in ("hot", "cold")
        )
        for side, chain in (("saddr", "blocked_in"), ("daddr", "blocked_out"))
    }
    return f"""  chain blocked_in{version} {{
{passes}
    goto blocked_in
  }}
  chain blocked_out{version} {{
{passes}
    goto blocked_out
  }}
  chain deny_out{version} {{
{listed["blocked_out"]}
    goto bulk_out
  }}
  chain deny{version} {{
    {lan} goto deny_out{version}
{listed["blocked_in"]}
    {wan} goto bulk_in
    jump bulk_in
    goto deny_out{version}
  }}"""
