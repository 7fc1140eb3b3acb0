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
from beffroi.drive.calendars.lines import uncareted
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
            found.append(wire.Guest(address, one_line(uncareted(str(name))), str(answer).upper()[:20]))
    return found


def set_guests(event: Any, before: Event | None, draft: wire.Draft, *, asks_anew: bool) -> None:
    """Write who is invited into the event; ``before``: the entry as it was, where it had guests. Lines of who stays say
    what a program noted of them: a role, a room, who stands in for whom. Errors: Invalid."""
    wanted = list(dict.fromkeys(address_of(one) for one in draft.guests))
    if not all(wanted) or len(wanted) > wire.MAX_GUESTS or (wanted and not (draft.mine or before)):
        raise Invalid("guests")
    there = event.contents.pop("attendee", [])
    nameless = [one for one in there if not address_of(str(one.value))]
    if not wanted and not nameless:
        event.contents.pop("organizer", None)
        return
    if before is None or before.organizer is None:
        by = address_of(draft.mine[0]) if draft.mine else ""
        if not by:
            raise Invalid("organizer")
        event.contents.pop("organizer", None)
        line = event.add("organizer")
        line.value = f"mailto:{by}"
        if name := one_line(draft.my_name, 200):
            line.params["CN"] = [name.replace('"', "'")]
    else:
        by = before.organizer.address
    known = {address_of(str(one.value)): one for one in reversed(there)}
    if by in known:
        event.add(known[by])
    for address in wanted:
        if address == by:
            continue
        line = event.add(known.get(address, "attendee"))
        if address not in known:
            line.value = f"mailto:{address}"
        if asks_anew or address not in known:
            _ask(line)
    for line in nameless:
        event.add(line)


def ask_anew(event: Any) -> None:
    """All guests."""
    by = organizer_of(event)
    for line in event.contents.get("attendee", []):
        if address_of(str(line.value)) not in ("", by):
            _ask(line)


def _ask(line: Any) -> None:
    line.params["PARTSTAT"], line.params["RSVP"] = ["NEEDS-ACTION"], ["TRUE"]
    line.params.pop("X-BEFFROI-REPLIED", None)


def changed(before: Event | None, now: Event | None) -> list[wire.Outgoing]:
    """What guests are told of a new or changed entry: the invited a REQUEST, who is off the list a CANCEL."""
    out, whom = [], invited(now)
    if now is not None and whom:
        text, is_change = itip_text.calendar("REQUEST", [now]), whom <= invited(before)
        out.append(outgoing("REQUEST", text, sorted(whom), now, is_change=is_change))
    if before is not None:
        gone = [one for one in before.attendees if one.address in invited(before) - whom]
        if gone:
            out += called_off(replace(before, attendees=tuple(gone)))
    return out


def called_off(before: Event | None) -> list[wire.Outgoing]:
    whom = sorted(invited(before))
    if before is None or not whom:
        return []
    now = clock.now().astimezone(UTC).replace(microsecond=0)
    gone = replace(before, cancelled=True, sequence=before.sequence + 1, stamp=now)
    return [outgoing("CANCEL", itip_text.calendar("CANCEL", [gone]), whom, gone)]


def invited(event: Event | None) -> set[str]:
    """Who is written to: programs note the organizer among the guests."""
    if event is None:
        return set()
    by = event.organizer.address if event.organizer is not None else ""
    return {one.address for one in event.attendees} - {by}


def outgoing(
    method: str,
    text: str,
    recipients: Sequence[str],
    event: Event,
    sender: str = "",
    *,
    is_change: bool = False,
) -> wire.Outgoing:
    starts, ends = span(event)
    by = sender or (event.organizer.address if event.organizer is not None else "")
    return wire.Outgoing(
        *(method, text, by, list(recipients), event.title, event.place, starts, ends),
        *(event.all_day, is_change),
    )


def guest(one: Attendee) -> wire.Guest:
    return wire.Guest(one.address, one.name, one.answer)


def span(event: Event) -> tuple[datetime, datetime]:
    """As ``wire`` has it: a date is midnight UTC of that date, the last one included."""
    ends = utc(event.ends)
    return utc(event.starts), ends - _DAY if event.all_day else ends


def length(event: Event) -> timedelta:
    return utc(event.ends) - utc(event.starts)


def utc(moment: Moment) -> datetime:
    if isinstance(moment, datetime):
        return moment.astimezone(UTC)
    return datetime.combine(moment, time(), UTC)
