"""Doors that say they know more than this centre: when is that believed?

Purpose: after a restore that took STATE/feed along, only the doors know that our history is older. A new epoch then
         lets every door take a snapshot.
Input:   a box's word, and a box may lie. So a claim alone moves nothing: boxes of two collectivités must make it
         (of one, where only one has boxes), or a door of the centre itself. Even then the cost is one snapshot a
         door, at most once an hour, and no decision is lost. A box that claims a huge epoch cannot use the epochs up.
Fails:   a door that is not believed keeps its list, and joins again once the centre's version has passed its own; one
         that alone saw a higher epoch stays apart until the operator empties its tables.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from beffroi.stream.feedlog import Since

WITNESSES = 2
CLAIM_LIFE_S = 24 * 3600.0
MAX_LEAP = 100


@dataclass(frozen=True)
class _Claim:
    epoch: int
    at_s: float


class Claims:
    """One claim for each witness: a collectivité, or a door of the centre."""

    def __init__(self) -> None:
        self._claims: dict[str, _Claim] = {}

    def note(self, witness: str, epoch: int, *, needed: int, ours: int, now_s: float) -> int | None:
        """Return the epoch that ``needed`` witnesses have seen, or None as long as they are too few.

        Units: ``now_s`` in seconds of any steady clock; ``ours``: the centre's epoch.
        """
        self._claims = {w: c for w, c in self._claims.items() if now_s - c.at_s < CLAIM_LIFE_S}
        self._claims[witness] = _Claim(epoch, now_s)
        epochs = sorted((claim.epoch for claim in self._claims.values()), reverse=True)
        if len(epochs) < max(1, needed):
            return None
        # The lowest of the highest: nobody alone can push it further.
        return min(epochs[max(1, needed) - 1], ours + MAX_LEAP)

    def clear(self) -> None:
        """The new epoch has begun."""
        self._claims.clear()


def highest_epoch(since: Iterable[Since]) -> int:
    return max((part.epoch for part in since), default=0)
