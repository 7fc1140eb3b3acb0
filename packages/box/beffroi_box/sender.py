"""What the box tells the centre: acknowledgements at once, facts in batches.

Purpose: nothing that the centre should know is lost because it could not answer: only what it will never take
         (400 or 413 for this very content) is given up, fact by fact.
Process: a thread of the agent.
Fails:   no network, 401 to 408, 429, 5xx, an unknown protocol version: all is kept and sent again.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from beffroi_protocol.errors import ProtocolError, VersionUnknown
from beffroi_protocol.messages import VERSION, Ack, AckAnswer, AckBatch, decode, encode

from beffroi_box import AGENT_VERSION
from beffroi_box.errors import CentreRefused, CentreUnreachable
from beffroi_box.facts import FactSpool

log = logging.getLogger("beffroi_box.sender")

FACTS_PAUSE_S = 2.0
TROUBLE_PAUSE_S = 2.0
WAKE_EVERY_S = 5.0
SPREAD_AT_MOST_S = 20.0
_NEVER = (400, 413)

Post = Callable[[str, bytes], bytes]


class Sender:
    """``post`` sends one signed request; ``policy_version`` returns the version in force."""

    def __init__(self, post: Post, spool: FactSpool, policy_version: Callable[[], int]) -> None:
        self._post = post
        self._spool = spool
        self._policy_version = policy_version
        self._acks: dict[str, Ack] = {}
        self._policy_news = False
        self._lock = threading.Lock()
        self._facts_at = float("-inf")
        self.spread_s = 0.0
        self.wake = threading.Event()
        spool.changed = self.wake
        if spool.waiting():
            self.wake.set()

    def enforced(self, ack: Ack) -> None:
        with self._lock:
            self._acks[ack.channel] = ack
        self.wake.set()

    def policy_changed(self) -> None:
        with self._lock:
            self._policy_news = True
        self.wake.set()

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self.wake.wait(WAKE_EVERY_S)
            self.wake.clear()
            if self._acks:
                # What this box enforces, it enforces already; word of it comes when the centre has time.
                stopping.wait(self.spread_s * random.random())  # noqa: S311
            if stopping.is_set():
                return
            if not self.send_acks() or not self.send_facts(monotonic=time.monotonic()):
                stopping.wait(TROUBLE_PAUSE_S)
                self.wake.set()
            elif self._spool.waiting():
                stopping.wait(0.2)
                self.wake.set()

    def send_acks(self) -> bool:
        """Return False when the centre could not take them now; they are kept."""
        with self._lock:
            acks, self._acks = self._acks, {}
            news, self._policy_news = self._policy_news, False
        if not acks and not news:
            return True
        batch = AckBatch(VERSION, tuple(acks.values()), self._policy_version(), AGENT_VERSION)
        try:
            self.spread_s = _spread_s(self._post("/v1/acks", encode(batch)))
        except (CentreUnreachable, CentreRefused) as error:
            if never_taken(error):
                log.error("acknowledgements refused for good: %s", error)
                return True
            with self._lock:
                self._acks = {**acks, **self._acks}  # a later one of the same channel says more
                self._policy_news = self._policy_news or news
            return _troubled(error)
        return True

    def send_facts(self, *, monotonic: float) -> bool:
        """Send one batch, if it is time: facts may wait a little and merge. Return False as ``send_acks``."""
        if monotonic - self._facts_at <= FACTS_PAUSE_S or (facts := self._spool.take()) is None:
            return True
        try:
            self._post("/v1/facts", facts)
        except (CentreUnreachable, CentreRefused) as error:
            if never_taken(error):
                self._spool.refuse()
            return _troubled(error)
        self._spool.sent()
        self._facts_at = monotonic
        return True


def _spread_s(answer: bytes) -> float:
    try:
        return min(SPREAD_AT_MOST_S, decode(answer, AckAnswer).spread_ms / 1000)
    except ProtocolError:
        return 0.0


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
