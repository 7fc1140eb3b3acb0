"""What the box saw and tells: sightings with their evidence, each once in a while.

Purpose: an attack that goes on for a day is some sightings, not a flood; whoever attacks cannot fill the spool.
Rule:    the same (detector, source) once in AGAIN_S; at most A_DAY different ones of a detector a day.
Privacy: a machine of the LAN appears under its opaque label only; no content, no address that was merely visited.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from beffroi_protocol.facts import Sighting
from beffroi_protocol.indicators import Indicator

from beffroi_box.facts import FactSpool, new_id

log = logging.getLogger("beffroi_box.alarms")

AGAIN_S = 3600
A_DAY = 200
DAY_S = 86400


class Alarms:
    """``now`` returns trusted epoch seconds. For one thread each, or under the caller's lock."""

    def __init__(self, spool: FactSpool, now: Callable[[], int]) -> None:
        self._spool = spool
        self._now = now
        self._told: dict[str, dict[str, int]] = {}
        self.held_back = 0

    def tell(
        self, detector: str, source: str, indicators: Iterable[Indicator], evidence: dict[str, str]
    ) -> bool:
        """Tell it unless it was told lately; return whether it was told now."""
        now = self._now()
        told = self._told.setdefault(detector, {})
        if now - told.get(source, 0) < AGAIN_S:
            return False
        if source not in told and len(told) >= A_DAY:
            told = self._told[detector] = {one: at for one, at in told.items() if now - at < DAY_S}
            if len(told) >= A_DAY:
                self.held_back += 1
                return False
        told[source] = now
        log.info("%s", detector)
        self._spool.tell(Sighting(new_id(), detector, tuple(indicators), now, evidence))
        return True
