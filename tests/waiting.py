"""Waiting for what other processes bring about."""

from __future__ import annotations

import time
from collections.abc import Callable

_PAUSE_S = 0.03


def until(check: Callable[[], object], what: str, limit_s: float = 240.0) -> None:
    """Wait until ``check`` is true; the limit is for a broken run, not a measurement: a process of low
    priority gets little of a busy machine."""
    end = time.monotonic() + limit_s
    while not check():
        assert time.monotonic() < end, f"waited {limit_s:g} s: {what}"
        time.sleep(_PAUSE_S)
