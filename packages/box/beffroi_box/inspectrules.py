"""The packet rules of the inspection engine as nft text. Pure.

Order:   a chain of its own behind ``forward_``: only what all deny lists and the policy let pass is handed over, and
         what the engine says cannot let pass what they refuse.
Which:   TCP flows that the LAN began, both directions, the first ``FIRST_PACKETS`` packets (counted by the kernel with
         nf_conntrack_acct; without it, all of them). What comes from the internet is not looked at: a stranger could
         else write any name into a town hall's record.
QUIC:    no connection of it begins, and browsers come back over TCP at once: Suricata 7.0.10 reads no name that is
         spread over two packets, as today's browsers send it. Only a first packet of version 1 or 2 is meant: other
         protocols on this port pass.
Fails:   ``bypass``: without an engine the kernel accepts. A kernel without queues in nftables but with those of
         iptables (``MARKED``) gets a mark from this chain, and one rule that takes what is marked.
Source:  nft(8), "QUEUE STATEMENT"; RFC 9000, 17.2; RFC 9369; docs/decisions/0021.
"""

from __future__ import annotations

from beffroi_protocol.messages import Policy

from beffroi_box.inspectconf import QUEUE

FIRST_PACKETS = 40
NATIVE, MARKED = "native", "marked"
QUEUE_MARK = 0x10
QUIC = "@th,64,2 0x3 @th,72,32 { 0x1, 0x6b3343cf }"
"""A long header with one of these versions, behind the eight bytes of UDP's own."""
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
    if not policy.inspect or not queue:
        return ""
    over = (
        f"queue flags bypass to {QUEUE}" if queue == NATIVE else f"meta mark set meta mark or {QUEUE_MARK:#x}"
    )
    first = f"meta l4proto tcp ct packets < {FIRST_PACKETS}"
    return f"""table inet {table} {{
  chain inspect_ {{
    {lan} udp dport 443 {QUIC} reject with icmpx admin-prohibited
    {lan} ct direction original {first} {over}
    {wan} ct direction reply {first} {over}
  }}
}}"""
