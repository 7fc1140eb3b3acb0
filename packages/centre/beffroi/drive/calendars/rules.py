"""Which rules of repetition are taken: none that makes a calendar costly for everybody who looks at it.

A question about a time walks through the occurrences from the first one on, and a rule without an end has no last one.
Read from what vobject understood, not from the text: a value may be folded or encoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import MAXYEAR, date, datetime, time
from typing import Any

from dateutil.rrule import rrulestr
from radicale.item import read_components

_NAMES = ("rrule", "exrule")
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
_FOLDED = re.compile(r"\r?\n[ \t]")


def repeats_within_a_day(text: str) -> bool:
    """Whether an entry repeats more often than daily; False for what cannot be read, which nobody stores."""
    if not any(name in _FOLDED.sub("", text).lower() for name in _NAMES):
        return False
    try:
        components = read_components(text)
    except Exception:  # noqa: BLE001 - whatever vobject makes of it: Radicale refuses it for the same reason
        return False
    return any(is_often(value) for value in _rules(components))


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
    if not _PLAIN.fullmatch(rule):
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


def _rules(components: list[Any]) -> Iterator[str]:
    for component in components:
        for name in _NAMES:
            yield from (str(one.value) for one in getattr(component, "contents", {}).get(name, []))
        yield from _rules(list(component.components()))
