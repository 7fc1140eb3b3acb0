"""What the mail door has to tell, until the thread that writes to the database takes it.

Process: mailgate; any thread (one lock).
Fails:   open: past the bound, and when the process ends, it is lost.
"""

from __future__ import annotations

import collections
import threading

type Told = dict[str, object]


class Waiting:
    """At most ``most``; the oldest give way."""

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._told: collections.deque[Told] = collections.deque(maxlen=most)

    def add(self, one: Told) -> None:
        with self._lock:
            self._told.append(one)

    def take(self) -> list[Told]:
        """Return what waits, and keep nothing; ``put_back`` what could not be told."""
        with self._lock:
            taken = list(self._told)
            self._told.clear()
            return taken

    def put_back(self, taken: list[Told]) -> None:
        with self._lock:
            self._told = collections.deque((*taken, *self._told), self._told.maxlen)
