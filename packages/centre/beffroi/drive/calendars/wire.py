"""What the process web asks of ``calendars`` for the page *Agenda*, and what it is told. JSON over a Unix socket.

Each question is a POST to ``/portal/NAME`` with a grant (core.planes.tokens) as bearer; the grant's paths say what it
opens: ``OWN``, ``READ_SHARED``, ``WRITE_SHARED``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

OWN, READ_SHARED, WRITE_SHARED = "calendars:own", "calendars:shared:read", "calendars:shared:write"
LEFT = "calendars:left"
"""What somebody left is counted, by who hands it over; it opens nothing else."""
MAX_TITLE_CHARS = MAX_PLACE_CHARS = 200
MAX_QUESTION_BYTES = 64 * 1024
MAX_GUESTS = 100
MAX_ROOM_CHARS = 60
ROOM = "salle-[a-z0-9-]{1,60}"
"""How the folder of a room is named, as addresses of pages name it, too."""
RoomName = Annotated[str, msgspec.Meta(pattern=f"^{ROOM}$")]
Calendar = Annotated[str, msgspec.Meta(pattern=f"^(own|shared|handed|{ROOM})$")]
"""``handed``: came from somebody who left; shown, and changed by programs alone. A room goes by its folder's name."""


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``since`` inclusive, ``until`` exclusive; at most a year apart. ``mine``: addresses by which the person is
    invited and invites. Answered by ``Entries``."""

    since: datetime
    until: datetime
    mine: list[str] = []


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry or contact; ``etag`` of the form that is to be deleted. Answered by ``Entry`` or
    ``wire_contacts.Contact``, or by ``Done``."""

    calendar: Calendar
    name: str
    etag: str = ""
    mine: list[str] = []


class Guest(msgspec.Struct, frozen=True):
    """``answer``: PARTSTAT of RFC 5545."""

    address: str
    name: str
    answer: str


class Outgoing(msgspec.Struct, frozen=True):
    """To be sent by mail: ``text`` with its ``method`` (RFC 5546), to these addresses, ``sender`` being who invites or
    answers. Times in UTC, of an ``all_day`` one the dates count, the last one included. ``is_change``: all of them were
    invited to it before."""

    method: str
    text: str
    sender: str
    recipients: list[str]
    title: str
    place: str
    starts: datetime
    ends: datetime
    all_day: bool
    is_change: bool = False


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry to be written; ``name`` "" for a new one. Of an ``all_day`` one the dates (in UTC) count, the last one
    included. ``guests``: addresses to invite, in the name of the first of ``mine`` where nobody does so yet."""

    calendar: Calendar
    name: str
    etag: str
    title: str
    place: str
    starts: datetime
    ends: datetime
    all_day: bool
    guests: list[str] = []
    mine: list[str] = []
    my_name: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One occurrence, times in UTC; of an ``all_day`` one the dates count, the last one included. ``simple``: the
    portal may change and delete it: it does not repeat, and nobody else invites to it. ``answer``: one's own
    (PARTSTAT), "" where one is not among the guests, or invites. ``of``: the name of a handed calendar, or a room;
    ``by``: the person who booked that, where it is known. ``is_called_off``: a program gave it the state
    "cancelled"."""

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
    organizer: str = ""
    guests: list[Guest] = []
    answer: str = ""
    of: str = ""
    is_called_off: bool = False
    by: str = ""


class Booking(msgspec.Struct, frozen=True):
    """By what a room (``of``: its title) is taken: one date, as ``Entry`` has it."""

    of: str
    title: str
    starts: datetime
    ends: datetime
    all_day: bool
    by: str


class Room(msgspec.Struct, frozen=True):
    """``name``: by which it is a ``Calendar``; ``is_retired``: shown nowhere, and kept."""

    name: str
    title: str
    is_retired: bool = False


class Rooms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of the collectivité. Answered by ``Room`` of each, by title, retired ones last."""


class NewRoom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answered by ``Room``."""

    title: str


class Retiring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A room is retired, or is there again. Answered by ``Room``."""

    room: RoomName
    is_retired: bool


class Entries(msgspec.Struct, frozen=True):
    """In the order of time; ``more``: there were too many to tell."""

    entries: list[Entry]
    more: bool


class Counting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody has that would be handed over. Answered by ``Left``."""


class Collection(msgspec.Struct, frozen=True):
    """A calendar or address book. ``name``: of its folder; ``title``: as its owner called it, "" for no word;
    ``size_bytes``: of ``entries``, those that are not closed."""

    name: str
    kind: Literal["agenda", "contacts"]
    title: str
    entries: int
    size_bytes: int


class Left(msgspec.Struct, frozen=True):
    """``closed``: entries of all collections that are personal or private."""

    collections: list[Collection]
    closed: int


class Done(msgspec.Struct, frozen=True):
    """``outgoing``: what guests are to be told. ``is_kept``: what was deleted can be put back, by its etag, until
    something else is deleted (``wire_bringing.Which``). ``booked``: what is in the way; nothing was done."""

    name: str
    outgoing: list[Outgoing] = []
    is_kept: bool = False
    booked: Booking | None = None
