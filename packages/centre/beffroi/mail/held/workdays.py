"""Working days of mainland France: Monday to Friday without public holidays. Pure.

Source: Code du travail, article L3133-1, as the library ``holidays`` keeps it.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import date, datetime, time, timedelta
from functools import cache

from beffroi.lib.clock import PLACE

_WEEKDAYS = 5


@cache
def _off() -> Container[date]:
    import holidays  # noqa: PLC0415 - a tenth of the start of every process with Django, for one question

    return holidays.country_holidays("FR")


def is_working(day: date) -> bool:
    return day.weekday() < _WEEKDAYS and day not in _off()


def next_working(day: date) -> date:
    """The first working day after this one."""
    day += timedelta(days=1)
    while not is_working(day):
        day += timedelta(days=1)
    return day


def one_later(moment: datetime) -> datetime:
    """One working day after ``moment`` (aware): the same hour of the next working day; what came on a day off counts
    from the midnight at which work begins again."""
    local = moment.astimezone(PLACE)
    day = local.date()
    if is_working(day):
        return datetime.combine(next_working(day), local.time(), PLACE)
    return datetime.combine(next_working(next_working(day)), time(), PLACE)
