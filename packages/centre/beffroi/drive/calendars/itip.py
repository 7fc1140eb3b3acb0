"""Invitations as they come by mail: a text of iCalendar with a METHOD becomes what a page can show. Pure.

Process: calendars.
Hostile: the whole text. ``MAX_TEXT_CHARS`` and ``MAX_COMPONENTS`` before anything parses it; ``MAX_EVENTS`` of one UID,
         and ``MAX_ATTENDEES`` each. No time zone of the text is registered with vobject, where it would hold for
         everybody: lines are read raw, and zones by name or, yearly rules alone, by their own text.
Fails:   closed: ``Unreadable`` says why.
Times:   aware, or a date. A time without a zone, or of one that nobody knows, is one of ``LOCAL``.
Source:  RFC 5545, RFC 5546, RFC 6047.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import vobject
from dateutil import tz

from beffroi.drive.calendars.rules import is_often
from beffroi.lib.errors import Invalid

LOCAL = ZoneInfo("Europe/Paris")
MAX_TEXT_CHARS = 256 * 1024
MAX_COMPONENTS, MAX_EVENTS, MAX_ATTENDEES = 200, 50, 300
MAX_UID_CHARS, MAX_LINE_CHARS, MAX_WORDS_CHARS = 500, 500, 8000
METHODS = ("REQUEST", "CANCEL", "REPLY")
ANSWERS = ("NEEDS-ACTION", "ACCEPTED", "TENTATIVE", "DECLINED", "DELEGATED")
_WINDOWS = {
    "Romance Standard Time": "Europe/Paris",
    "W. Europe Standard Time": "Europe/Berlin",
    "Central Europe Standard Time": "Europe/Budapest",
    "Central European Standard Time": "Europe/Warsaw",
    "GMT Standard Time": "Europe/London",
    "Greenwich Standard Time": "Atlantic/Reykjavik",
    "E. Europe Standard Time": "Europe/Chisinau",
    "FLE Standard Time": "Europe/Kiev",
    "Eastern Standard Time": "America/New_York",
    "Central Standard Time": "America/Chicago",
    "Pacific Standard Time": "America/Los_Angeles",
    "SA Western Standard Time": "America/La_Paz",
    "UTC": "UTC",
}
"""Names that Outlook gives to zones, and those of the Olson database (Unicode CLDR, windowsZones)."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(?:/[A-Za-z0-9_+-]{1,30}){0,2}")
_YEARLY = re.compile(
    r"FREQ=YEARLY(?:;(?:BYMONTH=\d{1,2}|BYDAY=[+-]?\d?[A-Z]{2}|UNTIL=[0-9TZ]{8,16}|INTERVAL=1|WKST=[A-Z]{2}))*"
)
_DATE, _TIME = re.compile(r"\d{8}"), re.compile(r"(\d{8}T\d{6})(Z?)")
_DURATION = re.compile(
    r"([+-]?)P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?"
)
_ADDRESS = re.compile(r"[^\s<>\"',;:\\\x00-\x20\x7f-\uffff]{1,64}@[A-Za-z0-9.-]{1,190}")
_BAD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_RULE = re.compile(r"[A-Za-z0-9=;,+-]{1,500}")
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
        found = list(vobject.readComponents(re.sub(r"(?m)^[ \t]*\r?\n", "", plain), transform=False))
    except Exception:  # noqa: BLE001 - whatever vobject makes of it
        raise Unreadable("syntax") from None
    if len(found) != 1 or str(found[0].name).upper() != "VCALENDAR":
        raise Unreadable("syntax")
    return _message(found[0])


def _message(whole: Any) -> Message:
    parts = whole.contents.get("vevent", [])
    if not parts:
        raise Unreadable("syntax")
    if len(parts) > MAX_EVENTS:
        raise Unreadable("flood")
    zones = Zones(whole.contents.get("vtimezone", []))
    try:
        events = [_event(one, zones) for one in parts]
    except Unreadable:
        raise
    except (ValueError, TypeError, AttributeError, OverflowError, KeyError, IndexError):
        raise Unreadable("syntax") from None
    if len({one.uid for one in events}) > 1:
        raise Unreadable("several")
    events.sort(key=lambda one: (one.occurrence is not None, str(one.occurrence)))
    if sum(one.occurrence is None for one in events) > 1:
        raise Unreadable("several")
    return Message(_value(whole, "method").upper()[:20], tuple(events))


class Zones:
    """Time zones by their TZID: known names, else what the text says of them where that ends."""

    def __init__(self, blocks: Sequence[Any]) -> None:
        self._blocks = {_value(one, "tzid"): one for one in blocks[:20]}
        self._found: dict[str, tzinfo | None] = {}

    def get(self, name: str) -> tzinfo | None:
        if name not in self._found:
            self._found[name] = named_zone(name) or self._told(name)
        return self._found[name]

    def _told(self, name: str) -> tzinfo | None:
        block = self._blocks.get(name)
        if block is None:
            return None
        lines = ["BEGIN:VTIMEZONE", "TZID:told"]
        for kind in ("standard", "daylight"):
            for one in block.contents.get(kind, [])[:10]:
                values = {key: _value(one, key) for key in ("dtstart", "tzoffsetfrom", "tzoffsetto", "rrule")}
                if values["rrule"] and not _YEARLY.fullmatch(values["rrule"].upper()):
                    return None
                lines += [f"BEGIN:{kind.upper()}"]
                lines += [f"{key.upper()}:{value}" for key, value in values.items() if value]
                lines += [f"END:{kind.upper()}"]
        try:
            told: tzinfo | None = tz.tzical(io.StringIO("\n".join([*lines, "END:VTIMEZONE"]))).get()
        except (ValueError, TypeError, AttributeError, OverflowError, IndexError):
            return None
        return LOCAL if told is not None and _is_local(told) else told


def _is_local(zone: tzinfo) -> bool:
    """Whether it goes as ours in a year, by whatever name: what repeats then keeps its summer."""
    days = (datetime(2026, month, day, 12, tzinfo=UTC) for month in range(1, 13) for day in (1, 15))
    return all(one.astimezone(zone).utcoffset() == one.astimezone(LOCAL).utcoffset() for one in days)


def named_zone(name: str) -> tzinfo | None:
    """One of the Olson database, also by the name that Outlook gives it, or the last parts of a longer name."""
    wanted = _WINDOWS.get(name, name).removeprefix("/freeassociation.sourceforge.net/")
    if not _NAME.fullmatch(wanted):
        return None
    try:
        return ZoneInfo(wanted)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _event(part: Any, zones: Zones) -> Event:
    uid = _BAD.sub("", _value(part, "uid")).strip()
    if not uid or len(uid) > MAX_UID_CHARS:
        raise Unreadable("uid")
    if "dtstart" not in part.contents:
        raise Unreadable("time")
    starts, known = _moment(part.contents["dtstart"][0], zones)
    rule = _value(part, "rrule").strip()
    if rule and (
        not _RULE.fullmatch(rule)
        or is_often(rule)
        or len(part.contents["rrule"]) > 1
        or "exrule" in part.contents
    ):
        raise Unreadable("rule")
    attendees = part.contents.get("attendee", [])
    if len(attendees) > MAX_ATTENDEES:
        raise Unreadable("flood")
    organizers = [found for one in part.contents.get("organizer", [])[:1] if (found := _attendee(one))]
    people: dict[str, Attendee] = {}
    for one in attendees:
        if (found := _attendee(one)) is not None:
            people.setdefault(found.address, found)
    number = _value(part, "sequence").strip()
    occurrence = part.contents.get("recurrence-id")
    if occurrence and occurrence[0].params.get("RANGE"):
        raise Unreadable("rule")
    stamp = _TIME.fullmatch(_value(part, "dtstamp").strip())
    return Event(
        uid=uid,
        sequence=int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0,
        stamp=_at(stamp[1], UTC) if stamp else datetime(1970, 1, 1, tzinfo=UTC),
        starts=starts,
        ends=_end(part, starts, zones),
        title=one_line(_value(part, "summary")),
        place=one_line(_value(part, "location")),
        words=_value(part, "description")[:MAX_WORDS_CHARS].strip(),
        organizer=organizers[0] if organizers else None,
        attendees=tuple(people.values()),
        rule=rule.upper(),
        dates=_moments(part.contents.get("rdate", []), zones),
        left_out=_moments(part.contents.get("exdate", []), zones),
        occurrence=_moment(occurrence[0], zones)[0] if occurrence else None,
        cancelled=_value(part, "status").strip().upper() == "CANCELLED",
        free=_value(part, "transp").strip().upper() == "TRANSPARENT",
        zone_known=known
        and not (rule and isinstance(starts, datetime) and "TZID" in _params(part) and starts.tzinfo is UTC),
    )


def _end(part: Any, starts: Moment, zones: Zones) -> Moment:
    whole_day = not isinstance(starts, datetime)
    ends: Moment = starts + timedelta(days=1) if whole_day else starts
    if "dtend" in part.contents:
        ends = _moment(part.contents["dtend"][0], zones)[0]
    elif told := _DURATION.fullmatch(_value(part, "duration").strip()):
        weeks, days, hours, minutes, seconds = (int(one or 0) for one in told.groups()[1:])
        length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
        ends = starts + length if told[1] != "-" else starts
    if isinstance(ends, datetime) is whole_day:
        raise Unreadable("time")
    if whole_day:
        return max(ends, starts + timedelta(days=1))
    return max(ends, starts)


def _moments(lines: Sequence[Any], zones: Zones) -> tuple[Moment, ...]:
    found: list[Moment] = []
    for line in lines:
        if "PERIOD" in line.params.get("VALUE", []):
            raise Unreadable("rule")
        for piece in str(line.value).split(","):
            found.append(_moment(line, zones, piece)[0])
            if len(found) > 1000:
                raise Unreadable("flood")
    return tuple(found)


def _moment(line: Any, zones: Zones, text: str = "") -> tuple[Moment, bool]:
    """A time and whether its zone is known. Errors: Unreadable."""
    value = (text or str(line.value)).strip().upper()
    if _DATE.fullmatch(value):
        return _in_time(datetime.strptime(value, "%Y%m%d").replace(tzinfo=UTC)).date(), True
    told = _TIME.fullmatch(value)
    if told is None:
        raise Unreadable("time")
    if told[2]:
        return _at(told[1], UTC), True
    names = line.params.get("TZID", [])
    if not names:
        return _at(told[1], LOCAL), True
    zone = zones.get(str(names[0]).strip())
    return _at(told[1], zone or LOCAL), zone is not None


def _at(text: str, zone: tzinfo) -> datetime:
    found = _in_time(datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=zone))
    return found if isinstance(zone, ZoneInfo) or zone is UTC else found.astimezone(UTC)


def _in_time(moment: datetime) -> datetime:
    if not 1970 <= moment.year <= 2200:
        raise Unreadable("time")
    return moment


def _attendee(line: Any) -> Attendee | None:
    address = address_of(str(line.value))
    if not address:
        return None

    def told(name: str) -> str:
        return one_line(str((line.params.get(name) or [""])[0]))[:200]

    answer = told("PARTSTAT").upper()
    return Attendee(
        address,
        name=told("CN") if told("CN").lower() != address else "",
        answer=answer if answer in ANSWERS else "NEEDS-ACTION",
        role=told("ROLE").upper(),
        replied=told("X-BEFFROI-REPLIED")[:20],
    )


def address_of(value: str) -> str:
    """The address of a calendar user, lower case; "" for what is none (RFC 5545, 3.3.3)."""
    plain = value.strip()
    if plain.lower().startswith("mailto:"):
        plain = plain[7:]
    return plain.lower() if _ADDRESS.fullmatch(plain) else ""


def _params(part: Any) -> dict[str, Any]:
    found: dict[str, Any] = part.contents["dtstart"][0].params
    return found


def _value(part: Any, name: str) -> str:
    found = part.contents.get(name)
    return str(found[0].value) if found and isinstance(getattr(found[0], "value", None), str) else ""


def one_line(text: str, most_chars: int = MAX_LINE_CHARS) -> str:
    """One line of text, without signs that hide or reorder it."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(plain.split())[:most_chars]
