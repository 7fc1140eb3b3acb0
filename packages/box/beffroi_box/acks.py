"""What the box enforces, said at once on the connection by which it was told.

Process: the agent; whoever enforced something calls, usually the thread that reads the feed.
Fails:   without a connection nothing is said; with each new one everything that is enforced is said again, so that what
         was on its way when a connection ended needs no memory.
Source:  docs/internals/feed.md, decision 0026.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable

from beffroi_protocol.messages import VERSION, Ack, AckBatch, encode

from beffroi_box import AGENT_VERSION
from beffroi_box.errors import CentreUnreachable

STILL_HERE_S = 60.0
"""After so long without a word, an empty line with the next that comes, at most 300 s later: a front door ends a
request whose body is silent for 390 s."""


class Acknowledger:
    """``say`` sends one line on the open feed; ``policy_version`` returns the version in force."""

    def __init__(self, say: Callable[[bytes], None], policy_version: Callable[[], int]) -> None:
        self._say = say
        self._policy_version = policy_version
        self._acks: dict[str, Ack] = {}
        self._lock = threading.Lock()
        self._said_at = float("-inf")

    def enforced(self, ack: Ack) -> None:
        self._acks[ack.channel] = ack
        self._tell((ack,))

    def joined(self) -> None:
        """A new connection: the centre may not know what was said on the one before."""
        self._tell(tuple(self._acks.values()))

    def policy_changed(self) -> None:
        self._tell(())

    def heard(self) -> None:
        """A line came; heartbeats come also when there is nothing to say."""
        if time.monotonic() - self._said_at > STILL_HERE_S:
            self._send(b"")

    def _tell(self, acks: Iterable[Ack]) -> None:
        self._send(encode(AckBatch(VERSION, tuple(acks), self._policy_version(), AGENT_VERSION)))

    def _send(self, line: bytes) -> None:
        with self._lock, contextlib.suppress(CentreUnreachable):
            self._say(line)
            self._said_at = time.monotonic()
