"""How a new address is made known: its share of each day, and when it must wait. Pure.

The numbers are judged, not measured: they double some times a week, as operators of large senders publish it, from
what a town hall's correspondents would not notice.
Source: docs/decisions/0053-pools-of-outgoing-addresses.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from beffroi.mail.gate.exits import UNLIMITED

TABLE = (20, 30, 50, 80, 120, 180, 250, 350, 500, 700, 1000, 1400, 2000, 3000)
"""Recipients of one day for each slow provider, and for all other domains together; the last day is followed by no
limit."""
REFUSED, REFUSED_PERCENT = 5, 10
"""So many refusals of one provider within a day, and so large a part of what it was asked, pause the warm-up, where
they are also twice the part that the first addresses met there."""


class Answered(NamedTuple):
    """Recipients of one provider on one day: whom it took, and whom it refused for the sake of who sends."""

    sent: int = 0
    refused: int = 0

    @property
    def percent(self) -> float:
        asked = self.sent + self.refused
        return 100 * self.refused / asked if asked else 0.0


def share(step: int) -> int:
    """Of the day number ``step``, from 0; ``UNLIMITED`` when the table is over."""
    return TABLE[step] if step < len(TABLE) else UNLIMITED


def refusing(new: Mapping[str, Answered], old: Mapping[str, Answered]) -> str | None:
    """The provider that pauses the warm-up, the worst one; None while all is well. ``new``, ``old``: what providers
    answered this address and the first ones today."""
    bad = [
        (answered.percent, provider)
        for provider, answered in new.items()
        if answered.refused >= REFUSED
        and answered.percent >= REFUSED_PERCENT
        and answered.percent > 2 * old.get(provider, Answered()).percent
    ]
    return max(bad)[1] if bad else None


def resumed(step: int) -> int:
    """Where a warm-up goes on that was paused: half as far."""
    return min(step, len(TABLE)) // 2
