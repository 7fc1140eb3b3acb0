"""Failed sign-ins as events: which address tried which account, over a completed connection. Pure.

Purpose: one form for all doors (portal, console, IMAP, submission), so that guessing is seen across them.
Input:   hostile: the account is what someone typed. It leaves here as a digest and a domain, never as text.
Source:  docs/security/attack-model.md; the reader is watch.login_attacks.
"""

from __future__ import annotations

import ipaddress
import re

from beffroi.lib import hashed

KIND = "identity:sign_in_failed"
CONSOLE = "console"
_DOMAIN = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,8}", re.ASCII)


def digest(account: str) -> str:
    """``account``: in lower case."""
    return hashed.sha256(account)[:32]


def source(address: str) -> str:
    """An IPv4 address itself, the /64 of an IPv6 address; what is no address stands for itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def payload(*, address: str, account: str, door: str) -> dict[str, object] | None:
    """Return the event's payload: address (canonical), account (digest), domain ("" when none), door. None for what
    is no address on the internet: a person at the machine itself, a proxy of ours."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if not parsed.is_global:
        return None
    name = account.strip().lower()[:320]
    domain = name.rpartition("@")[2]
    return {
        "address": str(parsed),
        "account": digest(name),
        "domain": domain if _DOMAIN.fullmatch(domain) else "",
        "door": door[:16],
    }
