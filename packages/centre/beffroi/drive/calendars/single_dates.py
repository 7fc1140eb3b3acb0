"""Dates of a series that stand for themselves: without their series, as somebody is invited to them, and whole days.

Why:    Radicale takes one date without its series, and refuses several. Of a series of whole days it tells a changed
        date twice, also where it was: it compares the date of RECURRENCE-ID with midnight; and days without an end
        last a second each, in free time, too. Hours of a length it counts on the clock: in the night on which clocks
        change, eight were nine.
Process: calendars; ``install`` once, before anything is asked.
Source:  RFC 4791, 4.1; radicale.item.filter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from radicale.item import filter as radicale_filter

from beffroi.drive.calendars import floating, itip

_DAY = timedelta(days=1)
_DAYS = re.compile(r"([0-9]+)([DW])", re.ASCII)
_KINDS = ("VEVENT", "VTODO", "VJOURNAL")
_visit_all = radicale_filter.visit_time_ranges


def install() -> None:
    """Twice does nothing more than once."""
    radicale_filter.visit_time_ranges = visit_time_ranges  # type: ignore[assignment]


def visit_time_ranges(
    whole: Any, kind: str, visit: Callable[[datetime, datetime, bool], bool], *functions: Any
) -> None:
    """In the place of Radicale's. Each date is told as a recurrence: the next one may lie before it."""
    dates = whole.contents.get(kind.lower(), ()) if kind in _KINDS else ()
    if kind == "VEVENT":
        visit = _of_hours(dates, visit)
    if len(dates) < 2 or not _are_single(dates):
        _visit_all(whole, kind, _of_days(dates, visit), *functions)
        return
    is_over = False

    def visit_one(start: datetime, end: datetime, _is_recurrence: bool) -> bool:
        nonlocal is_over
        is_over = visit(start, end, True)
        return is_over

    for one in dates:
        if not is_over:
            _visit_all(SimpleNamespace(**{f"{kind.lower()}_list": [one]}), kind, visit_one, *functions)


def _of_days(dates: Any, visit: Callable[[datetime, datetime, bool], bool]) -> Callable[..., bool]:
    """``visit`` with whole days of a series, without those that stand for themselves, and with each added date's own
    length."""
    alone = [one.contents["recurrence-id"][0].value for one in dates if "recurrence-id" in one.contents]
    changed = {one for one in alone if not isinstance(one, datetime)}
    series = (one.contents for one in dates if "recurrence-id" not in one.contents)
    main: dict[str, Any] = next(series, {})
    starts = main["dtstart"][0].value if "dtstart" in main else None
    has_no_end = not {"dtend", "due", "duration"} & main.keys()
    is_bare = has_no_end and isinstance(starts, date) and not isinstance(starts, datetime)
    added = (getattr(line, "lengths", {}) for line in main.get("rdate", ()))
    ends = {floating.moment(one): one + length for lengths in added for one, length in lengths.items()}

    def visit_day(start: datetime, end: datetime, is_recurrence: bool) -> bool:
        if is_recurrence:
            return visit(start, end, is_recurrence)
        if start.date() in changed:
            return False
        return visit(start, start + _DAY if is_bare else ends.get(start, end), is_recurrence)

    return visit_day


def _of_hours(dates: Any, visit: Callable[[datetime, datetime, bool], bool]) -> Callable[..., bool]:
    """``visit`` with the ends of what says its length."""
    series: dict[str, Any] = next((one.contents for one in dates if "recurrence-id" not in one.contents), {})
    changed = {
        floating.moment(one.dtstart.value): one.contents
        for one in dates
        if {"recurrence-id", "dtstart"} <= one.contents.keys()
    }

    def visit_hours(start: datetime, end: datetime, is_recurrence: bool) -> bool:
        said = series if series and not is_recurrence else changed.get(start, {})
        length = said["duration"][0] if "duration" in said else None
        if length is not None and end - start == length.value:
            end = after(start, length)
        return visit(start, end, is_recurrence)

    return visit_hours


def after(start: datetime, length: Any) -> datetime:
    """The end of what begins then. ``length``: the line that says how long it lasts."""
    days = timedelta(sum(int(count) * (7 if of == "W" else 1) for count, of in _DAYS.findall(length.said)))
    return itip.after(start, days, length.value - days)


def _are_single(dates: Any) -> bool:
    return all("recurrence-id" in one.contents for one in dates)
