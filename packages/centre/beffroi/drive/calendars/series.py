"""A whole series at another time, as a guest proposes it. Pure.

Rule:    on the same day at another hour everything moves along by the clock: dates of its own, dates that are left out,
         and changed ones, unless they had a time of their own. On another day, or by another rule, only a series that
         is nothing but its rule moves: of single dates nobody could say where they belong by then. Of a series that
         has begun this is so from its next date on; what is past stays (``under_way``).
Source:  RFC 5546, 3.2.7; docs/internals/calendars.md.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from dateutil.rrule import rrulestr

from beffroi.drive.calendars import inviting, under_way
from beffroi.drive.calendars.itip import Event, Message, Moment


class Moved(NamedTuple):
    """``past``: what stays as it was of a series that has begun, else nothing. ``before``: what moves, as it is now:
    the series, or its rest. ``events``: that, at the proposed time."""

    past: tuple[Event, ...]
    before: Event
    events: tuple[Event, ...]


def moved(series: Message, proposed: Event, now: datetime) -> Moved | None:
    """The series at the proposed time and place from its next date on, guests and marks as they were; None where this
    is not taken from here: whole days against hours, dates that nobody could place, a rule that does not begin at its
    first date, a date with guests of its own; of a series that has begun also another rule, or a time that is over."""
    if series.main.occurrence is not None or series.main.all_day != proposed.all_day:
        return None
    try:
        found = under_way.halves(series, now)
        if found is None:
            return None
        if found.past:
            proposed = _from_next_date(series.main, found.coming.main, proposed)
            is_over = inviting.utc(proposed.starts) <= now
            events = None if proposed.rule or is_over else _moved(found.coming, proposed)
        else:
            events = _moved(series, proposed)
    except (ValueError, OverflowError):  # an end that is no date; a year beyond all calendars
        return None
    return Moved(found.past, found.coming.main, events) if events is not None else None


def _from_next_date(main: Event, coming: Event, proposed: Event) -> Event:
    """As far from the next date as it was from the first one; with its rule only where that is another one."""
    starts, ends = (_in_zone(one, main.starts) for one in (proposed.starts, proposed.ends))
    begin = coming.starts + (starts - main.starts)
    is_same_rule = not proposed.rule or _pattern(proposed.rule) == _pattern(main.rule)
    return replace(
        proposed, starts=begin, ends=begin + (ends - starts), rule="" if is_same_rule else proposed.rule
    )


def _moved(series: Message, proposed: Event) -> tuple[Event, ...] | None:
    main = series.main
    if any(_guests(one) != _guests(main) for one in series.events[1:]):
        return None
    starts, ends = (_in_zone(one, main.starts) for one in (proposed.starts, proposed.ends))
    by = starts - main.starts
    is_same_rule = not proposed.rule or _pattern(proposed.rule) == _pattern(main.rule)
    rule = _end_moved(main.rule, by) if is_same_rule else proposed.rule
    place = proposed.place or main.place
    now = replace(
        main,
        starts=starts,
        ends=ends,
        rule=rule,
        place=place,
        zone_known=main.zone_known and proposed.zone_known,
    )
    if is_same_rule and _day(starts) == _day(main.starts):
        return _all_along(series, now, by)
    is_plain = not (main.dates or main.left_out or series.events[1:])
    return (now,) if is_plain and rule and _begins_at(rule, starts) else None


def _all_along(series: Message, now: Event, by: timedelta) -> tuple[Event, ...]:
    main = series.main

    def along(moment: Moment) -> Moment:
        return _in_zone(moment, main.starts) + by

    length = inviting.length(now)
    events = [replace(now, dates=tuple(map(along, main.dates)), left_out=tuple(map(along, main.left_out)))]
    for one in series.events[1:]:
        assert one.occurrence is not None
        at = along(one.occurrence)
        begins_with_it = inviting.utc(one.starts) == inviting.utc(one.occurrence)
        has_own_time = not begins_with_it or inviting.length(one) != inviting.length(main)
        kept = one if has_own_time else replace(one, starts=at, ends=at + length)
        events.append(replace(kept, occurrence=at, place=now.place if one.place == main.place else one.place))
    return tuple(events)


def _guests(one: Event) -> set[str]:
    return {guest.address for guest in one.attendees}


def _in_zone(moment: Moment, of: Moment) -> Moment:
    """The same moment by the clock of the series: what keeps its hour in winter and in summer."""
    if isinstance(moment, datetime) and isinstance(of, datetime):
        return moment.astimezone(of.tzinfo)
    return moment


def _day(moment: Moment) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _pattern(rule: str) -> dict[str, str]:
    """What two rules for the same days have in common: an end may be written with another hour."""
    kept = {name: value for name, value in under_way.parts(rule).items() if name != "WKST"}
    return kept | ({"UNTIL": kept["UNTIL"][:8]} if "UNTIL" in kept else {})


def _end_moved(rule: str, by: timedelta) -> str:
    """UNTIL moves along, so that the last date is not lost to a later hour."""
    parts = under_way.parts(rule)
    until = parts.get("UNTIL", "")
    form = "%Y%m%dT%H%M%SZ" if until.endswith("Z") else "%Y%m%dT%H%M%S" if "T" in until else "%Y%m%d"
    if until:
        parts["UNTIL"] = f"{datetime.strptime(until, form).replace(tzinfo=UTC) + by:{form}}"
    return ";".join(f"{name}={value}" for name, value in parts.items())


def _begins_at(rule: str, starts: Moment) -> bool:
    """Whether the first date of the rule is where the series begins, and does not lie behind its end."""
    parts = under_way.parts(rule)
    if parts.get("UNTIL", "9")[:8] < f"{starts:%Y%m%d}":
        return False
    plain = ";".join(f"{name}={value}" for name, value in parts.items() if name not in under_way.ENDS)
    first = starts.replace(tzinfo=None) if isinstance(starts, datetime) else datetime.combine(starts, time())
    try:
        return next(iter(rrulestr(plain, dtstart=first)), None) == first
    except (ValueError, TypeError, KeyError):
        return False
