"""Write events as iCalendar: what is kept of an invitation, what answers one, what invites. Pure.

Of a stranger's event only what is listed here is kept: no alarm, no attached file, no field that a program might obey.
Source:  RFC 5545 (3.1 for lines), RFC 5546 (3.2 for what each method holds).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from beffroi.drive.calendars.itip import Attendee, Event, Moment
from beffroi.drive.calendars.zone_names import LOCAL

PRODID = "-//Beffroi//Agenda//FR"
LINE_BYTES = 75


def calendar(method: str, events: Sequence[Event]) -> str:
    """``method`` "": for the calendar itself."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{PRODID}"]
    if method:
        lines += ["CALSCALE:GREGORIAN", f"METHOD:{method}"]
    for one in events:
        lines += ["BEGIN:VEVENT", *_event(one), "END:VEVENT"]
    return "".join(f"{folded}\r\n" for line in [*lines, "END:VCALENDAR"] for folded in _folded(line))


def answered(events: Sequence[Event], me: Attendee) -> tuple[Event, ...]:
    """The same events with this person's answer in each; whoever was not among the invited is added."""
    return tuple(
        replace(one, attendees=(*(other for other in one.attendees if other.address != me.address), me))
        for one in events
    )


def reply(events: Sequence[Event], me: Attendee, now: datetime) -> str:
    """METHOD:REPLY with this person alone among the attendees."""
    return calendar(
        "REPLY", [replace(one, attendees=(me,), words="", stamp=now, cancelled=False) for one in events]
    )


def refresh(event: Event, me: Attendee, now: datetime) -> str:
    """METHOD:REFRESH: which event, who asks, and nothing else."""
    assert event.organizer is not None
    lines = [
        *("BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{PRODID}", "CALSCALE:GREGORIAN", "METHOD:REFRESH"),
        *("BEGIN:VEVENT", f"UID:{escaped(event.uid)}", f"DTSTAMP:{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"),
        f"ORGANIZER{_named(event.organizer)}:mailto:{event.organizer.address}",
        f"ATTENDEE{_named(me)}:mailto:{me.address}",
        *("END:VEVENT", "END:VCALENDAR"),
    ]
    return "".join(f"{folded}\r\n" for line in lines for folded in _folded(line))


def _event(one: Event) -> Iterator[str]:
    zone = _zone(one)
    yield f"UID:{escaped(one.uid)}"
    yield f"DTSTAMP:{one.stamp.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    yield f"SEQUENCE:{one.sequence}"
    if one.occurrence is not None:
        yield _timed("RECURRENCE-ID", one.occurrence, zone)
    yield _timed("DTSTART", one.starts, zone)
    yield _timed("DTEND", one.ends, zone)
    if one.rule:
        yield f"RRULE:{one.rule}"
    for name, moments in (("RDATE", one.dates), ("EXDATE", one.left_out)):
        for moment in moments:
            yield _timed(name, moment, zone)
    for name, text in (("SUMMARY", one.title), ("LOCATION", one.place), ("DESCRIPTION", one.words)):
        if text:
            yield f"{name}:{escaped(text)}"
    if one.cancelled:
        yield "STATUS:CANCELLED"
    if one.free:
        yield "TRANSP:TRANSPARENT"
    if one.organizer is not None:
        yield f"ORGANIZER{_named(one.organizer)}:mailto:{one.organizer.address}"
    for person in one.attendees:
        extra = (
            f";ROLE={person.role}" if person.role.replace("-", "").isalnum() and person.role.isascii() else ""
        )
        extra += f";PARTSTAT={person.answer}"
        extra += ";RSVP=TRUE" if person.answer == "NEEDS-ACTION" else ""
        extra += f";X-BEFFROI-REPLIED={person.replied}" if person.replied.isalnum() else ""
        yield f"ATTENDEE{_named(person)}{extra}:mailto:{person.address}"


def _zone(one: Event) -> ZoneInfo | None:
    """Of what repeats, whose hours follow their own summer; all else is told in UTC."""
    repeats = one.rule or one.dates or one.left_out or one.occurrence is not None
    if not repeats or not isinstance(one.starts, datetime):
        return None
    zone = one.starts.tzinfo
    if isinstance(zone, ZoneInfo) and zone.key != "UTC":
        return zone
    return None if zone is UTC or getattr(zone, "key", "") == "UTC" else LOCAL


def _timed(name: str, moment: Moment, zone: ZoneInfo | None) -> str:
    if not isinstance(moment, datetime):
        return f"{name};VALUE=DATE:{moment:%Y%m%d}"
    if zone is None:
        return f"{name}:{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    return f"{name};TZID={zone.key}:{moment.astimezone(zone):%Y%m%dT%H%M%S}"


def _named(person: Attendee) -> str:
    plain = person.name.replace('"', "'").replace("^", "")
    return f';CN="{plain}"' if plain else ""


def escaped(text: str) -> str:
    """As a value of iCalendar (RFC 5545, 3.3.11) and of vCard (RFC 2426, 4)."""
    out = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return out.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\n")


def _folded(line: str) -> Iterator[str]:
    """Lines of at most ``LINE_BYTES`` in UTF-8, none of which ends within a sign."""
    piece, size = "", 0
    for sign in line:
        more = len(sign.encode("utf-8", "replace"))
        if size + more > LINE_BYTES:
            yield piece
            piece, size = " ", 1
        piece, size = piece + sign, size + more
    yield piece
