"""What programs write against RFC 5545, and everybody understands: taken, and stored as it should have been.

Why:    Thunderbird writes length and end when it changes a date of a series whose entry has a length, as telephones
        store them; vobject refused all of it, and the change was lost (Radicale helps where the length is zero).
        Dates that are left out of an entry that repeats no more are no series; vobject took it for one without dates,
        and the entry was never shown. A line of dates that names none, a rule with nothing in it, with blanks or
        with a semicolon at its end, one that ends on its first day, a card with its name in two scripts: each was
        refused.
Process: calendars; ``install`` once, before anything is read.
Source:  RFC 5545, 3.6.1 (one of the two); RFC 6350, 5.4 (ALTID); Thunderbird's CalItemBase
         (``properties``); vobject.icalendar.
"""

from __future__ import annotations

import re
from typing import Any

from vobject.icalendar import RecurringBehavior, RecurringComponent, VEvent, VTodo
from vobject.vcard import VCard3_0

_UNTIL = re.compile(r"UNTIL=([0-9]{8})(?=;|$)", re.ASCII | re.IGNORECASE)
_recurring = RecurringBehavior.transformToNative


def install() -> None:
    """Twice does nothing more than once. All that vobject's own two checks do beyond their parent's is refuse."""
    VEvent.validate = VTodo.validate = classmethod(_validate)
    RecurringComponent.rruleset = property(_rruleset, RecurringComponent.setrruleset)
    RecurringBehavior.transformToNative = staticmethod(_to_native)
    VCard3_0.knownChildren["N"] = (0, None, None)


def _rruleset(entry: Any) -> Any:
    return entry.getrruleset() if {"rrule", "rdate"} & entry.contents.keys() else None


def _to_native(entry: Any) -> Any:
    """Twice: as it came, and after it was written, when its lines are read."""
    for rule in entry.contents.get("rrule", ()):
        rule.value = "".join(rule.value.split()).rstrip(";")
    for name in {"exdate", "rdate", "rrule"} & entry.contents.keys():
        entry.contents[name] = [one for one in entry.contents[name] if str(one.value).strip()]
        if not entry.contents[name]:
            del entry.contents[name]
    starts = entry.contents["dtstart"][0].value if "dtstart" in entry.contents else ""
    for rule in entry.contents.get("rrule", ()) if isinstance(starts, str) and "T" in starts else ():
        end = _UNTIL.search(rule.value)
        if end is not None and starts.strip().startswith(end[1]):
            rule.value = rule.value.replace(end[0], "COUNT=1")
    return _recurring(entry)


def _validate(behavior: Any, entry: Any, *asked: Any) -> bool:
    if "dtend" in entry.contents or "due" in entry.contents:
        entry.contents.pop("duration", None)
    taken: bool = super(RecurringBehavior, behavior).validate(entry, *asked)
    return taken
