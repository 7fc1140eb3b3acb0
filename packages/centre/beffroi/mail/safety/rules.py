"""Whether bank details in a mail want a call back. Pure.

Rule:    what somebody of the collectivité checked by telephone is known. So is what the same sender wrote 30 days
         before, in a mail that proved its domain: a fraud that waits so long, and steals the domain besides, is not
         what this warns of. A mail whose words announce a change is always shown, until somebody called back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

KNOWN_AFTER = timedelta(days=30)


class Concern(StrEnum):
    """Weakest first."""

    NONE = ""
    FIRST = "first"
    """The first bank details that this sender names here."""
    CHANGED = "changed"
    """The sender named others before."""
    ANNOUNCED = "announced"
    """The mail itself says that they change."""


def concern(
    *,
    confirmed: bool,
    announces: bool,
    proved: bool,
    first_seen_at: datetime,
    seen_at: datetime,
    others_before: bool,
) -> Concern:
    """``seen_at``: of the mail; ``others_before``: the sender named another IBAN before this one."""
    if confirmed:
        return Concern.NONE
    if announces:
        return Concern.ANNOUNCED
    if proved and seen_at - first_seen_at >= KNOWN_AFTER:
        return Concern.NONE
    return Concern.CHANGED if others_before else Concern.FIRST
