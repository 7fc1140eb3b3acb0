"""Entries of calendars as the portal shows them: occurrences within a time, and simple entries written and deleted.

Process: calendars, under Radicale's lock.
Hostile: what programs stored. An entry that cannot be read is left out, and one with endless occurrences ends early.
Times:   in UTC. A time without a zone is one of ``LOCAL``; a date is told as midnight UTC of that date.
Source:  RFC 5545; radicale.item, radicale.storage (their docstrings).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import vobject
from radicale.storage import BaseCollection, BaseStorage

from beffroi.drive.calendars import effort, inviting, itip, rooms, wire
from beffroi.drive.calendars.items import (
    UNREADABLE,
    Keep,
    bytes_of,
    collection_at,
    item_at,
    made,
    opened,
    require_place,
    text_line,
    title_of,
)
from beffroi.drive.calendars.single_dates import visit_time_ranges
from beffroi.drive.calendars.zone_names import LOCAL
from beffroi.lib import clock, digits, ids
from beffroi.lib.errors import Conflict, Invalid, NotFound

MAX_TOLD = 500
MAX_LOOKED_AT = 100_000
"""Occurrences of one entry: a daily one since the 18th century."""
MAX_RANGE = timedelta(days=366)
_DAY = timedelta(days=1)
_UTC = vobject.icalendar.utc
"""The one that vobject writes as ``Z``."""
type RequireRoom = Callable[[int], None]
"""For so many bytes more in this calendar."""
_PRODID = "-//Beffroi//Agenda//FR"


def between(
    storage: BaseStorage,
    collections: Iterable[tuple[wire.Calendar, str]],
    since: datetime,
    until: datetime,
    mine: Collection[str] = (),
) -> wire.Entries:
    """Occurrences that touch [since, until) in these collections (calendar, path). ``mine``: addresses of the person,
    who does not see what they declined. Where they cannot all be looked through (``effort``), what began long ago is
    left out first, and there are more. Errors: Invalid."""
    if since.tzinfo is None or until.tzinfo is None or not since < until <= since + MAX_RANGE:
        raise Invalid("range")
    found: list[wire.Entry] = []
    is_whole = False
    with storage.acquire_lock("r"), suppress(effort.Spent), effort.bounded():
        for calendar, collection, title in opened(storage, collections):
            bookers = rooms.bookers(collection)
            for item in by_effort(collection, since, until):
                effort.require()
                with suppress(*UNREADABLE):
                    by = bookers.get(str(item.href), "")
                    found += occurrences(calendar, item, since, until, mine, of=title, by=by)
        is_whole = True
    found.sort(key=lambda one: (one.starts, one.title, one.name))
    return wire.Entries(found[:MAX_TOLD], more=len(found) > MAX_TOLD or not is_whole)


def by_effort(collection: BaseCollection, since: datetime, until: datetime) -> Iterator[Any]:
    """What touches a time: first what lies near it, then what began the shorter ago the sooner."""
    long: list[tuple[int, str]] = []
    for item in collection.get_all():
        try:
            if not touches(item, since, until):
                continue
            first, last = item.time_range
        except UNREADABLE:
            continue
        if last - first <= MAX_RANGE.total_seconds():
            yield item
        else:
            long.append((first, str(item.href)))
    for _, found in collection.get_multi([name for _, name in sorted(long, reverse=True)]):
        if found is not None:
            yield found


def touches(item: Any, since: datetime, until: datetime) -> bool:
    """Of what Radicale keeps beside an item: most need not be parsed."""
    first, last = item.time_range
    near: bool = last >= since.timestamp() and first <= until.timestamp()
    return near and bool(item.component_name == "VEVENT")


def get(
    storage: BaseStorage, calendar: wire.Calendar, path: str, name: str, mine: Collection[str] = ()
) -> wire.Entry:
    """A simple entry. Errors: NotFound, Conflict (not simple)."""
    with storage.acquire_lock("r"):
        collection = collection_at(storage, path)
        item = _item(collection, name)
        try:
            told = _all(calendar, item, mine, of=title_of(collection))
        except UNREADABLE:
            raise NotFound("entry") from None
    if len(told) != 1 or not told[0].simple:
        raise Conflict("this entry is changed in the program that made it")
    return told[0]


def save(storage: BaseStorage, path: str, draft: wire.Draft, require: RequireRoom) -> wire.Done:
    """Write an entry; what else a program noted in it stays, and so does what the form did not change.

    Errors: Invalid, NotFound, Conflict, TooLarge (too many in this calendar), Booked, those of ``require``.
    """
    title = itip.one_line(draft.title, wire.MAX_TITLE_CHARS)
    place = itip.one_line(draft.place, wire.MAX_PLACE_CHARS)
    starts, ends = draft.starts, draft.ends
    if not title or starts.tzinfo is None or ends.tzinfo is None or ends < starts:
        raise Invalid("entry")
    if ends - starts > MAX_RANGE:
        raise Invalid("length")
    with storage.acquire_lock("w"):
        collection = collection_at(storage, path)
        if draft.name:
            item = _simple(collection, draft.name, draft.etag, draft.mine)
            name, whole = draft.name, item.vobject_item
            before, shown, was_bytes = _read(item), _shown(item, draft), bytes_of(item)
            event = whole.vevent
        else:
            require_place(collection)
            uid = ids.new_id("evt")
            name, whole = f"{uid}.ics", vobject.iCalendar()
            whole.add("prodid").value = _PRODID
            event = whole.add("vevent")
            event.add("uid").value = uid
            before, shown, was_bytes = None, None, 0
        _write(event, title, place, draft, shown)
        is_moved = shown is None or not _is_then(shown, draft) or shown.place != place
        inviting.set_guests(event, before, draft, asks_anew=is_moved)
        item = made(collection, whole)
        require(bytes_of(item) - was_bytes)
        collection.upload(name, item)
        outgoing = inviting.changed(before, _read(item))
    return wire.Done(name, outgoing)


def delete(storage: BaseStorage, path: str, asked: wire.Named, keep: Keep) -> wire.Done:
    """Errors: NotFound, Conflict."""
    with storage.acquire_lock("w"):
        collection = collection_at(storage, path)
        item = _simple(collection, asked.name, asked.etag, asked.mine)
        before, is_kept = _read(item), keep(item)
        collection.delete(asked.name)
    return wire.Done(asked.name, inviting.called_off(before), is_kept)


def called_again(item: Any) -> tuple[Any, list[wire.Outgoing]]:
    """An entry that was called off, as it is put back, and what its guests are told; without guests as it was."""
    before = _read(item)
    if before is None or not inviting.invited(before):
        return item, []
    event = item.vobject_item.vevent
    inviting.ask_anew(event)
    # One after what called it off, which programs of guests keep to.
    _number(event, before.sequence + 2)
    again = made(item.collection, item.vobject_item)
    return again, inviting.changed(None, _read(again))


def _item(collection: BaseCollection, name: str) -> Any:
    """Errors: NotFound."""
    found = item_at(collection, name)
    if found.component_name != "VEVENT":
        raise NotFound("entry")
    return found


def _simple(collection: BaseCollection, name: str, etag: str, mine: Collection[str]) -> Any:
    """Errors: NotFound, Conflict."""
    item = _item(collection, name)
    if item.etag != etag:
        raise Conflict("this entry has changed")
    if not _is_simple(item.vobject_item, mine):
        raise Conflict("this entry is changed in the program that made it")
    return item


def _is_simple(whole: Any, mine: Collection[str]) -> bool:
    """It does not repeat, and nobody but the person themselves invites to it, no more guests than a form takes."""
    events = whole.contents.get("vevent", [])
    if len(events) == 1 and len(events[0].contents.get("attendee", ())) > wire.MAX_GUESTS:
        return False
    if len(events) != 1 or any(name in events[0].contents for name in ("rrule", "rdate", "recurrence-id")):
        return False
    organizer = inviting.organizer_of(events[0])
    return organizer in mine if organizer else not {"organizer", "attendee"} & events[0].contents.keys()


def _all(calendar: wire.Calendar, item: Any, mine: Collection[str], *, of: str = "") -> list[wire.Entry]:
    """Whenever they are. Errors: those of ``UNREADABLE``."""
    return occurrences(
        calendar, item, datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC), mine, of=of
    )


def _shown(item: Any, draft: wire.Draft) -> wire.Entry | None:
    """As the form showed it; None where it cannot be read."""
    with suppress(*UNREADABLE):
        return next(iter(_all(draft.calendar, item, draft.mine)), None)
    return None


def _is_then(shown: wire.Entry, draft: wire.Draft) -> bool:
    """A form has no seconds, and does not say which one it means of an hour that comes twice."""
    return shown.all_day == draft.all_day and all(
        was.astimezone(LOCAL).replace(second=0, tzinfo=None) == now.astimezone(LOCAL).replace(tzinfo=None)
        for was, now in ((shown.starts, draft.starts), (shown.ends, draft.ends))
    )


def _read(item: Any) -> itip.Event | None:
    """An entry with guests; None for one without, and for what cannot be read."""
    try:
        found = itip.parse(item.serialize()).main
    except itip.Unreadable:
        return None
    return found if found.organizer is not None else None


def occurrences(
    calendar: wire.Calendar,
    item: Any,
    since: datetime,
    until: datetime,
    mine: Collection[str] = (),
    *,
    of: str = "",
    by: str = "",
) -> list[wire.Entry]:
    """In the order of time, each date as it is told for itself; none of what the person declined, nor dates of a series
    that were called off. Errors: those of ``UNREADABLE``."""
    whole = item.vobject_item
    simple = calendar != "handed" and _is_simple(whole, mine)
    repeats = any(name in one.contents for one in whole.vevent_list for name in ("rrule", "rdate"))
    told: list[wire.Entry] = []
    seen, looked_at = 0, set[int]()
    part = _Part(whole.vevent, mine)

    def begin(event: Any) -> bool:
        """Radicale comes twice to a date whose series is not there."""
        nonlocal part
        if id(event) in looked_at:
            return False
        looked_at.add(id(event))
        part = _Part(event, mine)
        return not part.is_off

    def visit(start: datetime, end: datetime, _is_recurrence: bool) -> bool:
        nonlocal seen
        seen += 1
        if start >= until or seen > MAX_LOOKED_AT:
            return not _is_recurrence or seen > MAX_LOOKED_AT
        if end > since or start >= since:
            if part.all_day:
                start, end = (one.replace(tzinfo=UTC) for one in (start, end))
            start, end = start.astimezone(UTC), end.astimezone(UTC)
            told.append(
                wire.Entry(
                    calendar=calendar,
                    name=item.href,
                    etag=item.etag,
                    title=part.title,
                    place=part.place,
                    starts=start,
                    ends=max(start, end - _DAY) if part.all_day else end,
                    all_day=part.all_day,
                    repeats=repeats,
                    simple=simple,
                    organizer=part.organizer,
                    guests=part.guests,
                    answer=part.own,
                    of=of,
                    by=by,
                    is_called_off=part.is_called_off,
                )
            )
        return len(told) > MAX_TOLD

    visit_time_ranges(whole, "VEVENT", visit, lambda _start: False, begin)
    return told


class _Part:
    """What is told of an entry, or of one of its dates. ``own``: one's own answer."""

    def __init__(self, event: Any, mine: Collection[str]) -> None:
        begin = event.dtstart.value
        self.all_day = not isinstance(begin, datetime)
        self.title = text_line(getattr(event, "summary", None), wire.MAX_TITLE_CHARS)
        self.place = text_line(getattr(event, "location", None), wire.MAX_PLACE_CHARS)
        self.guests, self.organizer = inviting.guests_of(event), inviting.organizer_of(event)
        answers = (one.answer for one in self.guests if one.address in mine)
        self.own = next(answers, "") if self.organizer not in mine else ""
        self.is_called_off = text_line(getattr(event, "status", None), 20).upper() == "CANCELLED"
        self.is_off = self.own == "DECLINED" or (self.is_called_off and "recurrence-id" in event.contents)


def _write(event: Any, title: str, place: str, draft: wire.Draft, shown: wire.Entry | None) -> None:
    """``shown``: as the form showed it, less than a program may have noted: a place of several lines, a zone."""
    if shown is None or shown.title != title:
        _set(event, "summary", title)
    if shown is None or shown.place != place:
        _set(event, "location", place)
    if shown is None or not _is_then(shown, draft):
        _set_time(event, draft)
    before = event.contents.get("sequence")
    told = digits.number(str(before[0].value), 9) if before else None
    _number(event, 0 if told is None else told + 1)


def _number(event: Any, sequence: int) -> None:
    """A change of now."""
    for name in ("dtstamp", "last-modified"):
        event.contents.pop(name, None)
    now = clock.now().astimezone(_UTC).replace(microsecond=0)
    event.add("dtstamp").value = now
    event.add("last-modified").value = now
    event.contents.pop("sequence", None)
    event.add("sequence").value = str(sequence)


def _set_time(event: Any, draft: wire.Draft) -> None:
    """In the zone that it has, else in ours: who lets it repeat one day means the hour there, in winter and summer."""
    zone = getattr(event.dtstart.value, "tzinfo", None) if "dtstart" in event.contents else None
    zone = zone or vobject.icalendar.getTzid(LOCAL.key)
    begin: date | datetime = draft.starts.astimezone(zone)
    end: date | datetime = draft.ends.astimezone(zone)
    if draft.all_day:
        begin, end = draft.starts.date(), draft.ends.date() + _DAY
    for name in ("dtstart", "dtend", "duration"):
        event.contents.pop(name, None)
    event.add("dtstart").value = begin
    event.add("dtend").value = end


def _set(event: Any, name: str, value: str) -> None:
    event.contents.pop(name, None)
    if value:
        event.add(name).value = value
