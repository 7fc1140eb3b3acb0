"""What the box tells the centre: facts, in batches.

Purpose: nothing that the centre should know is lost because it could not answer: only what it will never take
         (400 or 413 for this very content) is given up, fact by fact. What it has lost since is told again.
Process: a thread of the agent.
Fails:   no network, 401 to 408, 429, 5xx, an unknown protocol version: all is kept and sent again.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from beffroi_protocol.errors import VersionUnknown

from beffroi_box.errors import CentreRefused, CentreUnreachable
from beffroi_box.facts import FactSpool
from beffroi_box.retelling import Retelling, has

log = logging.getLogger("beffroi_box.sender")

FACTS_PAUSE_S = 2.0
TROUBLE_PAUSE_S = 2.0
WAKE_EVERY_S = 5.0
_NEVER = (400, 413)

Post = Callable[[str, bytes], bytes]


class Sender:
    """``post`` sends one signed request."""

    def __init__(self, post: Post, spool: FactSpool) -> None:
        self._post = post
        self._spool = spool
        self.again = Retelling(spool)
        self._facts_at = float("-inf")
        self.wake = threading.Event()
        spool.changed = self.wake
        if spool.waiting():
            self.wake.set()

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self.wake.wait(WAKE_EVERY_S)
            self.wake.clear()
            if stopping.is_set():
                return
            if not self.send_facts(monotonic=time.monotonic()):
                stopping.wait(TROUBLE_PAUSE_S)
                self.wake.set()
            elif self._spool.waiting():
                stopping.wait(0.2)
                self.wake.set()

    def send_facts(self, *, monotonic: float) -> bool:
        """Send one batch, if it is time: facts may wait a little and merge. Return
        False when the centre could not take it now; it is kept."""
        if monotonic - self._facts_at <= FACTS_PAUSE_S:
            return True
        if (facts := self._spool.take()) is None:
            return self._tell_again(monotonic)
        try:
            answer = self._post("/v1/facts", facts)
        except (CentreUnreachable, CentreRefused) as error:
            if never_taken(error):
                self._spool.refuse()
            return _troubled(error)
        self._spool.sent(has(answer))
        self._facts_at = monotonic
        self.again.heard(has(answer), monotonic=monotonic)
        return True

    def _tell_again(self, monotonic: float) -> bool:
        if (facts := self.again.take(monotonic=monotonic)) is None:
            return True
        try:
            answer = self._post("/v1/facts", facts)
        except (CentreUnreachable, CentreRefused) as error:
            if never_taken(error):
                self.again.refuse(monotonic=monotonic)
            return _troubled(error)
        self.again.sent(monotonic=monotonic)
        self.again.heard(has(answer), monotonic=monotonic)
        return True


def never_taken(error: CentreUnreachable | CentreRefused) -> bool:
    """True when the same content would be refused again for ever. A centre of another version is none of it:
    it will be updated, or the box will."""
    return (
        isinstance(error, CentreRefused) and error.status in _NEVER and error.problem != VersionUnknown.code
    )


def _troubled(error: Exception) -> bool:
    if isinstance(error, CentreRefused):
        log.warning("the centre refused a post: %s", error)
    return False
