"""When a certificate is asked for, and which names it holds. Pure.

Source:  RFC 8555; limits of Let's Encrypt (300 orders in 3 h, 5 failed validations of a name in an hour).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence

LABELS = ("mta-sts", "autoconfig", "autodiscover")
ALARM_S = 14 * 86400
MAX_OPEN = 5
"""Orders that wait at once; each takes seconds, so a département of 700 communes is served in an hour or two."""
FIRST_WAIT_S, LONGEST_WAIT_S = 3600, 86400
STALE_ORDER_S = 1800
_NAME = re.compile(r"(?=.{4,230}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+\Z")


def names(domain: str, wanted: Collection[str]) -> tuple[str, ...]:
    """Of what is asked only names that may be: three below the domain; () for what is no domain."""
    if not _NAME.match(domain):
        return ()
    return tuple(f"{label}.{domain}" for label in LABELS if f"{label}.{domain}" in wanted)


def renew_at(not_before: int, not_after: int, domain: str) -> int:
    """Two thirds of its life, and up to a twentieth later: never all communes on one day. Epoch seconds."""
    life = not_after - not_before
    share = int.from_bytes(hashlib.sha256(domain.encode()).digest()[:4]) / 2**32
    return not_before + life * 2 // 3 + int(life * share / 20)


def due(
    held: Sequence[str], wanted: Sequence[str], *, not_before: int, not_after: int, domain: str, now: int
) -> bool:
    """Whether to ask now. A name that leads here no more is dropped at the renewal, not at once."""
    if not wanted:
        return False
    return bool(set(wanted) - set(held)) or now >= renew_at(not_before, not_after, domain)


def wait_s(failures: int, code: str) -> int:
    """How long after the last of these failures: an hour, four, sixteen, a day."""
    if code == "rate":
        return LONGEST_WAIT_S
    return min(LONGEST_WAIT_S, FIRST_WAIT_S << 2 * min(max(0, failures - 1), 8))
