"""Times without a zone, and days: those of the collectivité, wherever a time is asked for. Dates of a series that are
named without a zone: of the series'.

Why:    Radicale takes both for UTC: a meeting at 9 that a telephone stored without a zone was not found between 8 and
        9 in UTC, somebody on leave was free from midnight to one, and busy an hour of the next day. And a date that was
        changed or left out (RECURRENCE-ID, EXDATE) without a zone was none of the series': it was told twice.
Process: calendars; ``install`` once, before anything is asked.
Source:  RFC 4791, 7.3: the zone of the question, else of the calendar, else the server's own. It is always the latter:
         one mairie, one zone, also where somebody's program was set up on a journey.
"""

from __future__ import annotations

from datetime import date, datetime, time, tzinfo
from typing import Any

from radicale import storage
from radicale.item import filter as radicale_filter

from beffroi.drive.calendars.zone_names import LOCAL

_OF_DATES = ("recurrence-id", "exdate", "rdate")


def install() -> None:
    """Twice does nothing more than once."""
    if radicale_filter.date_to_datetime is not moment:
        radicale_filter.date_to_datetime = moment  # type: ignore[assignment]
        # Times that Radicale keeps beside an entry are worked out anew.
        storage.CACHE_VERSION += b"floating=local;"


def moment(of: date, zone: tzinfo = LOCAL) -> datetime:
    if not isinstance(of, datetime):
        of = datetime.combine(of, time())
    return of if of.tzinfo else of.replace(tzinfo=zone)


def place(whole: Any) -> None:
    """Dates of a series that are named without a zone get its own."""
    events = whole.contents.get("vevent", ())
    series = (one for one in events if "recurrence-id" not in one.contents)
    starts = [line.value for one in series for line in one.contents.get("dtstart", ())]
    if not starts or not isinstance(starts[0], datetime) or starts[0].tzinfo is None:
        return
    for line in (line for one in events for name in _OF_DATES for line in one.contents.get(name, ())):
        if isinstance(line.value, list):
            line.value = [_with_zone(one, starts[0].tzinfo) for one in line.value]
        else:
            line.value = _with_zone(line.value, starts[0].tzinfo)


def _with_zone(of: Any, zone: tzinfo) -> Any:
    return of.replace(tzinfo=zone) if isinstance(of, datetime) and of.tzinfo is None else of
