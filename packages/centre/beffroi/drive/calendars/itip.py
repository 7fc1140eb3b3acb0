"""Invitations as they come by mail: a text of iCalendar with a METHOD becomes what a page can show. Pure.

Process: calendars.
Hostile: the whole text. ``MAX_TEXT_CHARS`` and ``MAX_COMPONENTS`` before anything parses it; ``MAX_EVENTS`` of one UID,
         and ``MAX_ATTENDEES`` each. It is read without vobject, which one line can keep busy for hours (``lines``) and
         which keeps the time zones of a text for everybody (``zone_names``).
Fails:   closed: ``Unreadable`` says why.
Times:   aware, or a date. A time without a zone, or of one that nobody knows, is one of ``LOCAL``.
Source:  RFC 5545, RFC 5546, RFC 6047.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from beffroi.drive.calendars import lines
from beffroi.drive.calendars.lines import Component, Line
from beffroi.drive.calendars.rules import is_bounded
from beffroi.drive.calendars.zone_names import LOCAL, Zones
from beffroi.lib import digits
from beffroi.lib.errors import Invalid

MAX_TEXT_CHARS = 256 * 1024
MAX_COMPONENTS, MAX_EVENTS, MAX_ATTENDEES, MAX_DATES = 200, 50, 300, 1000
MAX_UID_CHARS, MAX_LINE_CHARS, MAX_WORDS_CHARS = 500, 500, 8000
METHODS = ("REQUEST", "CANCEL", "REPLY", "ADD", "COUNTER", "DECLINECOUNTER", "REFRESH")
ANSWERS = ("NEEDS-ACTION", "ACCEPTED", "TENTATIVE", "DECLINED", "DELEGATED")
_DATE, _TIME = re.compile(r"\d{8}"), re.compile(r"(\d{8}T\d{6})(Z?)")
_DURATION = re.compile(
    r"([+-]?)P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?"
)
_ADDRESS = re.compile(r"[^\s<>\"',;:\\\x00-\x20\x7f-\uffff]{1,64}@[A-Za-z0-9.-]{1,190}")
_BAD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
Moment = date | datetime


class Unreadable(Invalid):
    """This invitation cannot be read: {}"""

    code = "calendars.invitation_unreadable"

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        """size, syntax, uid, several, flood, time, rule or organizer."""


@dataclass(frozen=True)
class Attendee:
    """``answer``: one of ``ANSWERS``. ``replied``: DTSTAMP of the reply it comes from, as noted beside it."""

    address: str
    name: str = ""
    answer: str = "NEEDS-ACTION"
    role: str = ""
    replied: str = ""


@dataclass(frozen=True)
class Event:
    """One VEVENT. ``ends`` is exclusive, as in RFC 5545. ``occurrence``: RECURRENCE-ID, of one of a series."""

    uid: str
    sequence: int
    stamp: datetime
    starts: Moment
    ends: Moment
    title: str = ""
    place: str = ""
    words: str = ""
    organizer: Attendee | None = None
    attendees: tuple[Attendee, ...] = ()
    rule: str = ""
    dates: tuple[Moment, ...] = ()
    left_out: tuple[Moment, ...] = ()
    occurrence: Moment | None = None
    cancelled: bool = False
    free: bool = False
    zone_known: bool = True

    @property
    def all_day(self) -> bool:
        return not isinstance(self.starts, datetime)

    def guest(self, address: str) -> Attendee | None:
        return next((one for one in self.attendees if one.address == address), None)


@dataclass(frozen=True)
class Message:
    """The series or single event first, then what was changed of its occurrences. ``method`` "" for a stored one."""

    method: str
    events: tuple[Event, ...]

    @property
    def main(self) -> Event:
        return self.events[0]


def parse(text: str) -> Message:
    """Errors: Unreadable."""
    if len(text) > MAX_TEXT_CHARS:
        raise Unreadable("size")
    plain = _BAD.sub("", text.removeprefix("\ufeff"))
    if len(re.findall(r"(?im)^BEGIN:", plain)) > MAX_COMPONENTS:
        raise Unreadable("flood")
    try:
        found = lines.read(plain)
    except lines.Broken:
        raise Unreadable("syntax") from None
    if len(found) != 1 or found[0].name != "VCALENDAR":
        raise Unreadable("syntax")
    return _message(found[0])


def _message(whole: Component) -> Message:
    parts = whole.parts.get("VEVENT", [])
    if not parts:
        raise Unreadable("syntax")
    if len(parts) > MAX_EVENTS:
        raise Unreadable("flood")
    zones, method = Zones(whole.parts.get("VTIMEZONE", [])), whole.value("METHOD").upper()[:20]
    try:
        events = [_event(one, zones, timeless=method == "REFRESH") for one in parts]
    except Unreadable:
        raise
    except (ValueError, OverflowError):
        raise Unreadable("time") from None
    if len({one.uid for one in events}) > 1:
        raise Unreadable("several")
    events.sort(key=lambda one: (one.occurrence is not None, str(one.occurrence)))
    if sum(one.occurrence is None for one in events) > 1:
        raise Unreadable("several")
    return Message(method, tuple(events))


def _event(part: Component, zones: Zones, *, timeless: bool = False) -> Event:
    """``timeless``: a REFRESH tells no time (RFC 5546, 3.2.6); it stands at its DTSTAMP then."""
    uid = _text(part, "UID").strip()
    if not uid or len(uid) > MAX_UID_CHARS:
        raise Unreadable("uid")
    start = part.first("DTSTART") or (part.first("DTSTAMP") if timeless else None)
    if start is None:
        raise Unreadable("time")
    starts, known = _moment(start, zones)
    occurrence = part.first("RECURRENCE-ID")
    if occurrence is not None and "RANGE" in occurrence.params:
        raise Unreadable("rule")
    rule = _rule(part, starts)
    attendees = part.lines.get("ATTENDEE", [])
    if len(attendees) > MAX_ATTENDEES:
        raise Unreadable("flood")
    organizer = part.first("ORGANIZER")
    people: dict[str, Attendee] = {}
    for one in attendees:
        if (found := _attendee(one)) is not None:
            people.setdefault(found.address, found)
    number, stamp = part.value("SEQUENCE"), _TIME.fullmatch(part.value("DTSTAMP"))
    name = start.params.get("TZID", "").strip()
    if (
        rule
        and isinstance(starts, datetime)
        and name
        and not isinstance(zones.get(name), ZoneInfo | timezone)
    ):
        known = False  # its summer has no name
    return Event(
        uid=uid,
        sequence=digits.number(number, 9) or 0,
        stamp=_at(stamp[1], UTC) if stamp else datetime(1970, 1, 1, tzinfo=UTC),
        starts=starts,
        ends=_end(part, starts, zones),
        title=one_line(_text(part, "SUMMARY")),
        place=one_line(_text(part, "LOCATION")),
        words=_text(part, "DESCRIPTION")[:MAX_WORDS_CHARS].strip(),
        organizer=_attendee(organizer) if organizer is not None else None,
        attendees=tuple(people.values()),
        rule=rule,
        dates=_moments(part.lines.get("RDATE", []), zones),
        left_out=_moments(part.lines.get("EXDATE", []), zones),
        occurrence=_moment(occurrence, zones)[0] if occurrence is not None else None,
        cancelled=part.value("STATUS").upper() == "CANCELLED",
        free=part.value("TRANSP").upper() == "TRANSPARENT",
        zone_known=known,
    )


def _rule(part: Component, starts: Moment) -> str:
    """The rule, if it can be followed without long looking. Errors: Unreadable."""
    found = part.lines.get("RRULE", [])
    if len(found) > 1 or "EXRULE" in part.lines or (found and "RECURRENCE-ID" in part.lines):
        raise Unreadable("rule")
    rule = part.value("RRULE").upper()
    if rule and not is_bounded(rule, starts):
        raise Unreadable("rule")
    return rule


def _end(part: Component, starts: Moment, zones: Zones) -> Moment:
    whole_day = not isinstance(starts, datetime)
    ends: Moment = starts + timedelta(days=1) if whole_day else starts
    told_end = part.first("DTEND")
    if told_end is not None:
        ends = _moment(told_end, zones)[0]
    elif told := _DURATION.fullmatch(part.value("DURATION")):
        weeks, days, hours, minutes, seconds = (int(one or 0) for one in told.groups()[1:])
        of_days = timedelta(weeks=weeks, days=days)
        of_hours = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        if told[1] != "-":
            of_all = of_days + of_hours
            ends = after(starts, of_days, of_hours) if isinstance(starts, datetime) else starts + of_all
    if isinstance(ends, datetime) is whole_day:
        raise Unreadable("time")
    if whole_day:
        return max(ends, starts + timedelta(days=1))
    return max(ends, starts)


def after(starts: datetime, days: timedelta, hours: timedelta) -> datetime:
    """Days are those of the calendar, hours pass, also in a night on which clocks change (RFC 5545, 3.3.6)."""
    return ((starts + days).astimezone(UTC) + hours).astimezone(starts.tzinfo)


def _moments(found: Sequence[Line], zones: Zones) -> tuple[Moment, ...]:
    out: list[Moment] = []
    for line in found:
        if line.params.get("VALUE") == "PERIOD":
            raise Unreadable("rule")
        for piece in filter(str.strip, line.value.split(",")):
            if len(out) >= MAX_DATES:
                raise Unreadable("flood")
            out.append(_moment(line, zones, piece)[0])
    return tuple(out)


def _moment(line: Line, zones: Zones, text: str = "") -> tuple[Moment, bool]:
    """A time and whether its zone is known. Errors: Unreadable, ValueError."""
    value = (text or line.value).strip().upper()
    if _DATE.fullmatch(value):
        return _in_time(datetime.strptime(value, "%Y%m%d").replace(tzinfo=UTC)).date(), True
    told = _TIME.fullmatch(value)
    if told is None:
        raise Unreadable("time")
    if told[2]:
        return _at(told[1], UTC), True
    name = line.params.get("TZID", "").strip()
    if not name:
        return _at(told[1], LOCAL), True
    zone = zones.get(name)
    return _at(told[1], zone or LOCAL), zone is not None


def _at(text: str, zone: tzinfo) -> datetime:
    found = _in_time(datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=zone))
    return found if isinstance(zone, ZoneInfo) or zone is UTC else found.astimezone(UTC)


def _in_time(moment: datetime) -> datetime:
    if not 1970 <= moment.year <= 2200:
        raise Unreadable("time")
    return moment


def _attendee(line: Line) -> Attendee | None:
    address = address_of(line.value)
    if not address:
        return None
    told = {
        name: one_line(lines.uncareted(line.params.get(name, "")), 200)
        for name in ("CN", "PARTSTAT", "ROLE", "X-BEFFROI-REPLIED")
    }
    answer = told["PARTSTAT"].upper()
    return Attendee(
        address,
        name=told["CN"] if told["CN"].lower() != address else "",
        answer=answer if answer in ANSWERS else "NEEDS-ACTION",
        role=told["ROLE"].upper(),
        replied=told["X-BEFFROI-REPLIED"][:20],
    )


def address_of(value: str) -> str:
    """The address of a calendar user, lower case; "" for what is none (RFC 5545, 3.3.3)."""
    plain = value.strip()
    if plain.lower().startswith("mailto:"):
        plain = plain[7:]
    return plain.lower() if _ADDRESS.fullmatch(plain) else ""


def _text(part: Component, name: str) -> str:
    found = part.first(name)
    return found.text if found is not None else ""


def one_line(text: str, most_chars: int = MAX_LINE_CHARS) -> str:
    """One line of text, without signs that hide or reorder it."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(plain.split())[:most_chars]
