"""What the process web asks of ``calendars`` about files: contacts or entries that come in, and what is given out.

A file is looked at first, and waits in the person's home, one of each kind; what was taken in of it is taken out again
within ``KEPT_DAYS``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from beffroi.drive.calendars.wire import Calendar

MAX_FILE_BYTES = 8_000_000
MAX_QUESTION_BYTES = 12 * 1024 * 1024
"""A file in JSON (base64), and what is asked of it."""
MAX_BROUGHT = 2000
"""Contacts or entries of a file."""
MAX_GIVEN_BYTES = 64 * 1024 * 1024
MAX_NAMES, MAX_UNREADABLE = 10, 20
KEPT_DAYS = 7
Kind = Literal["agenda", "contacts"]
Refusal = Literal["", "size", "encoding", "foreign", "empty", "many", "slow"]
"""Of a whole file: too large; no text; not of this kind; nothing in it; too many, or too much work, to read."""
Why = Literal["syntax", "size", "name", "time", "rule", "task", "old"]
"""Of one contact or entry: broken lines; too large; without a name; without a readable time; repeats as no calendar
takes it; a task or a note; in a way of writing of old phones that is not read."""


class Brought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file, for this calendar or address book. Answered by ``File``; it takes the place of the one before."""

    kind: Kind
    calendar: Calendar
    data: bytes


class Unreadable(msgspec.Struct, frozen=True):
    """``line``: of the file, from 1."""

    line: int
    why: Why


class File(msgspec.Struct, frozen=True):
    """``new``: how many it adds, or added where ``taken``; ``known``: how many are there already. ``names``: some of
    the new ones; ``unreadable``: some of ``broken``. ``id`` "" where there is none; ``refused`` with nothing else."""

    id: str = ""
    refused: Refusal = ""
    calendar: Calendar = "own"
    at: datetime | None = None
    taken: bool = False
    new: int = 0
    known: int = 0
    broken: int = 0
    names: list[str] = []
    unreadable: list[Unreadable] = []


class Last(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file that waits or was taken in last. Answered by ``File``."""

    kind: Kind


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file that is to be taken in, or out again, or forgotten: answered by ``Done``. Or what was deleted and is put
    back, ``id`` being its etag: answered by ``wire.Done``."""

    kind: Kind
    id: str


class Done(msgspec.Struct, frozen=True):
    """How many came in or went out; ``kept``: how many stay, since they were changed meanwhile."""

    count: int
    kept: int = 0


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole calendar or address book; ``handed``: which one of those, by ``Handed.name``. Answered by ``Text``."""

    kind: Kind
    calendar: Calendar
    handed: str = ""


class Text(msgspec.Struct, frozen=True):
    """``title``: of what it holds."""

    text: str
    title: str


class Handing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calendars or address books that came from who left. Answered by ``Handed`` of each."""

    kind: Kind


class Handed(msgspec.Struct, frozen=True):
    """``name``: by which it is asked for."""

    name: str
    title: str
