"""Invitations against one's own calendar: what a mail means there, an answer, a reply, a cancellation. What guests
propose and ask for, and dates that are added, are in ``proposals``.

Process: calendars, under Radicale's lock.
Rule:    one event a UID. Another organizer's mail never changes it, nor one whose SEQUENCE, then DTSTAMP, is older.
Hostile: the text (``itip``). What is kept of it is written anew (``itip_text``) and must be what Radicale takes.
Source:  RFC 5546, 2.1.4 and 2.1.5 (which message wins), 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC

from radicale.storage import BaseCollection, BaseStorage

from beffroi.drive.calendars import against, inviting, itip, itip_text, kept, proposals, wire
from beffroi.drive.calendars import wire_invitations as told
from beffroi.drive.calendars.items import collection_at
from beffroi.drive.calendars.itip import Attendee, Event, Message, Moment, Unreadable
from beffroi.drive.calendars.kept import Found
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotFound

MAX_GUESTS_TOLD, MAX_DATES_TOLD = 50, 20


def look(storage: BaseStorage, paths: Sequence[str], asked: told.Received) -> told.Invitation:
    """What the mail says, and what it means for this calendar. ``paths``: one's own, then those one writes into, where
    what guests say may belong. Errors: NotFound (no calendar)."""
    try:
        message = read(asked.text, asked.sender)
    except Unreadable as error:
        return told.Invitation(readable=error.why)
    with storage.acquire_lock("r"):
        own, (_, found) = collection_at(storage, paths[0]), _kept(storage, paths, message)
        asks = message.method in ("REQUEST", "COUNTER", "ADD")
        conflicts = kept.conflicts(own, message.events, asked.mine) if asks else []
    if message.method in proposals.METHODS:
        return proposals.shown(message, found, asked.mine, conflicts)
    return _shown(message, found, asked.mine, conflicts)


def answer(storage: BaseStorage, path: str, asked: told.Answered) -> wire.Outgoing:
    """Errors: Unreadable, Conflict (overtaken, another's), NotFound, TooLarge (the calendar is full), Invalid."""
    message, now = read(asked.text), clock.now().astimezone(UTC).replace(microsecond=0)
    if message.method not in ("REQUEST", "ADD") or not asked.mine:
        raise Invalid("method")
    me = _me(message.main, asked.mine) or Attendee(asked.mine[0])
    me = replace(me, name=me.name or itip.one_line(asked.name, 200), answer=asked.answer)
    if message.main.organizer is None or message.main.organizer.address in asked.mine:
        raise Invalid("organizer")
    with storage.acquire_lock("w"):
        collection = collection_at(storage, path)
        found = kept.find(collection, message.main.uid)
        if message.method == "ADD":
            whole, events = proposals.added(message, found, asked.mine, me)
        else:
            whole, events = _answered(message, found, asked.mine, me)
        kept.store(collection, found, whole)
    return inviting.outgoing(
        "REPLY", itip_text.reply(events, me, now), [message.main.organizer.address], message.main, me.address
    )


def note(storage: BaseStorage, paths: Sequence[str], asked: told.Noted) -> told.Invitation:
    """Note a reply, or take out what was called off; twice does no more than once. Errors: as ``answer``."""
    message = read(asked.text)
    if message.method not in ("CANCEL", "REPLY"):
        raise Invalid("method")
    with storage.acquire_lock("w"):
        collection, found = _kept(storage, paths, message)
        if found is None:
            raise NotFound("entry")
        counted, state = against.judged(message, found, asked.mine)
        if state not in ("update", "same"):
            raise Conflict("this message was overtaken")
        if message.method == "REPLY":
            _note_reply(collection, found, counted)
        else:
            _cancel(collection, found, counted)
        return _shown(message, kept.find(collection, message.main.uid), asked.mine, [])


def _kept(
    storage: BaseStorage, paths: Sequence[str], message: Message
) -> tuple[BaseCollection, Found | None]:
    """What is there of this UID, and where: what an organizer sends is about one's own calendar alone."""
    own, *shared = (collection_at(storage, one) for one in paths)
    for collection in (own, *(shared if message.method in proposals.FROM_GUESTS else ())):
        found = kept.find(collection, message.main.uid)
        if found is not None:
            return collection, found
    return own, None


def _note_reply(collection: BaseCollection, found: Found, message: Message) -> None:
    """At each date that is answered; of the whole series also at what was changed in it, unless a later reply, or a
    later change, stands there."""
    answers = {one.occurrence: one for one in message.events}
    known = {one.occurrence for one in found.message.events}
    apart = [found.apart(one) for one in answers if one not in known and one is not None]
    events = [
        _noted(one, replied) if (replied := answers.get(one.occurrence, answers.get(None))) else one
        for one in (*found.message.events, *apart)
    ]
    kept.store(collection, found, events)


def _noted(one: Event, replied: Event) -> Event:
    (by,), stamp = replied.attendees, f"{replied.stamp:%Y%m%dT%H%M%SZ}"
    if replied.sequence < one.sequence:
        return one
    people = (
        replace(each, answer=by.answer, replied=stamp)
        if each.address == by.address and each.replied < stamp
        else each
        for each in one.attendees
    )
    return replace(one, attendees=tuple(people))


def _cancel(collection: BaseCollection, found: Found, message: Message) -> None:
    gone = {one.occurrence for one in message.events}
    left = [one for one in found.message.events if one.occurrence not in gone]
    if left and left[0].occurrence is None:
        dates = (one for one in gone if one is not None and one not in left[0].left_out)
        left[0] = replace(left[0], left_out=(*left[0].left_out, *sorted(dates, key=str)))
    if None in gone or not left:
        collection.delete(found.item.href)
    else:
        kept.store(collection, found, left)


def _answered(
    message: Message, found: Found | None, mine: Sequence[str], me: Attendee
) -> tuple[list[Event], tuple[Event, ...]]:
    """(what is kept, the dates that are answered): of a whole series all of its dates. Errors: Conflict."""
    message, state = against.judged(message, found, mine)
    if state not in ("new", "update", "same"):
        raise Conflict("this invitation was overtaken")
    is_series = message.main.occurrence is None
    come = {one.occurrence for one in message.events}
    whole = [
        itip_text.answered([one], me)[0] if is_series or one.occurrence in come else one
        for one in against.whole(found, message)
    ]
    return whole, tuple(one for one in whole if (is_series or one.occurrence in come) and not one.cancelled)


def read(text: str, sender: str = "") -> Message:
    """``sender``: of the mail, who proposes or asks, where several people are named. Errors: Unreadable."""
    message = itip.parse(text)
    if message.method not in itip.METHODS:
        raise Unreadable("method")
    if message.main.organizer is None:
        raise Unreadable("organizer")
    if any(
        one.organizer is None or one.organizer.address != message.main.organizer.address
        for one in message.events
    ):
        raise Unreadable("organizer")
    if message.method == "REPLY" and (
        any(len(one.attendees) != 1 for one in message.events)
        or len({one.attendees[0].address for one in message.events}) > 1
    ):
        raise Unreadable("syntax")
    return proposals.checked(message, sender) if message.method in proposals.METHODS else message


def _me(event: Event, mine: Sequence[str]) -> Attendee | None:
    return next((one for one in event.attendees if one.address in mine), None)


def _shown(
    message: Message, found: Found | None, mine: Sequence[str], conflicts: list[wire.Entry]
) -> told.Invitation:
    message, state = against.judged(message, found, mine)
    main, me = message.main, _me(message.main, mine)
    before = found.as_kept(main.occurrence) if found is not None else main
    if state == "same" and message.method == "REQUEST":
        me = _me(before, mine) or me
        main = replace(main, attendees=before.attendees)
    elif state in ("update", "same", "older") and message.method == "REPLY":
        # What is answered is one's own entry, whatever the guest's program says of it.
        main = replace(before, occurrence=main.occurrence, attendees=main.attendees)
    assert main.organizer is not None
    starts, ends = inviting.span(main)
    others = _others(message, found, state, mine)
    invitation = told.Invitation(
        method=message.method,
        state=state,
        title=main.title,
        place=main.place,
        words=main.words,
        starts=starts,
        ends=ends,
        all_day=main.all_day,
        rule=main.rule,
        changes=len(others),
        others=others[:MAX_DATES_TOLD],
        occurrence=inviting.utc(main.occurrence) if main.occurrence is not None else None,
        organizer=inviting.guest(main.organizer),
        guests=[inviting.guest(one) for one in main.attendees[:MAX_GUESTS_TOLD]],
        mine=me.answer if me is not None else "",
        zone_known=main.zone_known,
        conflicts=conflicts,
    )
    if message.method == "REQUEST" and state == "update" and _where(main) != _where(before):
        return proposals.instead_of(invitation, before)
    return invitation


def _where(one: Event) -> tuple[Moment, Moment, str, str]:
    """When and where, and how often unless it is one date."""
    return one.starts, one.ends, one.place, one.rule


def _others(
    message: Message, found: Found | None, state: told.State, mine: Sequence[str]
) -> list[told.OtherDate]:
    """Dates that are otherwise than the one that is shown first: of an invitation as the calendar has or will have
    them, with those that were called off."""
    main, events = message.main, list(message.events)
    gone: tuple[Moment, ...] = ()
    if message.method == "REQUEST" and state in ("same", "update"):
        held = against.whole(found, message)
        kept = {one.occurrence: one for one in held}
        if main.occurrence is None:
            events = held
            gone = tuple(one for one in held[0].left_out if one not in main.left_out)
        elif state == "same":
            events = [kept[one.occurrence] for one in events]
    told_dates = [_other(main, one, mine) for one in events if one.occurrence != main.occurrence]
    if found is not None:
        told_dates += [_other(main, replace(found.apart(one), cancelled=True), mine) for one in gone]
    return sorted(told_dates, key=lambda one: one.starts)


def _other(main: Event, one: Event, mine: Sequence[str]) -> told.OtherDate:
    starts, ends = inviting.span(one)
    was = inviting.utc(one.occurrence) if one.occurrence is not None else starts
    who = _me(one, mine) or (one.attendees[0] if len(one.attendees) == 1 else None)
    return told.OtherDate(
        starts=starts,
        ends=ends,
        all_day=one.all_day,
        was=was if was != starts else None,
        title=one.title if one.title != main.title else "",
        place=one.place if one.place != main.place else "",
        answer=who.answer if who is not None and not one.cancelled else "",
        is_off=one.cancelled,
    )
