"""The packet rules of the inspection engine as nft text. Pure.

Order:   a chain of its own behind ``forward_``: only what all deny lists and the policy let pass is handed over, and
         what the engine says cannot let pass what they refuse.
Which:   TCP flows that the LAN began, both directions, and what it sends to UDP port 443 (QUIC): the first
         ``FIRST_PACKETS`` packets of a flow (counted by the kernel with nf_conntrack_acct; without it, all of them).
         What comes from the internet is not looked at: a stranger could else write any name into a town hall's record.
Fails:   ``bypass``: without an engine the kernel accepts. A kernel without queues in nftables but with those of
         iptables (``MARKED``) gets a mark from this chain, and one rule that takes what is marked.
Source:  nft(8), "QUEUE STATEMENT";  docs/decisions/0021.
"""

from __future__ import annotations

from beffroi_protocol.messages import Policy

from beffroi_box.inspectconf import QUEUE

FIRST_PACKETS = 40
NATIVE, MARKED = "native", "marked"
QUEUE_MARK = 0x10
PROBE = f"""table inet beffroi_probe {{
  chain probe {{
    type filter hook forward priority -4; policy accept;
    queue flags bypass to {QUEUE}
  }}
}}
"""
"""Checked with ``nft -c``: does this kernel know queues?"""
MARK_RULE = (
    "FORWARD", "-m", "mark", "--mark", f"{QUEUE_MARK:#x}/{QUEUE_MARK:#x}",
    "-j", "NFQUEUE", "--queue-num", str(QUEUE), "--queue-bypass",
)  # fmt: skip


def inspect_rules(policy: Policy, table: str, wan: str, lan: str, queue: str) -> str:
    """``queue``: NATIVE, MARKED, or "" for a kernel that has neither."""
    none = f"destroy chain inet {table} inspect_"  # a chain without rules would still cost each packet
    if not policy.inspect or not queue:
        return none
    over = (
        f"queue flags bypass to {QUEUE}" if queue == NATIVE else f"meta mark set meta mark or {QUEUE_MARK:#x}"
    )
    first = f"ct packets < {FIRST_PACKETS}"
    return f"""{none}
table inet {table} {{
  chain inspect_ {{
    type filter hook forward priority -4; policy accept;
    {lan} ct direction original udp dport 443 {first} {over}
    {lan} ct direction original meta l4proto tcp {first} {over}
    {wan} ct direction reply meta l4proto tcp {first} {over}
  }}
}}"""
