"""Whether a mail that names a released sender is theirs. Pure.

Rule:    a released mail that proved its domain (DMARC) opens the way for proved ones alone. One that could not prove
         it, or failed to (a forwarder, a supplier with a broken set-up), opens it for those that do not fail, and for
         those from the same network: what was released stays out of Junk, and a forger elsewhere stays in it.
"""

from __future__ import annotations

import ipaddress

_PREFIX = {4: 24, 6: 48}


def network_of(address: str) -> str:
    """The network of a client's address as text; "" when it is none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(ipaddress.ip_network((found, _PREFIX[found.version]), strict=False))


def is_the_same(*, dmarc: str, client: str, needs_proof: bool, network: str) -> bool:
    """``needs_proof``, ``network``: of the released mail; ``dmarc``, ``client``: of the new one."""
    if dmarc == "pass":
        return True
    if needs_proof:
        return False
    return dmarc != "fail" or (network != "" and network_of(client) == network)
