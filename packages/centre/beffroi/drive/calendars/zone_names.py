"""Time zones by their names, and what the text of a mail says of others. Pure.

Process: calendars.
Hostile: names, and definitions: ``MAX_ZONES_READ`` of a text, of ``MAX_CHANGES`` each, with yearly rules alone.
Source:  RFC 5545, 3.6.5; RFC 7809, 3.1.1 (zones by reference); Unicode's table of Windows' zones.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from dateutil import tz

from beffroi.drive.calendars import lines
from beffroi.drive.calendars.lines import Component
from beffroi.lib import clock

LOCAL = clock.PLACE
"""Of the collectivités."""
_WINDOWS = {
    "Romance Standard Time": "Europe/Paris",
    "W. Europe Standard Time": "Europe/Berlin",
    "Central Europe Standard Time": "Europe/Budapest",
    "Central European Standard Time": "Europe/Warsaw",
    "GMT Standard Time": "Europe/London",
    "Greenwich Standard Time": "Atlantic/Reykjavik",
    "E. Europe Standard Time": "Europe/Chisinau",
    "FLE Standard Time": "Europe/Kiev",
    "GTB Standard Time": "Europe/Bucharest",
    "Turkey Standard Time": "Europe/Istanbul",
    "Morocco Standard Time": "Africa/Casablanca",
    "W. Central Africa Standard Time": "Africa/Lagos",
    "Israel Standard Time": "Asia/Jerusalem",
    "Atlantic Standard Time": "America/Halifax",
    "Eastern Standard Time": "America/New_York",
    "Central Standard Time": "America/Chicago",
    "Pacific Standard Time": "America/Los_Angeles",
    "SA Western Standard Time": "America/La_Paz",  # Guadeloupe, Martinique
    "SA Eastern Standard Time": "America/Cayenne",
    "Saint Pierre Standard Time": "America/Miquelon",
    "Mauritius Standard Time": "Indian/Mauritius",  # La Réunion
    "E. Africa Standard Time": "Africa/Nairobi",  # Mayotte
    "Central Pacific Standard Time": "Pacific/Guadalcanal",  # Nouvelle-Calédonie
    "Hawaiian Standard Time": "Pacific/Honolulu",  # Tahiti
    "UTC-09": "Etc/GMT+9",  # Gambier
    "Marquesas Standard Time": "Pacific/Marquesas",
    "UTC+12": "Etc/GMT-12",  # Wallis-et-Futuna
    "UTC": "UTC",
    "tzone://Microsoft/Utc": "UTC",
}
"""Names that Outlook gives to zones, and those of the Olson database: where a text does not say itself what it means.
Europe, France beyond the seas, and the neighbours of both."""
_LIKE = ("Europe/Paris", "Europe/London", "Europe/Athens", "America/New_York", "America/Chicago",
         "America/Denver", "America/Los_Angeles", "America/Halifax", "Asia/Jerusalem", "Australia/Sydney",
         "Pacific/Auckland")  # fmt: skip
"""With a summer that programs define under names of their own."""
_MOST_PARTS = 6
"""Of a name that begins with whose it is."""
_NEW_YEAR = datetime(2026, 1, 1, 12, tzinfo=UTC)
_TELLING = (0, *range(60, 130, 2), 182, *range(260, 316, 2))
"""Days of a year by which these are told apart: when their clocks change, and between."""
_YEARLY = re.compile(
    r"FREQ=YEARLY(?:;(?:BYMONTH=(?:0?[1-9]|1[0-2])|BYDAY=[+-]?[1-5][A-Z]{2}|UNTIL=[0-9TZ]{8,16}|INTERVAL=1"
    r"|WKST=[A-Z]{2}))*"
)
"""What comes again: a day that no year has would be looked for until the year 9999."""
MAX_ZONES_READ, MAX_CHANGES, _FIRST_YEAR = 4, 10, "16"
"""Of a text; of a zone. Each change is walked through from the year that it begins in: Outlook says 1601."""


class Zones:
    """Time zones by their TZID: known names, else what the text says of them where that ends."""

    def __init__(self, blocks: Sequence[Component]) -> None:
        self._blocks = {lines.unescaped(one.value("TZID")): one for one in blocks[:20]}
        self._found: dict[str, tzinfo | None] = {}
        self._left = MAX_ZONES_READ

    def get(self, name: str) -> tzinfo | None:
        if name not in self._found:
            self._found[name] = named_zone(name) or self._told(name)
        return self._found[name]

    def _told(self, name: str) -> tzinfo | None:
        block = self._blocks.get(lines.unescaped(name))
        if block is None or not self._left:
            return None
        self._left -= 1
        changes = [*block.parts.get("STANDARD", []), *block.parts.get("DAYLIGHT", [])]
        if len(changes) > MAX_CHANGES:
            return None
        told = ["BEGIN:VTIMEZONE", "TZID:told"]
        for one in changes:
            values = {key: one.value(key)[:200] for key in ("DTSTART", "TZOFFSETFROM", "TZOFFSETTO", "RRULE")}
            if values["DTSTART"] < _FIRST_YEAR or (
                values["RRULE"] and not _YEARLY.fullmatch(values["RRULE"].upper())
            ):
                return None
            # All of one kind: dateutil fails at a time before the first change where none is of standard time.
            told += ["BEGIN:STANDARD", *(f"{key}:{value}" for key, value in values.items() if value)]
            told += ["END:STANDARD"]
        try:
            zone: tzinfo | None = tz.tzical(io.StringIO("\n".join([*told, "END:VTIMEZONE"]))).get()
            return _alike(zone) if zone is not None else None
        except (ValueError, TypeError, AttributeError, OverflowError, IndexError):
            return None


def _alike(zone: tzinfo) -> tzinfo:
    """One that has a name and goes as this one in a year: what repeats then keeps its summer. Without summer, it is its
    offset."""
    offsets = _offsets(zone)
    if len(set(offsets)) == 1 and offsets[0] is not None:
        return timezone(offsets[0])
    return next((one for one in map(ZoneInfo, _LIKE) if _offsets(one) == offsets), zone)


def _offsets(zone: tzinfo) -> list[timedelta | None]:
    return [(_NEW_YEAR + timedelta(days=one)).astimezone(zone).utcoffset() for one in _TELLING]


@cache
def known_names() -> dict[str, str]:
    """Names of the Olson database, by what they are in small letters: as programs write them, in whatever capitals. The
    two that are no place are left out: "localtime" is wherever this machine stands."""
    return {name.lower(): name for name in available_timezones() - {"localtime", "Factory"}}


def named_zone(name: str) -> ZoneInfo | None:
    """One of the Olson database, also by the name that Outlook gives it, or by the last parts of a name that begins
    with whose it is (``/freeassociation.sourceforge.net/Europe/Paris``)."""
    wanted = _WINDOWS.get(name, name).lower()
    parts = wanted.split("/", _MOST_PARTS)
    longer = ["/".join(parts[at:]) for at in range(1, len(parts))] if wanted.startswith("/") else []
    known = next((known_names()[one] for one in (wanted, *longer) if one in known_names()), None)
    return ZoneInfo(known) if known else None
