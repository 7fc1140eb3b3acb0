"""What programs write against RFC 5545, and everybody understands: taken, and stored as it should have been.

Why:    Thunderbird writes length and end when it changes a date of a series whose entry has a length, as telephones
        store them; vobject refused all of it, and the change was lost (Radicale helps where the length is zero).
        Dates that are left out of an entry that repeats no more are no series; vobject took it for one without dates,
        and the entry was never shown.
Process: calendars; ``install`` once, before anything is read.
Source:  RFC 5545, 3.6.1 (one of the two); Thunderbird's CalItemBase (``properties``); vobject.icalendar.
"""

from __future__ import annotations

from typing import Any

from vobject.icalendar import RecurringBehavior, RecurringComponent, VEvent, VTodo


def install() -> None:
    """Twice does nothing more than once. All that vobject's own two checks do beyond their parent's is refuse."""
    VEvent.validate = VTodo.validate = classmethod(_validate)
    RecurringComponent.rruleset = property(_rruleset, RecurringComponent.setrruleset)


def _rruleset(entry: Any) -> Any:
    return entry.getrruleset() if {"rrule", "rdate"} & entry.contents.keys() else None


def _validate(behavior: Any, entry: Any, *asked: Any) -> bool:
    if "dtend" in entry.contents or "due" in entry.contents:
        entry.contents.pop("duration", None)
    taken: bool = super(RecurringBehavior, behavior).validate(entry, *asked)
    return taken
