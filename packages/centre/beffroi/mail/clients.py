"""Whether the host that handed a message in may be named as an address of the campaign. Pure.

Rule:    its address is an observed fact (a completed TCP connection), but most mail comes from hosts that thousands
         share: blocking one cuts innocent senders off. What looks shared is not even a candidate; what is one needs
         the same corroboration as any address, and watch never proposes a protected network.
Hostile: HELO and sender are the sender's words: here they can only spare the host, never blame another.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

MANY_SENDERS = 3


@dataclass(frozen=True)
class Client:
    """``provider_*``: that name belongs to a large provider. ``sender_domains``: how many it sent for lately."""

    address: str
    spf: str = "none"
    signed_in: bool = False
    rescanned: bool = False
    provider_sender: bool = False
    provider_helo: bool = False
    sender_domains: int = 1


def refusal(client: Client) -> str:
    """Return why the address is no candidate, as a code; "" when it is one."""
    try:
        ipaddress.ip_address(client.address)
    except ValueError:
        return "unknown"
    if client.signed_in:
        return "own_user"  # a member's own connection
    if client.rescanned:
        return "not_observed"  # read from a header, not seen on a connection
    if client.spf == "pass" and (client.provider_sender or client.provider_helo):
        return "provider"
    return "many_senders" if client.sender_domains >= MANY_SENDERS else ""
