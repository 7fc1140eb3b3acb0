"""What the process web asks of ``calendars`` for the page *Agenda*, and what it is told. JSON over a Unix socket.

Each question is a POST to ``/portal/NAME`` with a grant (core.planes.tokens) as bearer; the grant's paths say what it
opens: ``OWN``, ``READ_SHARED``, ``WRITE_SHARED``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

OWN, READ_SHARED, WRITE_SHARED = "calendars:own", "calendars:shared:read", "calendars:shared:write"
MAX_TITLE_CHARS = MAX_PLACE_CHARS = 200
MAX_QUESTION_BYTES = 16 * 1024
Calendar = Literal["own", "shared"]


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``since`` inclusive, ``until`` exclusive; at most a year apart. Answered by ``Entries``."""

    since: datetime
    until: datetime


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry; ``etag`` of the form that is to be deleted. Answered by ``Entry``, or by ``Done``."""

    calendar: Calendar
    name: str
    etag: str = ""


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry to be written; ``name`` "" for a new one. Of an ``all_day`` one the dates (in UTC) count, the last one
    included."""

    calendar: Calendar
    name: str
    etag: str
    title: str
    place: str
    starts: datetime
    ends: datetime
    all_day: bool


class Entry(msgspec.Struct, frozen=True):
    """One occurrence, times in UTC; of an ``all_day`` one the dates count, the last one included. ``simple``: the
    portal may change and delete it: it does not repeat, and invites nobody."""

    calendar: Calendar
    name: str
    etag: str
    title: str
    place: str
    starts: datetime
    ends: datetime
    all_day: bool
    repeats: bool
    simple: bool


class Entries(msgspec.Struct, frozen=True):
    """In the order of time; ``more``: there were too many to tell."""

    entries: list[Entry]
    more: bool


class Done(msgspec.Struct, frozen=True):
    name: str
