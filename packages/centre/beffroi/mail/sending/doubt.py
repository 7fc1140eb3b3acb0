"""Whether what a mailbox sends leaves by the address of doubtful senders. Pure: counts in, reasons out.

A reason looks at some days, and ends with them: who is clean for so long leaves by the usual addresses again, without
anybody's doing. All numbers are judged, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

DAYS = 7
NEW_DAYS, NEW_RECIPIENTS = 14, 100
"""A mailbox younger than that which writes to so many within a day."""
COMPLAINTS = 3
"""Proved complaints of recipients within ``DAYS``."""
REFUSED, REFUSED_PERCENT = 20, 10
"""Recipients refused for good within ``DAYS``, and their part of all: a list of addresses that are none."""


@dataclass(frozen=True)
class Seen:
    """One mailbox. ``contained``: it is held, or was within ``DAYS``; ``over``: refused at a limit within ``DAYS``;
    ``day_recipients``: of the last 24 h, where it is new; the others within ``DAYS``."""

    contained: bool = False
    over: bool = False
    complaints: int = 0
    age_days: int = NEW_DAYS
    day_recipients: int = 0
    refused: int = 0
    recipients: int = 0


def writes_to_nobody(unknown: int, answered: int, *, most: int, percent: int) -> bool:
    """Whether an account is to be held by itself: so many recipients within an hour that their servers do not know, and
    so large a part of all that were answered for, are a list that was stolen or made up. ``most`` 0: never."""
    return 0 < most <= unknown and 100 * unknown >= percent * max(answered, unknown)


def reasons(seen: Seen) -> tuple[str, ...]:
    """contained, limit, complaints, new, refused; none: it leaves as everybody's."""
    new = seen.age_days < NEW_DAYS and seen.day_recipients >= NEW_RECIPIENTS
    refused = seen.refused >= REFUSED and 100 * seen.refused >= REFUSED_PERCENT * max(
        seen.recipients, seen.refused
    )
    found = {
        "contained": seen.contained,
        "limit": seen.over,
        "complaints": seen.complaints >= COMPLAINTS,
        "new": new,
        "refused": refused,
    }
    return tuple(name for name, holds in found.items() if holds)
