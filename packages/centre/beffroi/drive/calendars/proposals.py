"""What guests propose (COUNTER) and ask for (REFRESH), what is answered (DECLINECOUNTER), and dates that an organizer
adds (ADD), against one's own calendar.

Process: calendars, under Radicale's lock.
Rule:    of a proposal only its time and place are taken, once somebody accepts it; everybody is then asked anew. What
         is sent again goes to a guest's address as our own entry has it, with the dates that they are invited to.
Hostile: the text (``itip``); that its sender is who it speaks for is for the page to say.
Source:  RFC 5546, 3.2.4, 3.2.6 to 3.2.8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
from radicale.storage import BaseCollection, BaseStorage

from beffroi.drive.calendars import entries, inviting, itip_text, kept, series, wire
from beffroi.drive.calendars import wire_invitations as told
from beffroi.drive.calendars.items import collection_at
from beffroi.drive.calendars.itip import MAX_DATES, MAX_EVENTS, Attendee, Event, Message, Moment, Unreadable
from beffroi.drive.calendars.kept import Found
from beffroi.lib import clock, ids
from beffroi.lib.errors import Conflict, Invalid

METHODS = ("ADD", "COUNTER", "DECLINECOUNTER", "REFRESH")
FROM_GUESTS = ("REPLY", "COUNTER", "REFRESH")
type RequireRoom = Callable[[str, int], None]
"""For so many bytes more at this path, without slashes at its ends."""


def checked(message: Message, sender: str) -> Message:
    """With who proposes or asks as its only attendee. Errors: Unreadable."""
    main = message.main
    if message.method != "DECLINECOUNTER" and len(message.events) > 1:
        raise Unreadable("several")
    if message.method == "ADD" and (main.occurrence is not None or main.rule):
        raise Unreadable("rule")
    if message.method not in FROM_GUESTS:
        return message
    if inviting.length(main) > entries.MAX_RANGE:
        raise Unreadable("time")
    one = next((one for one in main.attendees if one.address == sender), None)
    if one is None:
        if len(main.attendees) != 1:
            raise Unreadable("syntax")
        (one,) = main.attendees
    return Message(message.method, (replace(main, attendees=(one,)),))


def state(message: Message, found: Found | None, mine: Sequence[str]) -> told.State:
    main, method = message.main, message.method
    assert main.organizer is not None
    if method not in FROM_GUESTS and main.organizer.address in mine:
        return "own"
    if found is None:
        return "absent"
    organizer = found.message.main.organizer
    if organizer is None or organizer.address != main.organizer.address:
        return "foreign"
    before = found.at(main.occurrence)
    if method == "DECLINECOUNTER":
        return "update"
    if method == "ADD":
        if main.sequence < before.sequence:
            return "older"
        return "update" if _new_dates(found, main) else "same"
    if organizer.address not in mine:
        return "foreign"
    if method == "REFRESH":
        return "update" if _invited_to(found, main.attendees[0].address) else "stranger"
    return _state_of_counter(main, found, before)


def _state_of_counter(main: Event, found: Found, before: Event) -> told.State:
    guest = before.guest(main.attendees[0].address)
    if guest is None:
        return "stranger"
    if main.occurrence is not None and not found.has(main.occurrence):
        return "absent"
    if _mark(main) == guest.replied:
        return "same"
    if main.sequence < before.sequence or _mark(main) < guest.replied:
        return "older"
    if main.occurrence is None and found.repeats and series.moved(found.message, main, _now()) is None:
        return "series"
    return "update"


def shown(
    message: Message, found: Found | None, mine: Sequence[str], conflicts: list[wire.Entry]
) -> told.Invitation:
    main, now, organizer = message.main, state(message, found, mine), message.main.organizer
    assert organizer is not None
    before = found.at(main.occurrence) if found is not None else None
    is_timeless = message.method == "REFRESH"
    if before is not None and now != "foreign":
        main = replace(main, title=main.title or before.title, place=main.place or before.place)
        if is_timeless:
            main = replace(main, starts=before.starts, ends=before.ends, rule=before.rule)
        elif message.method == "COUNTER" and main.occurrence is None:
            main = replace(main, rule=main.rule or before.rule)
    starts, ends = inviting.span(main)
    is_told = not is_timeless or (before is not None and now != "foreign")
    invitation = told.Invitation(
        method=message.method,
        state=now,
        title=main.title,
        place=main.place,
        words=main.words,
        starts=starts if is_told else None,
        ends=ends if is_told else None,
        all_day=main.all_day,
        rule=main.rule,
        changes=len(main.dates) if message.method == "ADD" else 0,
        occurrence=inviting.utc(main.occurrence) if main.occurrence is not None else None,
        organizer=inviting.guest(organizer),
        guests=[inviting.guest(one) for one in main.attendees] if message.method in FROM_GUESTS else [],
        zone_known=main.zone_known,
        conflicts=conflicts if now in ("update", "series") else [],
    )
    if message.method != "COUNTER" or before is None or now not in ("update", "series", "same"):
        return invitation
    before = _dated(before, main)
    moved = (
        series.moved(found.message, main, _now()) if found is not None and main.occurrence is None else None
    )
    if now == "update" and moved is not None and moved.past:
        starts, ends = inviting.span(moved.events[0])
        invitation = msgspec.structs.replace(
            invitation, starts=starts, ends=ends, rule=moved.events[0].rule, keeps_past=True
        )
        before = moved.before
    return instead_of(invitation, before)


def instead_of(invitation: told.Invitation, before: Event) -> told.Invitation:
    """With what the entry, or the date that it is about, was before."""
    starts, ends = inviting.span(before)
    return msgspec.structs.replace(
        invitation,
        kept_starts=starts,
        kept_ends=ends,
        kept_all_day=before.all_day,
        kept_place=before.place,
        kept_rule=before.rule if invitation.occurrence is None else "",
    )


def settle(
    storage: BaseStorage, paths: Sequence[str], message: Message, asked: told.Settled, require: RequireRoom
) -> list[wire.Outgoing]:
    """What is to be sent.

    Errors: those of ``require``, Conflict (overtaken, another's, answered), Invalid, TooLarge (the calendar is full),
    Unreadable.
    """
    allowed = {"COUNTER": ("accept", "decline"), "REFRESH": ("resend",), "ADD": ("ask",)}
    if asked.what not in allowed.get(message.method, ()) or not asked.mine:
        raise Invalid("method")
    with storage.acquire_lock("w"):
        for path in paths if message.method in FROM_GUESTS else paths[:1]:
            collection = collection_at(storage, path)
            found = kept.find(collection, message.main.uid)
            if found is not None:
                break
        else:
            found = None
        now = state(message, found, asked.mine)
        if message.method == "ADD":
            if now != "absent":
                raise Conflict("this series is there")
            return [_asked(message.main, asked.mine)]
        if found is None or now not in ("update", *(("series",) if asked.what == "decline" else ())):
            raise Conflict("this proposal was overtaken")
        if message.method == "REFRESH":
            return [_resent(found, message.main.attendees[0].address)]
        if asked.what == "decline":
            return _declined(collection, found, message.main)
        return _accepted(collection, found, message.main, require)


def added(
    message: Message, found: Found | None, mine: Sequence[str], me: Attendee
) -> tuple[list[Event], tuple[Event, ...]]:
    """(what is kept, the added dates with this person's answer). A date stands beside its series, and for itself where
    it differs from it. Errors: Conflict, Unreadable."""
    if found is None or state(message, found, mine) != "update":
        raise Conflict("this invitation was overtaken")
    main, known = message.main, found.message.main
    if known.occurrence is not None:
        raise Conflict("only dates of this series are known")
    if known.all_day != main.all_day:
        raise Unreadable("time")
    dates = _new_dates(found, main)
    if len(dates) > MAX_EVENTS or len(known.dates) + len(dates) > MAX_DATES:  # the answer has an event a date
        raise Unreadable("flood")
    length = inviting.length(main)
    whole = replace(
        main,
        title=main.title or known.title,
        place=main.place or known.place,
        words=main.words or known.words,
        attendees=main.attendees or known.attendees,
        dates=(),
        left_out=(),
    )
    answered = itip_text.answered(
        [replace(whole, starts=one, ends=one + length, occurrence=one) for one in dates], me
    )
    before = next((one.answer for one in known.attendees if one.address == me.address), "")
    same = (whole.title, whole.place, whole.words, length, me.answer) == (
        *(known.title, known.place, known.words),
        inviting.length(known),
        before,
    )
    grown = replace(
        known,
        dates=(*known.dates, *dates),
        left_out=tuple(one for one in known.left_out if one not in dates),
        sequence=main.sequence,
        stamp=main.stamp,
    )
    return [grown, *found.message.events[1:], *(() if same else answered)], answered


# -- inside ------------------------------------------------------------------------------------------------------


def _new_dates(found: Found, main: Event) -> tuple[Moment, ...]:
    known = found.message.main
    there = {known.starts, *known.dates}
    return tuple(dict.fromkeys(one for one in (main.starts, *main.dates) if one not in there))


def _invited_to(found: Found, address: str) -> list[Event]:
    return [one for one in found.message.events if any(guest.address == address for guest in one.attendees)]


def _mark(one: Event) -> str:
    return f"{one.stamp:%Y%m%dT%H%M%SZ}"


def _dated(before: Event, main: Event) -> Event:
    """The entry at the date that the proposal is about."""
    if main.occurrence is None or before.occurrence is not None:
        return before
    return replace(before, starts=main.occurrence, ends=main.occurrence + inviting.length(before))


def _accepted(
    collection: BaseCollection, found: Found, main: Event, require: RequireRoom
) -> list[wire.Outgoing]:
    """The entry at the proposed time and place; everybody is asked anew, but for who proposed it. Of a series that has
    begun, what was ends with its last date and keeps its answers; what comes is a series of its own."""
    (who,) = main.attendees
    moved = series.moved(found.message, main, _now()) if main.occurrence is None and found.repeats else None
    events = moved.events if moved else (_at_proposed(found, main),)
    sequence = max(one.sequence for one in (*events, found.message.main)) + 1
    asked = [replace(_asked_anew(one, who, main), sequence=sequence, stamp=_now()) for one in events]
    if moved and moved.past:
        uid = ids.new_id("evt")
        rest = [replace(one, uid=uid, sequence=0) for one in asked]
        was = [replace(_marked(one, who, main), sequence=sequence, stamp=_now()) for one in moved.past]
        require(collection.path, len(itip_text.calendar("", rest).encode()))
        kept.store_all(collection, (found, was), (None, rest), ours=True, rest_of=found)
        return [_request(was), _request(rest)]
    others = [] if moved else [one for one in found.message.events if one.occurrence != main.occurrence]
    kept.store(collection, found, [*others, *asked], ours=True)
    return [_request(asked)]


def _request(events: Sequence[Event]) -> wire.Outgoing:
    people = sorted(inviting.invited(events[0]))
    text = itip_text.calendar("REQUEST", events)
    return inviting.outgoing("REQUEST", text, people, events[0], is_change=True)


def _at_proposed(found: Found, main: Event) -> Event:
    """A single entry, or one date of a series, which stands for itself from now on."""
    before = found.at(main.occurrence)
    return replace(
        before,
        occurrence=main.occurrence,
        rule="",
        dates=(),
        left_out=(),
        starts=main.starts,
        ends=main.ends,
        place=main.place or before.place,
        zone_known=main.zone_known,
    )


def _asked_anew(one: Event, who: Attendee, main: Event) -> Event:
    asked = inviting.invited(one)
    people = (
        replace(guest, answer="ACCEPTED", replied=_mark(main))
        if guest.address == who.address
        else replace(guest, answer="NEEDS-ACTION", replied="")
        if guest.address in asked
        else guest
        for guest in one.attendees
    )
    return replace(one, attendees=tuple(people))


def _marked(one: Event, who: Attendee, main: Event) -> Event:
    """With the mark that this proposal was answered."""
    people = (
        replace(guest, replied=_mark(main)) if guest.address == who.address else guest
        for guest in one.attendees
    )
    return replace(one, attendees=tuple(people))


def _declined(collection: BaseCollection, found: Found, main: Event) -> list[wire.Outgoing]:
    """Nothing changes but that this proposal was answered."""
    (who,) = main.attendees
    answered = found.at(main.occurrence)
    events = [_marked(one, who, main) if one is answered else one for one in found.message.events]
    kept.store(collection, found, events)
    text = itip_text.calendar("DECLINECOUNTER", [replace(main, stamp=_now(), words="")])
    return [inviting.outgoing("DECLINECOUNTER", text, [who.address], main)]


def _resent(found: Found, address: str) -> wire.Outgoing:
    """The entry as it is, to this guest, without the dates that are none of theirs."""
    events = [replace(one, stamp=_now()) for one in _invited_to(found, address)]
    return inviting.outgoing("REQUEST", itip_text.calendar("REQUEST", events), [address], events[0])


def _asked(main: Event, mine: Sequence[str]) -> wire.Outgoing:
    """The organizer is asked for all of it."""
    assert main.organizer is not None
    me = next((one for one in main.attendees if one.address in mine), Attendee(mine[0]))
    text = itip_text.refresh(main, me, _now())
    return inviting.outgoing("REFRESH", text, [main.organizer.address], main, me.address)


def _now() -> datetime:
    return clock.now().astimezone(UTC).replace(microsecond=0)
