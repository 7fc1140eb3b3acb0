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

from beffroi.drive.calendars import entries, inviting, itip, itip_text, kept, proposals, wire
from beffroi.drive.calendars import wire_invitations as told
from beffroi.drive.calendars.itip import Attendee, Event, Message, Unreadable
from beffroi.drive.calendars.kept import Found
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotFound

MAX_GUESTS_TOLD = 50


def look(storage: BaseStorage, paths: Sequence[str], asked: told.Received) -> told.Invitation:
    """What the mail says, and what it means for this calendar. ``paths``: one's own, then those one writes into, where
    what guests say may belong. Errors: NotFound (no calendar)."""
    try:
        message = read(asked.text, asked.sender)
    except Unreadable as error:
        return told.Invitation(readable=error.why)
    with storage.acquire_lock("r"):
        own, (_, found) = entries.collection_at(storage, paths[0]), _kept(storage, paths, message)
        asks = message.method in ("REQUEST", "COUNTER", "ADD")
        conflicts = kept.conflicts(own, message.main, asked.mine) if asks else []
    if message.method in proposals.METHODS:
        return proposals.shown(message, found, asked.mine, conflicts)
    return _shown(message, found, asked.mine, conflicts)


def answer(storage: BaseStorage, path: str, asked: told.Answered) -> wire.Outgoing:
    """Errors: Unreadable, Conflict (overtaken, another's), NotFound, TooLarge (the calendar is full), Invalid."""
    message, now = read(asked.text), clock.now().astimezone(UTC).replace(microsecond=0)
    if message.method not in ("REQUEST", "ADD") or not asked.mine:
        raise Invalid("method")
    me = _me(message, asked.mine) or Attendee(asked.mine[0])
    me = replace(me, name=me.name or itip.one_line(asked.name, 200), answer=asked.answer)
    if message.main.organizer is None or message.main.organizer.address in asked.mine:
        raise Invalid("organizer")
    events = itip_text.answered(message.events, me)
    with storage.acquire_lock("w"):
        collection = entries.collection_at(storage, path)
        found = kept.find(collection, message.main.uid)
        if message.method == "ADD":
            whole, events = proposals.added(message, found, asked.mine, me)
        else:
            if _state(message, found, asked.mine) not in ("new", "update", "same"):
                raise Conflict("this invitation was overtaken")
            whole = _merged(found, events) if message.main.occurrence is not None else list(events)
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
        if _state(message, found, asked.mine) not in ("new", "update", "same"):
            raise Conflict("this message was overtaken")
        if message.method == "REPLY":
            _note_reply(collection, found, message)
        else:
            _cancel(collection, found, message)
        return _shown(message, kept.find(collection, message.main.uid), asked.mine, [])


def _kept(
    storage: BaseStorage, paths: Sequence[str], message: Message
) -> tuple[BaseCollection, Found | None]:
    """What is there of this UID, and where: what an organizer sends is about one's own calendar alone."""
    own, *shared = (entries.collection_at(storage, one) for one in paths)
    for collection in (own, *(shared if message.method in proposals.FROM_GUESTS else ())):
        found = kept.find(collection, message.main.uid)
        if found is not None:
            return collection, found
    return own, None


def _note_reply(collection: BaseCollection, found: Found, message: Message) -> None:
    by = message.main.attendees[0]
    answers = {one.occurrence: one for one in message.events}
    events = []
    known = {one.occurrence for one in found.message.events}
    apart = [found.apart(one) for one in answers if one not in known and one is not None and found.has(one)]
    for one in (*found.message.events, *apart):
        replied = answers.get(one.occurrence)
        if replied is None and message.main.occurrence is None:
            replied = message.main  # of the whole series: also of what was changed in it
        people = one.attendees
        if replied is not None:
            stamp = f"{replied.stamp:%Y%m%dT%H%M%SZ}"
            people = tuple(
                replace(each, answer=replied.attendees[0].answer, replied=stamp)
                if each.address == by.address
                else each
                for each in people
            )
        events.append(replace(one, attendees=people))
    kept.store(collection, found, events)


def _cancel(collection: BaseCollection, found: Found, message: Message) -> None:
    if message.main.occurrence is None:
        collection.delete(found.item.href)
        return
    gone = [one.occurrence for one in message.events if one.occurrence is not None]
    left = [one for one in found.message.events if one.occurrence not in gone]
    if not left:
        collection.delete(found.item.href)
        return
    main = left[0]
    if main.occurrence is None:
        main = replace(main, left_out=(*main.left_out, *(one for one in gone if one not in main.left_out)))
    kept.store(collection, found, [main, *left[1:]])


def _merged(found: Found | None, events: Sequence[Event]) -> list[Event]:
    """Changed occurrences beside what is there of their series."""
    changed = {one.occurrence for one in events}
    before = found.message.events if found is not None else ()
    return [*(one for one in before if one.occurrence not in changed), *events]


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
    if message.method == "REPLY" and any(len(one.attendees) != 1 for one in message.events):
        raise Unreadable("syntax")
    return proposals.checked(message, sender) if message.method in proposals.METHODS else message


def _me(message: Message, mine: Sequence[str]) -> Attendee | None:
    return next((one for one in message.main.attendees if one.address in mine), None)


def _state(message: Message, found: Found | None, mine: Sequence[str]) -> told.State:
    main = message.main
    if message.method != "REPLY" and main.organizer is not None and main.organizer.address in mine:
        return "own"
    if found is None:
        return "new" if message.method == "REQUEST" else "absent"
    before = next(
        (one for one in found.message.events if one.occurrence == main.occurrence), found.message.main
    )
    kept, asked = found.message.main.organizer, main.organizer
    if kept is None or asked is None or kept.address != asked.address:
        return "foreign"
    if message.method == "REPLY":
        if kept.address not in mine:
            return "foreign"
        guest = next((one for one in before.attendees if one.address == main.attendees[0].address), None)
        if guest is None:
            return "stranger"
        if main.occurrence is not None and not found.has(main.occurrence):
            return "absent"
        stamp = f"{main.stamp:%Y%m%dT%H%M%SZ}"
        if main.sequence < before.sequence or stamp < guest.replied:
            return "older"
        return "same" if stamp == guest.replied else "update"
    newest, this = (before.sequence, before.stamp), (main.sequence, main.stamp)
    if before.occurrence != main.occurrence and main.sequence >= before.sequence:
        return "update"  # an occurrence that was not changed before
    if message.method == "CANCEL":
        return "older" if main.sequence < before.sequence else "update"
    return "same" if this == newest else "update" if this > newest else "older"


def _shown(
    message: Message, found: Found | None, mine: Sequence[str], conflicts: list[wire.Entry]
) -> told.Invitation:
    main, state = message.main, _state(message, found, mine)
    me = _me(message, mine)
    if state == "same" and found is not None and message.method == "REQUEST":
        before = next(
            (one for one in found.message.events if one.occurrence == main.occurrence), found.message.main
        )
        me = next((one for one in before.attendees if one.address in mine), me)
        main = replace(main, attendees=before.attendees)
    assert main.organizer is not None
    starts, ends = inviting.span(main)
    return told.Invitation(
        method=message.method,
        state=state,
        title=main.title,
        place=main.place,
        words=main.words,
        starts=starts,
        ends=ends,
        all_day=main.all_day,
        rule=main.rule,
        changes=len(message.events) - 1,
        occurrence=inviting.utc(main.occurrence) if main.occurrence is not None else None,
        organizer=inviting.guest(main.organizer),
        guests=[inviting.guest(one) for one in main.attendees[:MAX_GUESTS_TOLD]],
        mine=me.answer if me is not None else "",
        zone_known=main.zone_known,
        conflicts=conflicts,
    )
