"""The packet rules of the relay for copiers. Pure.

Purpose: the LAN reaches the relay at the box's own address; as a bridge it takes what is sent to the page's address, so
         that a copier's settings outlive a change of mode. From the internet nobody reaches it: these rules name the
         LAN, and what they do not name is refused.
Source:  docs/decisions/0045-relay-on-the-boitier.md.
"""

from __future__ import annotations

from beffroi_protocol.messages import Policy

from beffroi_box.pagerules import PAGE_ADDRESS

PORTS = (25, 587)

_PORTS = f"tcp dport {{ {', '.join(map(str, PORTS))} }}"


def relay_input(policy: Policy, lan: str) -> str:
    return f"{lan} {_PORTS} accept" if policy.relay is not None else ""


def relay_redirect(policy: Policy, lan: str) -> str:
    return f"{lan} ip daddr {PAGE_ADDRESS} {_PORTS} redirect" if policy.relay is not None else ""


def relay_output(policy: Policy) -> str:
    """Submission at the addresses of the centre."""
    if policy.relay is None:
        return ""
    port = policy.relay.port
    return f"ip daddr @centre4 tcp dport {port} accept\n    ip6 daddr @centre6 tcp dport {port} accept"
