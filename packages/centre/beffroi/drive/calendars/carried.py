"""What an entry that is written anew keeps of what programs noted in it: alarms, categories, who may see it, a room.

Why:    what a mail says of an event is written from a closed list of fields (``itip_text``); what lies in the person's
        own calendar is theirs. An answer of a guest took alarms and CLASS:PRIVATE from the organizer's entry.
Process: calendars, under Radicale's lock.
Rule:    nothing of the mail. Of an event that somebody else changed only what is nobody else's (``_PERSONAL``): an old
         link or file of theirs would stand beside the new words.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from beffroi.drive.calendars.inviting import utc
from beffroi.drive.calendars.itip import Event, Message, address_of
from beffroi.drive.calendars.zone_names import LOCAL

_WRITTEN = frozenset(
    {"uid", "dtstamp", "sequence", "recurrence-id", "dtstart", "dtend", "duration", "rrule", "exrule", "rdate",
     "exdate", "summary", "location", "description", "status", "transp", "organizer", "attendee", "last-modified"}
)  # fmt: skip
"""By ``itip_text``, or no longer true."""
_PERSONAL = frozenset({"valarm", "categories", "class", "color"})
_OF_TEXTS: dict[str, tuple[str, ...]] = {
    "title": (),
    "place": ("geo", "x-apple-structured-location"),
    "words": ("x-alt-desc", "styled-description"),
}
_LINES = {"title": "summary", "place": "location", "words": "description"}


def onto(whole: Any, events: Sequence[Event], kept: Any, before: Message, *, ours: bool) -> None:
    """``whole``: these events, in their order, as they will be stored; ``kept``: what is stored, which says ``before``.
    ``ours``: who changed it is the person themselves."""
    there = {_key(one): one for one in kept.contents.get("vevent", ())}
    said = {_of(one.occurrence): one for one in before.events}
    for event, now in zip(whole.contents["vevent"], events, strict=True):
        own = _of(now.occurrence)
        at = own if own in there and own in said else None  # what comes to stand for itself is as its series
        if at not in there or at not in said:
            continue
        was, old = said[at], there[at]
        is_whole = ours or (now.sequence, now.stamp) == (was.sequence, was.stamp)
        changed = [text for text in _LINES if getattr(now, text) != getattr(was, text)]
        left = _WRITTEN.union(*(_OF_TEXTS[text] for text in changed))
        if not (now.cancelled or was.cancelled):
            left -= {"status"}
        for name, lines in old.contents.items():
            for line in lines if name in _PERSONAL or (is_whole and name not in left) else ():
                event.add(line.duplicate(line))
        for text, name in _LINES.items():  # of several lines, or longer than what is read of them
            if text not in changed and name in old.contents:
                event.contents[name] = [line.duplicate(line) for line in old.contents[name]]
        _people(event, old, is_whole=is_whole)


def _people(event: Any, old: Any, *, is_whole: bool) -> None:
    for name in ("organizer", "attendee"):
        known = {address_of(str(one.value)): one for one in reversed(old.contents.get(name, []))}
        for line in event.contents.get(name, ()):
            noted = known.get(address_of(str(line.value)))
            more = {key: list(some) for key, some in noted.params.items()} if noted is not None else {}
            more.pop("X-BEFFROI-REPLIED", None)
            line.params = more | line.params | ({"CN": more["CN"]} if more.get("CN") else {})
    for line in old.contents.get("attendee", ()):
        if is_whole and not address_of(str(line.value)):  # a room
            event.add(line.duplicate(line))


def _key(event: Any) -> date | datetime | None:
    found = event.contents.get("recurrence-id")
    moment = found[0].value if found else None
    if isinstance(moment, datetime) and moment.tzinfo is None:
        moment = moment.replace(tzinfo=LOCAL)
    return _of(moment)


def _of(moment: date | datetime | None) -> date | datetime | None:
    return utc(moment).astimezone(UTC) if isinstance(moment, datetime) else moment
