"""What the process web asks of ``calendars`` for the page *Contacts*, and what it is told: as ``wire``.

One contact is named by ``wire.Named``. ``Calendar`` names address books here: one's own, the one that all share, one
that came from who left.
"""

from __future__ import annotations

import msgspec

from beffroi.drive.calendars.wire import Calendar

MAX_NAME_CHARS = 100
MAX_TEXT_CHARS = 254
"""Of an address, a number, the name of an organisation."""
MAX_NOTE_CHARS = 1000
MAX_GROUPS, MAX_MEMBERS = 100, 200
"""Of a book; of a group that is written here."""
MAX_EACH = 10
"""Addresses of one contact, and numbers."""


class Sought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``words``: all of them occur in what is told of a contact, accents and capitals aside. Answered by
    ``Contacts``."""

    words: str = ""


class ContactDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contact to be written; ``name`` "" for a new one. It has a family name or an organisation. Answered by
    ``wire.Done``."""

    calendar: Calendar
    name: str
    etag: str
    given: str
    family: str
    organisation: str
    emails: list[str]
    phones: list[str]
    note: str


class Contact(msgspec.Struct, frozen=True):
    """``title``: what its program calls it. ``of``: the name of a handed address book."""

    calendar: Calendar
    name: str
    etag: str
    title: str
    given: str
    family: str
    organisation: str
    emails: list[str]
    phones: list[str]
    note: str
    of: str = ""


class Contacts(msgspec.Struct, frozen=True):
    """By title; ``more``: there were too many to tell."""

    contacts: list[Contact]
    more: bool


class GroupDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group to be written; ``name`` "" for a new one. ``members``: names of contacts of the same book; what else a
    program put into the group stays. Answered by ``wire.Done``."""

    calendar: Calendar
    name: str
    etag: str
    title: str
    members: list[str]


class Member(msgspec.Struct, frozen=True):
    """``name`` "" for an address that is no contact."""

    name: str
    title: str
    emails: list[str]


class GroupNamed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One group; ``handed``: the name of its address book, where it was handed over. Answered by ``Group``."""

    calendar: Calendar
    name: str
    handed: str = ""


class Group(msgspec.Struct, frozen=True):
    """``members``: by title; ``missing``: how many it names that are not in this book. ``handed``, ``of``: name and
    title of a handed address book."""

    calendar: Calendar
    name: str
    etag: str
    title: str
    members: list[Member]
    missing: int
    handed: str = ""
    of: str = ""


class Groups(msgspec.Struct, frozen=True):
    """By title."""

    groups: list[Group]
    more: bool


class Grouping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All groups of all books that one sees. Answered by ``Groups``."""
