"""What a calendar holds of an event that came by mail: found by its UID, stored anew, compared with what else is there.

Process: calendars, under Radicale's lock.
Rule:    one event a UID. What is stored is written anew (``itip_text``), with what programs noted in what is there
         (``carried``), and must be what Radicale takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from radicale import item as radicale_item
from radicale.item import check_and_sanitize_items
from radicale.storage import BaseCollection

from beffroi.drive.calendars import carried, components, effort, entries, inviting, itip, itip_text, wire
from beffroi.drive.calendars.items import UNREADABLE, require_place
from beffroi.drive.calendars.itip import MAX_EVENTS, Event, Message, Moment, Unreadable
from beffroi.drive.calendars.store import MAX_OCCURRENCES
from beffroi.lib.errors import Conflict

MAX_CONFLICTS, MAX_CLASHES, OCCURRENCES_ASKED = 5, 100, 20
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Found:
    """What the calendar holds of a UID."""

    item: Any
    message: Message

    def at(self, occurrence: Moment | None) -> Event:
        """As it was changed of one date; else the whole."""
        return next((one for one in self.message.events if one.occurrence == occurrence), self.message.main)

    def as_kept(self, occurrence: Moment | None) -> Event:
        """The whole, or this date of it, changed or not."""
        one = self.at(occurrence)
        return one if occurrence is None or one.occurrence is not None else self.apart(occurrence)

    def apart(self, occurrence: Moment) -> Event:
        """One of its dates that was not changed, as an event of its own."""
        main = self.message.main
        length = inviting.utc(main.ends) - inviting.utc(main.starts)
        return replace(
            main,
            occurrence=occurrence,
            starts=occurrence,
            ends=occurrence + length,
            rule="",
            dates=(),
            left_out=(),
        )

    @property
    def repeats(self) -> bool:
        main = self.message.main
        return bool(main.rule or main.dates or main.occurrence is not None or self.message.events[1:])

    def has(self, occurrence: Moment) -> bool:
        """Whether this is one of its dates."""
        if any(one.occurrence == occurrence for one in self.message.events):
            return True
        if isinstance(occurrence, datetime) is self.message.main.all_day:
            return False
        at = inviting.utc(occurrence)
        try:
            told = entries.occurrences("own", self.item, at, at + _DAY)
        except UNREADABLE:
            return False
        return any(one.starts == at for one in told)


def find(collection: BaseCollection, uid: str) -> Found | None:
    """Of a hundred entries most are not parsed: Radicale keeps their UID beside them."""
    for item in collection.get_all():
        if item.component_name == "VEVENT" and item.uid == uid:
            try:
                return Found(item, itip.parse(item.serialize()))
            except Unreadable:
                raise Conflict("this entry is changed in the program that made it") from None
    return None


def store(
    collection: BaseCollection, found: Found | None, events: Sequence[Event], *, ours: bool = False
) -> None:
    """``ours``: as in ``carried.onto``. Errors: Unreadable, TooLarge (the calendar is full)."""
    store_all(collection, (found, events), ours=ours)


def store_all(
    collection: BaseCollection,
    *wanted: tuple[Found | None, Sequence[Event]],
    ours: bool = False,
    rest_of: Found | None = None,
) -> None:
    """Each in the place of what is there, None for a new one, ``rest_of`` this one: all of them, or none.

    Errors: as ``store``."""
    items = []
    for found, told in wanted:
        events = with_series(told)
        if len(events) > MAX_EVENTS:
            raise Unreadable("flood")
        if found is None:
            require_place(collection)
        new = hashlib.sha256(events[0].uid.encode()).hexdigest()[:40] + ".ics"
        made = _item(collection, events, found or rest_of, ours=ours)
        items.append((found.item.href if found is not None else new, made))
    for name, item in items:
        collection.upload(name, item)


def _item(
    collection: BaseCollection, events: Sequence[Event], found: Found | None = None, *, ours: bool = False
) -> Any:
    """As Radicale takes it: with no more occurrences than it would take from a program. Errors: Unreadable."""
    try:
        whole = components.read(itip_text.calendar("", events))
        if found is not None:
            carried.onto(whole[0], events, found.item.vobject_item, found.message, ours=ours)
        check_and_sanitize_items(whole, MAX_OCCURRENCES, tag="VCALENDAR")
        made = radicale_item.Item(collection=collection, vobject_item=whole[0])
        made.prepare()
    except Exception:  # noqa: BLE001 - whatever vobject or a rule of repetition makes of it
        raise Unreadable("rule" if any(one.rule for one in events) else "syntax") from None
    return made


def with_series(events: Sequence[Event]) -> list[Event]:
    """Several single dates of a series of which nothing else is known get one that has no dates but these: as old as
    can be, so that the whole series counts as newer when it comes."""
    main, dates = events[0], [one.occurrence for one in events if one.occurrence is not None]
    if main.occurrence is None:
        new = [one for one in dates if one not in (main.starts, *main.dates)]
        is_of_dates = main.dates and not main.rule
        return [replace(main, dates=(*main.dates, *new)), *events[1:]] if is_of_dates else list(events)
    if len(dates) == 1:
        return list(events)
    length = max(inviting.utc(main.ends) - inviting.utc(main.starts), timedelta())
    if not isinstance(main.occurrence, datetime):
        length = timedelta(days=max(1, length.days))
    series = replace(
        main,
        occurrence=None,
        starts=dates[0],
        ends=dates[0] + length,
        dates=tuple(dates[1:]),
        sequence=0,
        stamp=datetime(1970, 1, 1, tzinfo=UTC),
        cancelled=False,
    )
    return [series, *events]


def conflicts(collection: BaseCollection, events: Sequence[Event], mine: Sequence[str]) -> list[wire.Entry]:
    """What of one's own calendar lies in the first occurrences; what is declined or free does not count. Where not all
    can be looked through (``effort``), what lies near is told first."""
    main = events[0]
    try:
        item = _item(collection, with_series(events))
        first = min(inviting.utc(one.starts) for one in events) - _DAY
        until = first + entries.MAX_RANGE
        spans = entries.occurrences("own", item, first, until)[:OCCURRENCES_ASKED]
    except (Unreadable, *UNREADABLE):
        return []
    if main.all_day or not spans:
        return []
    until = min(until, max(one.ends for one in spans) + _DAY)
    clashes: list[wire.Entry] = []
    with suppress(effort.Spent), effort.bounded():
        for other in entries.by_effort(collection, first, until):
            effort.require()
            if other.uid == main.uid:
                continue
            if len(clashes) >= MAX_CLASHES:
                break
            with suppress(*UNREADABLE):
                if not _is_free(other):
                    clashes += [
                        one
                        for one in entries.occurrences("own", other, first, until, mine)
                        if not (one.all_day or one.is_called_off)
                        and any(one.starts < span.ends and span.starts < one.ends for span in spans)
                    ]
    return sorted(clashes, key=lambda one: (one.starts, one.title))[:MAX_CONFLICTS]


def _is_free(item: Any) -> bool:
    event = item.vobject_item.vevent
    return str(getattr(getattr(event, "transp", None), "value", "")).upper() == "TRANSPARENT"
