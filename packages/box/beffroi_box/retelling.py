"""When the box tells again what a centre lacks that was restored from a backup.

Process: the agent's thread ``send``; ``heard`` also by the thread that reads the feed.
Pace:    hundreds of boxes hear of it within the same minute. Each begins after a random part of SPREAD_S and pauses
         PACE_S for each fact, more or less by half: 698 boxes bring 230 facts a second. What is new is told first.
Fails:   what the centre cannot take now is kept and tried again; what it will never take is dropped, file by file.
Source:  decision 0050.
"""

from __future__ import annotations

import logging
import math
import random
import threading
from collections.abc import Iterator

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from beffroi_protocol.facts import FactBatch, FactsTaken
from beffroi_protocol.messages import encode

from beffroi_box.facts import FactSpool
from beffroi_box.told import Kept

log = logging.getLogger("beffroi_box.retelling")

SPREAD_S = 120.0
PACE_S, SHORTEST_S = 3.0, 2.0
MOST_DIGITS = 17


class Retelling:
    """``monotonic``: seconds of any steady clock. ``due``: when the next post may go, infinity when none waits."""

    def __init__(self, spool: FactSpool) -> None:
        self._spool = spool
        self._lock = threading.Lock()
        self._posts: Iterator[tuple[Kept, FactBatch]] | None = None
        self._next: tuple[Kept, FactBatch] | None = None
        self.due = math.inf

    def joined(self, number: str | None, *, monotonic: float) -> None:
        """A new connection; ``number``: the header by which the centre says what it has."""
        if number and number.isascii() and number.isdigit() and len(number) < MOST_DIGITS:
            self.heard(int(number), monotonic=monotonic)

    def heard(self, has: int | None, *, monotonic: float) -> None:
        """The centre says up to which post it has what this box told; None: it does not know of numbers."""
        if has is None or not self._spool.centre_has(has):
            return
        with self._lock:
            if self.due == math.inf:
                self.due = monotonic + random.uniform(0, SPREAD_S)  # noqa: S311
                log.warning("the centre has what was told up to %d: it will be told again from there", has)

    def take(self, *, monotonic: float) -> bytes | None:
        """Return what is to be told again now."""
        if monotonic < self.due:
            return None
        if self._next is None:
            if self._posts is None:
                self._posts = self._spool.lacking()
            self._next = self._spool.next_of(self._posts)
        if self._next is None:  # all of it; what was told meanwhile may follow
            self._posts = None
            self._pause(monotonic if self._spool.owes() else math.inf, SHORTEST_S)
            return None
        return encode(self._next[1])

    def sent(self, *, monotonic: float) -> None:
        assert self._next is not None
        self._pause(monotonic, max(SHORTEST_S, PACE_S * len(self._next[1].facts)))
        self._next = None

    def refuse(self, *, monotonic: float) -> None:
        """The centre will never take what ``take`` returned last, though it did once."""
        assert self._next is not None
        log.error(
            "posts %d to %d are not told again: the centre refuses them",
            self._next[0].first,
            self._next[0].last,
        )
        self._spool.drop_told(self._next[0])
        self._posts = self._next = None
        self._pause(monotonic, SHORTEST_S)

    def _pause(self, monotonic: float, seconds: float) -> None:
        with self._lock:
            self.due = monotonic + seconds * random.uniform(0.5, 1.5)  # noqa: S311


def has(answer: bytes) -> int | None:
    """What the answer to a post says; None where it says nothing."""
    try:
        return msgspec.json.decode(answer, type=FactsTaken).told
    except UNDECODABLE:
        return None
