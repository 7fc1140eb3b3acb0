"""What the process web asks of ``calendars`` about invitations that came by mail, and what it is told; see ``wire``.

Texts of iCalendar are hostile as they come; what comes back is one line each, or written by ``calendars`` itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from beffroi.drive.calendars.wire import Entry, Guest

MAX_INVITATION_BYTES = 1024 * 1024
"""Of a question: ``itip.MAX_TEXT_CHARS`` in JSON."""
Answer = Literal["ACCEPTED", "TENTATIVE", "DECLINED"]
State = Literal["new", "update", "same", "older", "foreign", "own", "absent", "stranger", "series"]
"""Of a mail against one's own calendar: not there yet; newer; known; overtaken; there by another organizer, or without
one; one's own invitation come back; for what is not there; a word of who was not invited; another time for a whole
series that cannot move as it is (``series.moved``)."""
What = Literal["accept", "decline", "resend", "ask"]


class Received(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text of a mail and the address it came from. ``mine``: addresses of whom it was sent to, the one to answer
    with first. Answered by ``Invitation``."""

    text: str
    mine: list[str]
    sender: str = ""


class Answered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Write it into one's own calendar with this answer. Answered by ``wire.Outgoing``, to the organizer."""

    text: str
    mine: list[str]
    name: str
    answer: Answer


class Noted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Note a reply (REPLY), or take out what was called off (CANCEL). Answered by ``Invitation``."""

    text: str
    mine: list[str]


class Settled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a proposal (COUNTER: accept, decline), of a question (REFRESH: resend), or of an added date whose
    series is not there (ADD: ask for it). Answered by a list of ``wire.Outgoing``."""

    text: str
    mine: list[str]
    sender: str
    what: What


class OtherDate(msgspec.Struct, frozen=True):
    """A date that is otherwise than what the card shows first; times as there. ``was``: where it lay in the series, if
    elsewhere; ``title``, ``place``: "" where they are the same; ``answer``: one's own at it, of a reply that of who
    replies, "" where there is none; ``is_off``: called off."""

    starts: datetime
    ends: datetime
    all_day: bool
    was: datetime | None
    title: str
    place: str
    answer: str
    is_off: bool


class Invitation(msgspec.Struct, frozen=True):
    """What a card shows. Times in UTC; of an ``all_day`` one the dates count, the last one included.

    ``mine``: one's own answer so far, "" where one is not among the invited. ``rule``: RRULE, "" for a single one.
    ``changes``: how many ``others``, of which the first are told; of an ADD how many dates more.
    ``conflicts``: of one's own calendar, with the first occurrences. Of a COUNTER and a REFRESH ``guests`` is who sent
    it; ``kept_*``: of a COUNTER, as the entry is now, of a REQUEST that moves it, as it was. A REPLY tells one's own
    entry. ``keeps_past``: the series has begun, and goes on at the new time from its next date, which is the one told.
    A REFRESH for what is not there tells no time. ``readable`` "" or why not (``itip.Unreadable``), with nothing else
    told then.
    """

    readable: str = ""
    method: str = ""
    state: State = "new"
    title: str = ""
    place: str = ""
    words: str = ""
    starts: datetime | None = None
    ends: datetime | None = None
    all_day: bool = False
    rule: str = ""
    changes: int = 0
    others: list[OtherDate] = []
    occurrence: datetime | None = None
    organizer: Guest | None = None
    guests: list[Guest] = []
    mine: str = ""
    zone_known: bool = True
    conflicts: list[Entry] = []
    kept_starts: datetime | None = None
    kept_ends: datetime | None = None
    kept_all_day: bool = False
    kept_place: str = ""
    kept_rule: str = ""
    keeps_past: bool = False
