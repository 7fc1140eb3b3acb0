"""When a new forward or filter looks like somebody else's hand. Pure.

Rule:    a forward, or a filter that puts nearly everything away, made within a day of a sign-in at the portal from a
         network (/24, /48) that none of the person's earlier sign-ins came from, at any door. Countries and operators
         are not looked at: no database of them is free to be shipped.
Limits:  who has no earlier sign-in is new, and every network of theirs with them: nothing is said of those.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from beffroi.mail.filters.sieve import Rule
from beffroi.mail.held.senders import network_of

RECENT = timedelta(hours=24)
SHORT_WORDS = 3
FEW_MAILS = 10
DOORS = ("portal", "sieve")
"""Where something can be set."""
HIDING_PLACES = ("Trash", "Junk", "Archive", "Archives", "RSS")


@dataclass(frozen=True)
class Came:
    """Sign-ins from one address at one door on one day."""

    door: str
    address: str
    first_at: datetime
    last_at: datetime


def new_networks(seen: Iterable[Came], now: datetime) -> set[str]:
    """Networks of the last day's sign-ins at ``DOORS`` that were never seen before it; empty without a history."""
    rows = [(one, network_of(one.address)) for one in seen]
    before = {network for one, network in rows if one.first_at < now - RECENT}
    recent = {network for one, network in rows if one.door in DOORS and one.last_at >= now - RECENT}
    return recent - before - {""} if before else set()


def sweeps(rule: Rule, *, matched: int, looked: int) -> bool:
    """Whether a filter hides nearly everything. ``matched`` of the last ``looked`` mails; 0 of 0 when nobody looked."""
    if rule.act != "move" or rule.folder not in HIDING_PLACES:
        return False
    return len(rule.words.strip()) < SHORT_WORDS or (looked >= FEW_MAILS and matched * 2 > looked)
