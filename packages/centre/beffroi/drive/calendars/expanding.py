"""Recurrences that a question expands, and free times: an entry of which they cannot be told spoils no answer about the
others.

Why:    Radicale answers no question that expands recurrences where an entry has no zone, or one that nobody knows, nor
        where there are dates without their series, or of another kind than it; none about free times or alarms where an
        end is of another kind than its start. In a calendar that many write in, one program's entry stopped everybody's
        questions. And a series of added dates alone (RDATE) was told at its first one, if at all; a changed date where
        it was, and as long as its series; of addresses that are asked for, what does not repeat not at all; and it
        read each entry of a calendar, also for a week of it. So dates are made here, from the times by which entries
        are found.
Process: calendars; ``install`` once, before anything is asked.
Rule:    what cannot be expanded is told as it stands; of what cannot be counted nobody is busy.
Source:  RFC 4791, 7.10 and 9.6.5; radicale.app.report.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import vobject
from radicale.app import report

from beffroi.drive.calendars import components, effort, floating
from beffroi.drive.calendars.items import UNREADABLE
from beffroi.drive.calendars.single_dates import visit_time_ranges

_UTC = vobject.icalendar.utc
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
"""How long lasts what says nothing of it."""
_DAY_S = 86400
"""By so much may a time without a zone lie elsewhere."""
_OF_SERIES = frozenset({"rrule", "rdate", "exrule", "exdate"})
_NOT_OF_THE_QUESTION = tuple(set(UNREADABLE) - {ValueError, RuntimeError})
_periods_of_one, _matches_all = report.freebusy_periods, report.test_filter
_tell = report.xml_item_response


def install() -> None:
    """Twice does nothing more than once."""
    report._expand = _expand  # type: ignore[assignment]
    report.freebusy_periods = _periods  # type: ignore[assignment]
    report.test_filter = _matches  # type: ignore[assignment]
    report.xml_item_response = _told


def _expand(element: Any, item: Any, **options: Any) -> Any:
    """(the element with its text, how many dates). ``item`` is this question's own."""
    since = options["time_range_start"] or options["start"]
    until = options["time_range_end"] or options["end"]
    first, last = item.time_range
    if last < since.timestamp() - _DAY_S or first > until.timestamp() + _DAY_S:
        element.text = ""
        return element, 0
    effort.require()
    element.text = item.serialize()
    try:
        (whole,) = components.read(element.text)  # anew: what is expanded is taken apart
        if _can_be_expanded(whole):
            dates = _dates(whole, since, until, options["max_occurrence"])
            repeats = any({"rrule", "rdate"} & one.contents.keys() for one in whole.vevent_list)
            if repeats and dates:
                whole.contents.pop("vtimezone", None)  # all is said in UTC
                whole.vevent_list = dates
            if repeats or not dates:
                element.text = whole.serialize() if dates else ""
                return element, len(dates)
    except UNREADABLE:
        pass
    return element, element.text.count("BEGIN:VEVENT")


def _can_be_expanded(whole: Any) -> bool:
    """One series, all of whose dates are of one kind, and lie in a zone where they have hours."""
    told = [one.contents for one in whole.vevent_list]
    series = [one for one in told if "recurrence-id" not in one]
    starts = [one[name][0].value for one in told for name in ("dtstart", "recurrence-id") if name in one]
    hours = {isinstance(one, datetime) for one in starts}
    return len(series) == len(hours) == 1 and not any(
        isinstance(one, datetime) and one.tzinfo is None for one in starts
    )


def _dates(whole: Any, since: datetime, until: datetime, most: int) -> list[Any]:
    """Each date between as an entry of its own, as they follow each other. Errors: UNREADABLE (more than ``most``)."""
    found: list[tuple[datetime, Any]] = []
    of: Any = None

    def begin(component: Any) -> bool:
        nonlocal of
        of = component
        return True

    def visit(starts: datetime, ends: datetime, is_changed: bool) -> bool:
        if starts >= until:
            return not is_changed
        if ends > since:
            if most and len(found) == most:
                raise ValueError("occurrences")
            found.append((starts, _date(of, starts, ends)))
        return False

    visit_time_ranges(whole, "VEVENT", visit, lambda _start: False, begin)
    found.sort(key=lambda one: one[0])
    return [one for _, one in found]


def _date(of: Any, starts: datetime, ends: datetime) -> Any:
    """``of`` at one date, with hours of UTC."""
    all_day = not isinstance(of.dtstart.value, datetime)
    one = of.duplicate(of)
    for name in _OF_SERIES & one.contents.keys():
        del one.contents[name]
    length = max(of.duration.value, _SECOND) if "duration" in of.contents else _DAY if all_day else _SECOND
    lasts = ends.astimezone(_UTC) - starts.astimezone(_UTC)  # days are longer, or shorter, when clocks change
    has_own_end = "dtend" in of.contents or lasts != length
    moments = {"dtstart": starts, "recurrence-id": starts}
    if "recurrence-id" in of.contents:
        moments["recurrence-id"] = floating.moment(of.contents["recurrence-id"][0].value)
    if has_own_end:
        one.contents.pop("duration", None)
        moments["dtend"] = ends
    for name, moment in moments.items():
        one.contents.pop(name, None)
        one.add(name).value = moment.date() if all_day else moment.astimezone(_UTC)
    return one


def _periods(item: Any, *asked: Any) -> Any:
    try:
        return _periods_of_one(item, *asked)
    except UNREADABLE:
        return []


def _told(*asked: Any, **options: Any) -> Any:
    """Of each address that is asked for, also of those where nothing is."""
    effort.require()
    return _tell(*asked, **options)


def _matches(*asked: Any) -> bool:
    """Of a time that cannot be told, no: a ValueError is of what was asked."""
    effort.require()
    try:
        return _matches_all(*asked)
    except _NOT_OF_THE_QUESTION:
        return False
