"""When the clock of the machine may be believed by something that deletes. Pure.

Rule:    time is trusted as far as it can be walked from what is known in steps of at most so many days, over the times
         of finished runs and of signed checkpoints of the audit log (one a day). A clock that stands further ahead,
         or behind by more than a day, deletes nothing until a person confirms it.
Attack:  a clock ten years ahead (a wrong time source, a dead battery, an intruder) would make everything old at once.
         Checkpoints that such a clock itself signed are out of reach of the last sound one.
Limits:  a jump of at most the allowed step purges so many days early once it has stood for an hour; who holds root
         needs no clock to delete.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

AHEAD, BEHIND = "clock_ahead", "clock_behind"
BEHIND_ALLOWED = timedelta(days=1)


def walked(start: datetime, marks: Iterable[datetime], *, step: timedelta) -> datetime:
    """Return the latest of ``marks`` that is reached from ``start`` in steps of at most ``step``, else ``start``."""
    reached = start
    for mark in sorted(marks):
        if mark - reached > step:
            break
        reached = max(reached, mark)
    return reached


def doubt(now: datetime, trusted: datetime, *, step: timedelta) -> str:
    """Return AHEAD or BEHIND when ``now`` cannot be believed, else ""."""
    if now - trusted > step:
        return AHEAD
    return BEHIND if trusted - now > BEHIND_ALLOWED else ""
