"""Dates of a series that stand for themselves: without their series, as somebody is invited to them, and whole days.

Why:    Radicale takes one date without its series, refuses several, and answers no question that expands recurrences
        where one lies. Of a series of whole days it tells a changed date twice, also where it was: it compares the
        date of RECURRENCE-ID with midnight.
Process: calendars; ``install`` once, before anything is asked.
Source:  RFC 4791, 4.1; radicale.item.filter, radicale.app.report.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any

from radicale.app import report
from radicale.item import filter as radicale_filter

_KINDS = ("VEVENT", "VTODO", "VJOURNAL")
_visit_all, _expand_all = radicale_filter.visit_time_ranges, report._expand


def install() -> None:
    """Twice does nothing more than once."""
    radicale_filter.visit_time_ranges = visit_time_ranges  # type: ignore[assignment]
    report._expand = _expand  # type: ignore[assignment]


def visit_time_ranges(
    whole: Any, kind: str, visit: Callable[[datetime, datetime, bool], bool], *functions: Any
) -> None:
    """In the place of Radicale's. Each date is told as a recurrence: the next one may lie before it."""
    dates = whole.contents.get(kind.lower(), ()) if kind in _KINDS else ()
    if len(dates) < 2 or not _are_single(dates):
        _visit_all(whole, kind, _without(_days(dates), visit) if len(dates) > 1 else visit, *functions)
        return
    is_over = False

    def visit_one(start: datetime, end: datetime, _is_recurrence: bool) -> bool:
        nonlocal is_over
        is_over = visit(start, end, True)
        return is_over

    for one in dates:
        if not is_over:
            _visit_all(SimpleNamespace(**{f"{kind.lower()}_list": [one]}), kind, visit_one, *functions)


def _days(dates: Any) -> set[date]:
    """Those of a series that were changed or called off as whole days."""
    changed = (one.contents["recurrence-id"][0].value for one in dates if "recurrence-id" in one.contents)
    return {one for one in changed if not isinstance(one, datetime)}


def _without(days: set[date], visit: Callable[[datetime, datetime, bool], bool]) -> Callable[..., bool]:
    """``visit`` without these days of the series itself."""

    def visit_series(start: datetime, end: datetime, is_recurrence: bool) -> bool:
        return (is_recurrence or start.date() not in days) and visit(start, end, is_recurrence)

    return visit_series


def _expand(element: Any, item: Any, **options: Any) -> Any:
    """There is nothing to expand: the dates as they stand, and how many."""
    dates = item.vobject_item.contents.get("vevent", ())
    if not dates or not _are_single(dates):
        return _expand_all(element=element, item=item, **options)
    element.text = item.serialize()
    return element, len(dates)


def _are_single(dates: Any) -> bool:
    return all("recurrence-id" in one.contents for one in dates)
