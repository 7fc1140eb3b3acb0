"""How long people were at work: what nobody used was not tried. Pure.

Rule:    Monday to Friday, from one hour to another, in mainland France; public holidays count as any day.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta

from beffroi.lib.clock import PLACE

_WEEKDAYS = 5
_MOST_DAYS = 400


def worked_s(since: datetime, until: datetime, *, begins_h: int, ends_h: int) -> float:
    """Return the seconds of working time from ``since`` to ``until``, both aware; where work does not begin before it
    ends, every second counts. Of more than 400 days the last 400 count."""
    if begins_h >= ends_h:
        return max(0.0, (until - since).total_seconds())
    first = max(since.astimezone(PLACE), until.astimezone(PLACE) - timedelta(days=_MOST_DAYS))
    day, worked = first.date(), 0.0
    while day <= until.astimezone(PLACE).date():
        if day.weekday() < _WEEKDAYS:
            midnight = datetime.combine(day, time(), PLACE)
            begins, ends = _at(midnight, begins_h), _at(midnight, ends_h)
            worked += max(0.0, min(until.timestamp(), ends) - max(since.timestamp(), begins))
        day += timedelta(days=1)
    return worked


def day_s(*, begins_h: int, ends_h: int) -> int:
    """Return the seconds of a working day."""
    return (ends_h - begins_h if begins_h < ends_h else 24) * 3600


def longest(worked: float, *, begins_h: int, ends_h: int) -> timedelta:
    """Return a time in which so many seconds are worked at any season."""
    if begins_h >= ends_h:
        return timedelta(seconds=worked)
    weeks = worked / ((ends_h - begins_h) * 3600 * _WEEKDAYS)
    return timedelta(weeks=weeks, days=4)


def _at(midnight: datetime, hour: int) -> float:
    """The hour as a clock on the wall says it, also on days when clocks change."""
    return (midnight + timedelta(hours=hour)).timestamp()
