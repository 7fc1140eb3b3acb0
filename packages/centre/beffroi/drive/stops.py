"""Which devices are stopped: asked at every request, read at most once a second and after each word of the sentry.

Process: drive.
Fails:   closed for who asks: metadata that do not answer refuse.
"""

from __future__ import annotations

import time

from beffroi.drive import alarms
from beffroi.drive.alarms import DeviceStopped
from beffroi.drive.store.commune import Communes
from beffroi.drive.who import Who

FRESH_S = 1.0
"""A word of the sentry may be lost."""


class Stops:
    """For any thread; a race reads once more."""

    def __init__(self, communes: Communes) -> None:
        self._communes = communes
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    def forget(self, collectivite_id: str) -> None:
        """Something changed there."""
        self._known.pop(collectivite_id, None)

    def require(self, who: Who) -> None:
        """Errors: DeviceStopped; those of the metadata."""
        if who.app_password_id and who.app_password_id in self._stopped(who.collectivite_id):
            raise DeviceStopped

    def _stopped(self, collectivite_id: str) -> frozenset[str]:
        now = time.monotonic()
        until, stopped = self._known.get(collectivite_id, (0.0, frozenset()))
        if now < until:
            return stopped
        with self._communes.metadata(collectivite_id).reading() as reading:
            stopped = frozenset(alarms.stopped(reading))
        self._known[collectivite_id] = (now + FRESH_S, stopped)
        return stopped
