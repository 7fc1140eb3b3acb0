"""Rows that wait for their turn, where the clock on the wall was ahead when that turn was set.

Rule:    whoever asks for rows that are due names the longest wait that their program sets. What waits longer was put
         down by a clock that was set back since, and is due: else it would lie for as long as the clock was ahead.
Limits:  not for a moment that a person chose, nor for a term that protects them (a day to call an erasure back).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q


def due(field: str, now: datetime, longest: timedelta) -> Q:
    """``field`` holds when the next turn comes, never more than ``longest`` ahead."""
    return Q(**{f"{field}__lte": now}) | Q(**{f"{field}__gt": now + longest})


def over(field: str, now: datetime, wait: timedelta) -> Q:
    """``field`` holds when the wait began, and that wait is over. Another process may have begun one after ``now``."""
    return Q(**{f"{field}__lte": now - wait}) | Q(**{f"{field}__gt": now + wait})
