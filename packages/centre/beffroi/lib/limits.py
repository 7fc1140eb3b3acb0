"""Token buckets: how much each of many may do. Pure; bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BUCKETS = 50_000


@dataclass
class _Bucket:
    tokens: float
    at_s: float


class RateLimit:
    """``burst`` at once, refilled by ``per_s``. Units: ``now_s`` in seconds of any steady clock."""

    def __init__(self, *, burst: float, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key: str, amount: float, *, now_s: float) -> bool:
        """Take ``amount`` tokens of ``key``; False when there are too few (nothing is taken then)."""
        bucket = self._buckets.pop(key, None) or _Bucket(self._burst, now_s)
        bucket.tokens = min(self._burst, bucket.tokens + (now_s - bucket.at_s) * self._per_s)
        bucket.at_s = now_s
        allowed = bucket.tokens >= amount
        if allowed:
            bucket.tokens -= amount
        self._buckets[key] = bucket  # youngest last: the oldest is dropped first
        while len(self._buckets) > MAX_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        return allowed
