"""Single dates of a series that is not there, as somebody is invited to them: each for itself.

Why:    Radicale takes one of them, refuses several, and answers no question that expands recurrences where one lies.
Process: calendars; ``install`` once, before anything is asked.
Source:  RFC 4791, 4.1; radicale.item.filter, radicale.app.report.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
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
        _visit_all(whole, kind, visit, *functions)
        return
    is_over = False

    def visit_one(start: datetime, end: datetime, _is_recurrence: bool) -> bool:
        nonlocal is_over
        is_over = visit(start, end, True)
        return is_over

    for one in dates:
        if not is_over:
            _visit_all(SimpleNamespace(**{f"{kind.lower()}_list": [one]}), kind, visit_one, *functions)


def _expand(element: Any, item: Any, **options: Any) -> Any:
    """There is nothing to expand: the dates as they stand, and how many."""
    dates = item.vobject_item.contents.get("vevent", ())
    if not dates or not _are_single(dates):
        return _expand_all(element=element, item=item, **options)
    element.text = item.serialize()
    return element, len(dates)


def _are_single(dates: Any) -> bool:
    return all("recurrence-id" in one.contents for one in dates)
