"""Guests of an entry that the portal writes: who is invited, and what they are to be told.

Process: calendars.
Rule:    a new time or place asks everybody anew; what else changes keeps their answers. Who is taken off is told so.
Source:  RFC 5546, 3.2.2 and 3.2.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from beffroi.drive.calendars import itip_text, wire
from beffroi.drive.calendars.itip import Attendee, Event, Moment, address_of, one_line
from beffroi.lib import clock
from beffroi.lib.errors import Invalid

_DAY = timedelta(days=1)


def organizer_of(event: Any) -> str:
    """The address; "" without one, or for what is none."""
    return address_of(str(getattr(getattr(event, "organizer", None), "value", "")))


def guests_of(event: Any) -> list[wire.Guest]:
    found = []
    for one in event.contents.get("attendee", [])[: wire.MAX_GUESTS]:
        address = address_of(str(one.value))
        if address:
            name, answer = ((one.params.get(key) or [""])[0] for key in ("CN", "PARTSTAT"))
            found.append(wire.Guest(address, one_line(str(name)), str(answer).upper()[:20]))
    return found


def set_guests(event: Any, before: Event | None, draft: wire.Draft) -> None:
    """Write who is invited into the event; ``before``: the entry as it was, where it had guests. Errors: Invalid."""
    wanted = list(dict.fromkeys(address_of(one) for one in draft.guests))
    if not all(wanted) or len(wanted) > wire.MAX_GUESTS or (wanted and not (draft.mine or before)):
        raise Invalid("guests")
    for name in ("organizer", "attendee"):
        event.contents.pop(name, None)
    if not wanted:
        return
    by = before.organizer if before is not None else None
    by = by or Attendee(address_of(draft.mine[0]), one_line(draft.my_name, 200))
    if not by.address:
        raise Invalid("organizer")
    line = event.add("organizer")
    line.value = f"mailto:{by.address}"
    if by.name:
        line.params["CN"] = [by.name.replace('"', "'")]
    known = {one.address: one for one in before.attendees} if before is not None else {}
    asks_anew = before is None or span(before) != (draft.starts, draft.ends) or before.place != draft.place
    for address in wanted:
        if address == by.address:
            continue
        person = known.get(address, Attendee(address))
        if asks_anew:
            person = replace(person, answer="NEEDS-ACTION", replied="")
        line = event.add("attendee")
        line.value = f"mailto:{address}"
        line.params["PARTSTAT"], line.params["RSVP"] = [person.answer], ["TRUE"]
        if person.name:
            line.params["CN"] = [person.name.replace('"', "'")]
        if person.replied:
            line.params["X-BEFFROI-REPLIED"] = [person.replied]


def changed(before: Event | None, now: Event | None) -> list[wire.Outgoing]:
    """What guests are told of a new or changed entry: the invited a REQUEST, who is off the list a CANCEL."""
    out = []
    invited = {one.address for one in now.attendees} if now is not None else set()
    if now is not None and invited:
        out.append(outgoing("REQUEST", itip_text.calendar("REQUEST", [now]), sorted(invited), now))
    if before is not None:
        gone = [one for one in before.attendees if one.address not in invited]
        if gone:
            out += called_off(replace(before, attendees=tuple(gone)))
    return out


def called_off(before: Event | None) -> list[wire.Outgoing]:
    if before is None or not before.attendees:
        return []
    now = clock.now().astimezone(UTC).replace(microsecond=0)
    gone = replace(before, cancelled=True, sequence=before.sequence + 1, stamp=now)
    whom = sorted(one.address for one in before.attendees)
    return [outgoing("CANCEL", itip_text.calendar("CANCEL", [gone]), whom, gone)]


def outgoing(
    method: str, text: str, recipients: Sequence[str], event: Event, sender: str = ""
) -> wire.Outgoing:
    starts, ends = span(event)
    by = sender or (event.organizer.address if event.organizer is not None else "")
    return wire.Outgoing(
        method, text, by, list(recipients), event.title, event.place, starts, ends, event.all_day
    )


def guest(one: Attendee) -> wire.Guest:
    return wire.Guest(one.address, one.name, one.answer)


def span(event: Event) -> tuple[datetime, datetime]:
    """As ``wire`` has it: a date is midnight UTC of that date, the last one included."""
    ends = utc(event.ends)
    return utc(event.starts), ends - _DAY if event.all_day else ends


def utc(moment: Moment) -> datetime:
    if isinstance(moment, datetime):
        return moment.astimezone(UTC)
    return datetime.combine(moment, time(), UTC)
