"""Time zones that entries define: each for itself, and none that keeps a reader busy.

Why:    vobject has one table of zones for its whole process, first come, first served: what one program once called
        "Europe/Paris" would move everybody's entries, those of other collectivités too. And it walks through the rules
        of a zone as soon as it reads one. So here a name that the world knows means what the world means, any other
        what the entry itself says, while it is read; a zone whose rules are no calendar's is not known.
Process: calendars; ``install`` once, before anything is read. Hostile: names and rules.
Source:  RFC 5545, 3.6.5; RFC 7809, 3.1.1 (zones by reference); vobject.icalendar.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import vobject

from beffroi.drive.calendars import lines, zone_names

MAX_RULES = 50
"""Of a zone. A century of Paris has fewer."""
_YEARLY = re.compile(
    r"FREQ=YEARLY(;(INTERVAL=[1-9][0-9]?|COUNT=[0-9]{1,4}|UNTIL=[0-9]{8}(T[0-9]{6}Z?)?|WKST=[A-Z]{2}"
    r"|BYMONTH=[0-9]{1,2}|BYMONTHDAY=[0-9,-]{1,40}|BYDAY=[0-9A-Z,+-]{2,40}))*",
    re.ASCII,
)
_UTC: tzinfo = vobject.icalendar.utc


class _Zone(ZoneInfo):
    """``tzid``: by which vobject names it: as its entry does, beside whose own definition another would be put."""

    tzid: str

    def __reduce__(self) -> tuple[object, ...]:
        return _zone, (self.tzid,)  # who copies an entry copies its times


@lru_cache(256)
def _zone(name: str) -> _Zone | None:
    """vobject would ask pytz, whose zones keep the offset of a series' first date all year."""
    known = zone_names.named_zone(name)
    if known is None:
        return None
    zone = _Zone.no_cache(known.key)
    zone.tzid = name
    return zone


class _Later(tzinfo):
    """As vobject expects a zone that it writes down: an hour that comes twice, or never, is one of after the change.
    It wrote changes that came an hour late."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone, self.tzid = zone, vobject.icalendar.TimezoneComponent.pickTzid(zone, allowUTC=True)

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return self._zone.utcoffset(moment and moment.replace(fold=1))

    def dst(self, moment: datetime | None) -> timedelta | None:
        return self._zone.dst(moment and moment.replace(fold=1))

    def tzname(self, moment: datetime | None) -> str | None:
        return self._zone.tzname(moment and moment.replace(fold=1))


class _Zones(threading.local):
    """In the place of vobject's table; of the one text that a thread reads."""

    def __init__(self) -> None:
        self.own: dict[str, tzinfo] = {}

    def get(self, name: str | None) -> tzinfo | None:
        if name == "UTC":
            return _UTC
        return _zone(name or "") or self.own.get(lines.unescaped(name or ""))

    def __setitem__(self, name: str, zone: tzinfo) -> None:
        self.own[name] = zone


_zones = _Zones()


def install() -> None:
    """Twice does nothing more than once."""
    if vobject.base.readComponents is _read:
        return
    vobject.icalendar.__tzidMap = _zones
    vobject.icalendar.VTimezone.transformToNative = staticmethod(_native)
    vobject.base.readComponents = vobject.readComponents = _read
    written = vobject.icalendar.TimezoneComponent
    written.tzinfo = property(written.gettzinfo, lambda one, zone: written.settzinfo(one, _Later(zone)))


_read_all = vobject.base.readComponents


def _read(*args: Any, **options: Any) -> Iterator[Any]:
    _zones.own = {}
    for one in _read_all(*args, **options):
        yield one
        _zones.own = {}


def _native(zone: Any) -> Any:
    if not zone.isNative:
        object.__setattr__(zone, "__class__", vobject.icalendar.TimezoneComponent)
        zone.isNative = True
        name = ""
        if "tzid" in zone.contents:
            name = zone.contents["tzid"][0].value = lines.unescaped(str(zone.contents["tzid"][0].value))
        if name and _zones.get(name) is None and _is_plain(zone):
            _zones[name] = _without_names(zone).tzinfo
    return zone


def _without_names(zone: Any) -> Any:
    """What its times are called in some language (``TZNAME;LANGUAGE=fr``, RFC 5545) is more than dateutil reads."""
    plain = zone.duplicate(zone)
    for one in plain.components():
        one.contents.pop("tzname", None)
    return plain


def _is_plain(zone: Any) -> bool:
    rules = [str(line.value) for one in zone.components() for line in one.contents.get("rrule", ())]
    return len(rules) <= MAX_RULES and all(_YEARLY.fullmatch(one.strip().upper()) for one in rules)
