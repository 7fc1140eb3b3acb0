"""Recurrences that a question expands, and free times: an entry of which they cannot be told spoils no answer about the
others.

Why:    Radicale answers no question that expands recurrences where an entry has no zone, or one that nobody knows, nor
        where there are dates without their series, or of another kind than it; none about free times or alarms where an
        end is of another kind than its start. In a calendar that many write in, one program's entry stopped everybody's
        questions. And a series of added dates alone (RDATE) was told at its first one, if at all; of addresses that
        are asked for, what does not repeat not at all; and it read each entry of a calendar, also for a week of it.
Process: calendars; ``install`` once, before anything is asked.
Rule:    what cannot be expanded is told as it stands; of what cannot be counted nobody is busy.
Source:  RFC 4791, 7.10 and 9.6.5; radicale.app.report.
"""

from __future__ import annotations

from typing import Any

from radicale.app import report
from radicale.item import read_components

from beffroi.drive.calendars import effort
from beffroi.drive.calendars.items import UNREADABLE

_DAY_S = 86400
"""By so much may a time without a zone lie elsewhere."""
_NOT_OF_THE_QUESTION = tuple(set(UNREADABLE) - {ValueError, RuntimeError})
_expand_all, _periods_of_one, _matches_all = report._expand, report.freebusy_periods, report.test_filter


def install() -> None:
    """Twice does nothing more than once."""
    report._expand = _expand  # type: ignore[assignment]
    report.freebusy_periods = _periods  # type: ignore[assignment]
    report.test_filter = _matches  # type: ignore[assignment]


def _expand(element: Any, item: Any, **options: Any) -> Any:
    """(the element with its text, how many dates). ``item`` is this question's own."""
    since, until = (options[f"time_range_{one}"] or options[one] for one in ("start", "end"))
    first, last = item.time_range
    if last < since.timestamp() - _DAY_S or first > until.timestamp() + _DAY_S:
        element.text = ""
        return element, 0
    effort.require()
    element.text = item.serialize()
    try:
        (whole,) = read_components(element.text)  # anew: what is expanded is taken apart
        series: dict[str, Any] = next(
            (one.contents for one in whole.vevent_list if "recurrence-id" not in one.contents), {}
        )
        # Radicale leaves out what does not repeat, where nothing but dates to expand is asked for.
        if {"rrule", "rdate"} & series.keys() or (series and options["time_range_start"]):
            _begin_rule(whole)
            item._vobject_item = whole
            return _expand_all(element=element, item=item, **options)
    except UNREADABLE:
        pass
    return element, element.text.count("BEGIN:VEVENT")


def _begin_rule(whole: Any) -> None:
    """Added dates stand beside the first one (RFC 5545, 3.8.5.2); without a rule they are not looked at."""
    for one in whole.vevent_list:
        if "rdate" in one.contents and not {"rrule", "recurrence-id"} & one.contents.keys():
            one.add("rrule").value = "FREQ=DAILY;COUNT=1"


def _periods(item: Any, *asked: Any) -> Any:
    try:
        return _periods_of_one(item, *asked)
    except UNREADABLE:
        return []


def _matches(*asked: Any) -> bool:
    """Of a time that cannot be told, no: a ValueError is of what was asked."""
    try:
        return _matches_all(*asked)
    except _NOT_OF_THE_QUESTION:
        return False
