"""Hub: everyone who holds a response open, and what is sent to them.

Purpose: hand the same bytes to tens of thousands of held responses: whoever holds one is told at once, and takes.
Process: stream; the event loop alone touches it.
Input:   readers are hostile: one that does not read is cut when its queue is full. It comes back and is
         served from its version; nobody waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

MAX_QUEUED_LINES = 256
MAX_QUEUED_BYTES = 1024 * 1024
STALL_S = 60.0


def _nothing() -> None: ...


class Subscriber:
    """One held response. ``topics``: names of channels, or of live audiences."""

    def __init__(self, owner: str, topics: Iterable[str], first: Iterable[bytes] = ()) -> None:
        self.owner = owner
        self.topics = frozenset(topics)
        self.closed = False
        self.on_ready: Callable[[], object] = _nothing
        """Called when there is something to take, and at the end."""
        self.on_close: Callable[[], object] = _nothing
        """For a writer that waits for its reader, and would not notice."""
        self.writing_since_s = 0.0
        """When the writer began to wait for its reader, by the loop's clock; 0.0: it does not."""
        self._queue: deque[bytes] = deque(first)
        self._queued_bytes = 0  # the answer to ``since`` does not count: it is as long as it is
        self._first = len(self._queue)

    def put(self, data: bytes) -> bool:
        """Queue bytes; False (and closed) when the reader is too slow."""
        if self.closed:
            return False
        queued = len(self._queue) - self._first
        # One long line alone is no sign of a slow reader.
        if queued >= MAX_QUEUED_LINES or (queued and self._queued_bytes + len(data) > MAX_QUEUED_BYTES):
            self.close()
            return False
        self._queue.append(data)
        self._queued_bytes += len(data)
        self.on_ready()
        return not self.closed

    def close(self) -> None:
        """End the response. What is queued is dropped: a revoked box receives nothing more."""
        if not self.closed:
            self.closed = True
            self._queue.clear()
            self.on_ready()
            self.on_close()
            self.on_ready = self.on_close = (
                _nothing  # who held it is free at once, without a search for cycles
            )

    def take(self) -> bytes:
        """Return the next bytes, several lines at once when they wait; empty when none do, and at the end."""
        if self._first and self._queue:
            self._first -= 1
            return self._queue.popleft()
        data = self._queue[0] if len(self._queue) == 1 else b"".join(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        return data


class Hub:
    """Subscribers by owner (a box, a door, a person) and by topic."""

    def __init__(self) -> None:
        self._by_topic: dict[str, set[Subscriber]] = {}
        self._by_owner: dict[str, list[Subscriber]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def owners(self) -> list[str]:
        return list(self._by_owner)

    def topics(self) -> list[str]:
        """Topics that someone listens to."""
        return list(self._by_topic)

    def is_followed(self, topic: str) -> bool:
        return topic in self._by_topic

    def add(self, subscriber: Subscriber, *, at_most: int) -> None:
        """Add; beyond ``at_most`` of one owner the oldest is closed: after a cut line the new one is true."""
        held = self._by_owner.setdefault(subscriber.owner, [])
        held.append(subscriber)
        self._count += 1
        for topic in subscriber.topics:
            self._by_topic.setdefault(topic, set()).add(subscriber)
        for old in held[: max(0, len(held) - at_most)]:
            self.remove(old)

    def remove(self, subscriber: Subscriber) -> None:
        subscriber.close()
        held = self._by_owner.get(subscriber.owner, [])
        if subscriber in held:
            held.remove(subscriber)
            self._count -= 1
        if not held:
            self._by_owner.pop(subscriber.owner, None)
        for topic in subscriber.topics:
            members = self._by_topic.get(topic, set())
            members.discard(subscriber)
            if not members:
                self._by_topic.pop(topic, None)

    def send(self, topic: str, data: bytes, accept: Callable[[Subscriber], bool] | None = None) -> int:
        """Queue ``data`` for every subscriber of ``topic``; return to how many."""
        sent = 0
        for subscriber in list(self._by_topic.get(topic, ())):
            if accept is not None and not accept(subscriber):
                continue
            if subscriber.put(data):
                sent += 1
            else:
                self.remove(subscriber)
        return sent

    def cut_stalled(self, *, now_s: float) -> int:
        """Close those whose reader took nothing for ``STALL_S``; return how many."""
        stalled = [
            one
            for held in self._by_owner.values()
            for one in held
            if one.writing_since_s and now_s - one.writing_since_s > STALL_S
        ]
        for subscriber in stalled:
            self.remove(subscriber)
        return len(stalled)

    def close_owner(self, owner: str) -> int:
        """Close all of one owner at once; return how many."""
        held = list(self._by_owner.get(owner, ()))
        for subscriber in held:
            self.remove(subscriber)
        return len(held)

    def close_all(self) -> None:
        for owner in self.owners():
            self.close_owner(owner)
