"""Numbers and times of a payload that something outside told: bounded, never later than now. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from beffroi.lib import clock


def number_of(payload: Mapping[str, object], name: str) -> int:
    value = payload.get(name)
    return max(0, value) if isinstance(value, int) else 0


def time_of(payload: Mapping[str, object], name: str) -> datetime:
    """Epoch seconds of a payload, never later than now."""
    value = payload.get(name)
    now = clock.now()
    if not isinstance(value, int | float) or value <= 0:
        return now
    return datetime.fromtimestamp(min(value, now.timestamp()), UTC)
