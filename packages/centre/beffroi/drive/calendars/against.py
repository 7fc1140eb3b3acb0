"""What a mail means for an event that the calendar holds: each of its dates for itself.

Process: calendars, under Radicale's lock.
Rule:    a date is newer, known or overtaken by its own SEQUENCE and DTSTAMP; where the calendar has no word of its own
         for it, by those of the series. A mail means the most that one of its dates does, and what is overtaken of it
         does not count. One about a whole series that is overtaken is overtaken in all its dates. What the calendar
         has newer than a series that comes again stays.
Source:  RFC 5546, 2.1.4, 2.1.5, 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from beffroi.drive.calendars import wire_invitations as told
from beffroi.drive.calendars.itip import Event, Message, Moment
from beffroi.drive.calendars.kept import Found

_RANK: tuple[told.State, ...] = ("update", "new", "same", "older", "stranger", "absent")
_COUNTS = ("update", "new", "same")


def judged(message: Message, found: Found | None, mine: Sequence[str]) -> tuple[Message, told.State]:
    """What counts of a REQUEST, CANCEL or REPLY, and what it means; all of it where nothing counts."""
    main = message.main
    if message.method != "REPLY" and main.organizer is not None and main.organizer.address in mine:
        return message, "own"
    if found is None:
        return message, "new" if message.method == "REQUEST" else "absent"
    kept, asked = found.message.main.organizer, main.organizer
    if kept is None or asked is None or kept.address != asked.address:
        return message, "foreign"
    if message.method == "REPLY" and kept.address not in mine:
        return message, "foreign"
    states = [_state(message.method, one, found) for one in message.events]
    if message.method == "REQUEST" and main.occurrence is None and states[0] == "same":
        gone = found.message.main.left_out  # called off since
        states = [
            "older" if one.occurrence in gone else state
            for one, state in zip(message.events, states, strict=True)
        ]
    if message.method == "CANCEL" and main.occurrence is None:
        return Message(message.method, (main,)), states[0]
    if message.method == "REQUEST" and main.occurrence is None and states[0] == "older":
        return message, "older"
    best = min(states, key=_RANK.index)
    if best not in _COUNTS:
        return message, best
    counted = (one for one, state in zip(message.events, states, strict=True) if state in _COUNTS)
    return Message(message.method, tuple(counted)), best


def whole(found: Found | None, message: Message) -> list[Event]:
    """What the calendar holds once this REQUEST is taken, of which what is overtaken does not count."""
    before = found.message.events if found is not None else ()
    by_date = {one.occurrence: one for one in before}
    main, come = message.main, {one.occurrence: one for one in message.events}
    if main.occurrence is None:
        now = by_date.get(None)
        if now is not None and _is_known(main, now):
            by_date |= {date: one for date, one in come.items() if not _is_at(date, one, by_date)}
            return _in_order(by_date)
        newer = (one for one in before if one.occurrence is not None and _mark(one) > _mark(main))
        for one in newer:
            come.setdefault(one.occurrence, one)
        return _in_order(come)
    series = by_date.get(None)
    if series is not None:
        by_date[None] = replace(series, left_out=tuple(one for one in series.left_out if one not in come))
    return _in_order(by_date | come)


def _state(method: str, one: Event, found: Found) -> told.State:
    own = next((other for other in found.message.events if other.occurrence == one.occurrence), None)
    series = found.message.main
    before = own or series
    if method == "REPLY":
        return _state_of_reply(one, found, before)
    if own is None and one.occurrence is not None and series.occurrence is None:
        if method == "CANCEL" and not found.has(one.occurrence):
            return "absent"
        if method == "REQUEST" and not series.rule and one.occurrence not in (series.starts, *series.dates):
            return "new"  # single dates are known, and this is another one
        return "update" if one.sequence >= series.sequence else "older"
    if method == "CANCEL":
        if own is None and one.occurrence is not None:
            return "absent"
        return "older" if one.sequence < before.sequence else "update"
    if own is None:
        return "new"  # one single date is known, and this is the series or another one
    return "same" if _is_known(one, own) else "update" if _mark(one) > _mark(own) else "older"


def _state_of_reply(one: Event, found: Found, before: Event) -> told.State:
    guest = before.guest(one.attendees[0].address)
    if guest is None:
        return "stranger"
    if one.occurrence is not None and not found.has(one.occurrence):
        return "absent"
    stamp = f"{one.stamp:%Y%m%dT%H%M%SZ}"
    if one.sequence < before.sequence or stamp < guest.replied:
        return "older"
    return "same" if stamp == guest.replied else "update"


def _mark(one: Event) -> tuple[int, datetime]:
    return one.sequence, one.stamp


def _is_known(one: Event, before: Event) -> bool:
    return _mark(one) == _mark(before)


def _is_at(date: Moment | None, one: Event, by_date: dict[Moment | None, Event]) -> bool:
    return date in by_date and _is_known(one, by_date[date])


def _in_order(by_date: dict[Moment | None, Event]) -> list[Event]:
    """The series first."""
    return sorted(by_date.values(), key=lambda one: (one.occurrence is not None, str(one.occurrence)))
