"""Which rules of repetition are taken: none that makes a calendar costly for everybody who looks at it.

A question about a time walks through the occurrences from the first one on, and a rule without an end has no last one.
Read from what vobject understood, not from the text: a value may be folded or encoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, date, datetime, time
from typing import Any

from dateutil.rrule import rrule, rrulestr

from beffroi.drive.calendars import components
from beffroi.drive.calendars.questions import LAST_YEAR

_NAMES, _RANGE = ("rrule", "exrule"), ("range",)
_OFTEN, _TIMES = re.compile(r"FREQ=(?:SECONDLY|MINUTELY|HOURLY)"), re.compile(r"BY(?:SECOND|MINUTE|HOUR)=")
_PLAIN = re.compile(r"[A-Z]+=[A-Z0-9,+-]+(?:;[A-Z]+=[A-Z0-9,+-]+){0,9}")
_ALWAYS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY")
_PARTS = {
    "DAILY": frozenset((*_ALWAYS, "BYMONTH")),
    "WEEKLY": frozenset((*_ALWAYS, "BYMONTH")),
    "MONTHLY": frozenset((*_ALWAYS, "BYMONTH", "BYMONTHDAY", "BYSETPOS")),
    "YEARLY": frozenset((*_ALWAYS, "BYMONTH", "BYMONTHDAY", "BYSETPOS")),
}
_LOOK_YEARS = 20
MAX_RULES = 10
"""Of an entry: each is walked through for each question."""
MAX_CHARS = 4096
"""Of a rule: all of it is looked at for each date. One that names each day of a year twice has 3,000."""
MAX_STEPS = 100_000
"""From its start to LAST_YEAR, as far as its first two dates say: a daily one since 1827."""
_CYCLE_YEARS, _LEFT_YEARS = 400, 40
"""After the one, days of the week fall on the same dates again; so much is left at least until no year comes."""
_INTERVAL, _STEP = re.compile(r"INTERVAL=([^;]*)"), re.compile(r"0*[1-9][0-9]{0,8}", re.ASCII)
_FOLDED = re.compile(r"\r?\n[ \t]")


def repeats_within_a_day(text: str) -> bool:
    """Whether an entry repeats more often than daily; False for what cannot be read, which nobody stores."""
    return any(is_often(value) for value, _ in _rules(_components(text)))


def walks_far(text: str) -> bool:
    """Whether who looks for dates of an entry walks for long: through more than anybody lives to see, or to none at
    all, for which dateutil goes to the year 9999, and with an interval of 0 nowhere."""
    found = [one for one in _rules(_components(text)) if one[1] is not None]
    if len(found) > MAX_RULES or any(len(value) > MAX_CHARS for value, _ in found):
        return True
    return any(_hardly_comes(value, starts) for value, starts in found)


def changes_what_follows(text: str) -> bool:
    """Whether a date of a series changes all later ones, too, as programs of before 2010 wrote it: nothing here, and no
    program of today, would tell these otherwise than the series says."""
    events = (event for one in _components(text, _RANGE) for event in one.contents.get("vevent", ()))
    dates = (line for event in events for line in event.contents.get("recurrence-id", ()))
    return any("RANGE" in line.params for line in dates)


def _components(text: str, names: Sequence[str] = _NAMES) -> list[Any]:
    """None for what cannot be read, or where none of these names stands."""
    if not any(name in _FOLDED.sub("", text).lower() for name in names):
        return []
    try:
        return components.read(text)
    except Exception:  # noqa: BLE001 - whatever vobject makes of it: Radicale refuses it for the same reason
        return []


def _hardly_comes(rule: str, starts: object) -> bool:
    """``starts``: of its entry."""
    text = rule.replace("\\", "").upper()  # as vobject reads it
    if any(not _STEP.fullmatch(one) for one in _INTERVAL.findall(text)):
        return True
    first = datetime.combine(starts if isinstance(starts, date) else date(2026, 1, 1), time())
    year = first.year
    cycles = (MAXYEAR - _LEFT_YEARS - first.year) // _CYCLE_YEARS
    # dateutil looks at an end only where it finds a date: so it begins where it has few years left to look through.
    first = first.replace(year=first.year + max(0, cycles) * _CYCLE_YEARS)
    try:
        found = rrulestr(text, dtstart=first, ignoretz=True)
        if not isinstance(found, rrule):
            return True
        dates = iter(found.replace(count=None, until=None))
        near, after = next(dates, None), next(dates, None)
    except (ValueError, TypeError, OverflowError, AttributeError, KeyError):
        return False  # nor can vobject read it
    if near is None or after is None:
        return True
    until = (LAST_YEAR - year) * 366
    return bool(until // max(1, (after - near).days) > MAX_STEPS)


def is_often(rule: str) -> bool:
    """Of a rule as long as an item may be: no pattern that runs to its end from each place of it."""
    for part in "".join(rule.split()).upper().split(";"):
        times = _TIMES.search(part)
        if _OFTEN.search(part) or (times and part.find(",", times.end()) >= 0):
            return True
    return False


def is_bounded(rule: str, starts: date) -> bool:
    """Whether the dates of a rule that came by mail lie so close together that nobody looks for them long: only parts
    that people's calendars write, a second date within ``_LOOK_YEARS``, and with COUNT an end within five times that.
    """
    if len(rule) > MAX_CHARS or not _PLAIN.fullmatch(rule):
        return False
    parts = dict(piece.split("=", 1) for piece in rule.split(";"))
    if len(parts) != rule.count(";") + 1 or not parts.keys() <= _PARTS.get(
        parts.get("FREQ", ""), frozenset()
    ):
        return False
    interval = parts.get("INTERVAL", "1")
    if not (interval.isdigit() and len(interval) < 4 and int(interval)):
        return False  # dateutil never leaves the first date of one that is 0
    first = (
        datetime.combine(starts, time()) if not isinstance(starts, datetime) else starts.replace(tzinfo=None)
    )
    if first.year + _LOOK_YEARS > MAXYEAR:
        return False
    kept = [f"{name}={value}" for name, value in parts.items() if name not in ("COUNT", "UNTIL")]
    try:
        horizon = first.replace(day=1, year=first.year + _LOOK_YEARS)
        near = len(list(rrulestr(";".join(kept), dtstart=first).replace(until=horizon)))
    except (ValueError, TypeError, OverflowError, AttributeError, KeyError):
        return False
    if "COUNT" in parts:
        return parts["COUNT"].isdigit() and len(parts["COUNT"]) < 6 and int(parts["COUNT"]) <= 5 * near
    return near > 1 or "UNTIL" in parts


def _rules(components: list[Any]) -> Iterator[tuple[str, object]]:
    """Each with the start of its entry, None of a zone's."""
    for component in components:
        contents = getattr(component, "contents", {})
        starts = next((one.value for name in ("dtstart", "due") for one in contents.get(name, [])), "")
        for name in _NAMES:
            for one in contents.get(name, []):
                is_zone = component.name in ("STANDARD", "DAYLIGHT")
                yield str(one.value), None if is_zone else starts
        yield from _rules(list(component.components()))
