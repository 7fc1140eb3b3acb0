"""Groups of contacts, as phones and Thunderbird make them: read, and written by name and members.

Process: calendars, under Radicale's lock.
Hostile: what programs stored; a group names its members by UID, and anybody may name anything: what is not a contact of
         the same book is counted, and nothing is told of it.
Rule:    a group is a card of its own, of KIND:group (vCard 4) or X-ADDRESSBOOKSERVER-KIND:group (Apple). Members that
         are no contacts of this book stay as a program put them.
Source:  RFC 6350, 6.1.4 and 6.6.5; what iOS, macOS and DAVx5 write in vCard 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import vobject
from radicale.storage import BaseCollection, BaseStorage

from beffroi.drive.calendars import cards, effort, lines, wire, wire_contacts
from beffroi.drive.calendars.items import (
    UNREADABLE,
    Keep,
    collection_at,
    item_at,
    name_of,
    opened,
    put,
    title_of,
)
from beffroi.drive.calendars.itip import one_line
from beffroi.drive.calendars.wire_contacts import MAX_GROUPS, MAX_MEMBERS, MAX_NAME_CHARS, Group, Member
from beffroi.lib import accents, clock
from beffroi.lib.errors import Conflict, Invalid, NotFound, Unavailable

_MAIL = "mailto:"
_NAMES = ("MEMBER", "X-ADDRESSBOOKSERVER-MEMBER")
_MEMBER = re.compile(
    r"^(?:[A-Z0-9-]+\.)?(?:X-ADDRESSBOOKSERVER-)?MEMBER[;:][^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n",
    re.ASCII | re.IGNORECASE | re.MULTILINE,
)


class _Book(NamedTuple):
    """``handed``, ``of``: name and title, where it was handed over. ``contacts``: by UID, plain; ``uids``: as their
    cards say them, by the same."""

    calendar: wire.Calendar
    handed: str
    of: str
    contacts: dict[str, Member]
    uids: dict[str, str]
    groups: list[tuple[Any, lines.Component]]


def listed(storage: BaseStorage, books: Iterable[tuple[wire.Calendar, str]]) -> wire_contacts.Groups:
    """Where they cannot all be read (``effort``), there are more. Errors: NotFound."""
    found: list[Group] = []
    is_whole = False
    with storage.acquire_lock("r"), suppress(effort.Spent), effort.bounded():
        for calendar, collection, _title in opened(storage, books):
            book = _read(calendar, collection)
            found += [_group(item, card, book) for item, card in book.groups]
        is_whole = True
    found.sort(key=lambda one: (accents.bare(one.title), one.name))
    return wire_contacts.Groups(found[:MAX_GROUPS], more=len(found) > MAX_GROUPS or not is_whole)


def get(storage: BaseStorage, calendar: wire.Calendar, path: str, name: str) -> Group:
    """Errors: NotFound (also what is no group)."""
    with storage.acquire_lock("r"), _bounded():
        collection = collection_at(storage, path)
        item, card = _group_at(collection, name)
        return _group(item, card, _read(calendar, collection))


def save(storage: BaseStorage, path: str, draft: wire_contacts.GroupDraft) -> wire.Done:
    """Errors: Invalid, NotFound, Conflict, TooLarge (too many in this book)."""
    title = one_line(draft.title, MAX_NAME_CHARS)
    if not title or len(draft.members) > MAX_MEMBERS:
        raise Invalid("group")
    with storage.acquire_lock("w"), _bounded():
        collection = collection_at(storage, path)
        book = _read(draft.calendar, collection)
        known = {one.name: uid for uid, one in book.contacts.items()}
        if not known.keys() >= set(draft.members):
            raise Conflict("a contact is gone")
        if draft.name:
            name, card = draft.name, _unchanged(collection, draft.name, draft.etag).vobject_item
        else:
            name, card = cards.new(collection)
            card.add("x-addressbookserver-kind").value = "group"
        _write(card, title, {known[one] for one in draft.members}, book)
        put(collection, name, card)
    return wire.Done(name)


def delete(storage: BaseStorage, path: str, asked: wire.Named, keep: Keep) -> wire.Done:
    """The group; its members stay. Errors: NotFound, Conflict."""
    with storage.acquire_lock("w"):
        collection = collection_at(storage, path)
        is_kept = keep(_unchanged(collection, asked.name, asked.etag))
        collection.delete(asked.name)
    return wire.Done(asked.name, is_kept=is_kept)


@contextmanager
def _bounded() -> Iterator[None]:
    """Errors: Unavailable: a book that takes too long to read."""
    try:
        with effort.bounded():
            yield
    except effort.Spent:
        raise Unavailable("calendars") from None


# -- reading --------------------------------------------------------------------------------------------------


def _read(calendar: wire.Calendar, collection: BaseCollection) -> _Book:
    """Errors: effort.Spent."""
    told = (name_of(collection), title_of(collection)) if calendar == "handed" else ("", "")
    book = _Book(calendar, *told, {}, {}, [])
    for item in collection.get_all():
        effort.require()
        with suppress(*UNREADABLE):
            (card,) = lines.read(item.serialize())
            if cards.is_group(card):
                book.groups.append((item, card))
            elif card.name == "VCARD":
                member = Member(str(item.href), cards.title_of(card), cards.texts(card, "EMAIL"))
                uid = card.value("UID")
                book.contacts[lines.bare_uid(uid)], book.uids[lines.bare_uid(uid)] = member, uid
    return book


def _group(item: Any, card: lines.Component, book: _Book) -> Group:
    members: dict[str, Member] = {}
    missing = 0
    for value in _values(card):
        if value.lower().startswith(_MAIL):
            address = one_line(value[len(_MAIL) :], wire_contacts.MAX_TEXT_CHARS)
            members[value] = Member("", address, [address])
        elif (found := book.contacts.get(lines.bare_uid(value))) is not None:
            members[lines.bare_uid(value)] = found
        else:
            missing += 1
    shown = sorted(members.values(), key=lambda one: (accents.bare(one.title), one.name))
    title = cards.title_of(card)
    return Group(book.calendar, item.href, item.etag, title, shown, missing, book.handed, book.of)


def _values(card: lines.Component) -> Iterator[str]:
    for name in _NAMES:
        yield from (one.value.strip() for one in card.lines.get(name, []))


def _urn(uid: str) -> str:
    return uid if uid.lower().startswith(lines.URN) else f"{lines.URN}{uid}"


def _group_at(collection: BaseCollection, name: str) -> tuple[Any, lines.Component]:
    """Errors: NotFound."""
    item = item_at(collection, name)
    try:
        (card,) = lines.read(item.serialize())
    except UNREADABLE:
        raise NotFound("group") from None
    if not cards.is_group(card):
        raise NotFound("group")
    return item, card


# -- writing --------------------------------------------------------------------------------------------------


def pointed(text: str, same: Mapping[str, str]) -> str:
    """A card of a group with members by the UIDs of this book, each of them once. ``same``: those, by what the group
    calls them. All else stays as a program wrote it."""
    plain = {lines.bare_uid(uid): told for uid, told in same.items()}
    there: set[tuple[str, str]] = set()

    def of_book(found: re.Match[str]) -> str:
        begun, at = lines.head(raw := lines.unfolded(found[0].rstrip()))
        uid = lines.bare_uid(raw[at + 1 :])
        told = plain.get(uid)
        one = begun.upper(), lines.bare_uid(told or uid)
        if one in there:
            return ""
        there.add(one)
        return f"{begun}:{_urn(told)}\r\n" if told else found[0]

    return _MEMBER.sub(of_book, text)


def _unchanged(collection: BaseCollection, name: str, etag: str) -> Any:
    """Errors: NotFound, Conflict."""
    item, _card = _group_at(collection, name)
    if item.etag != etag:
        raise Conflict("this group has changed")
    return item


def _write(card: Any, title: str, wanted: set[str], book: _Book) -> None:
    """``wanted``: UIDs of contacts, plain."""
    if not card.contents.get("fn") or card.fn.value != title:
        for name in ("fn", "n"):
            card.contents.pop(name, None)
        card.add("fn").value = title
        card.add("n").value = vobject.vcard.Name(family=title)
    kind = "x-addressbookserver-member" if "x-addressbookserver-kind" in card.contents else "member"
    there = {name: card.contents.pop(name, []) for name in ("member", "x-addressbookserver-member")}
    for name, some in there.items():
        kept = [
            one
            for one in some
            if lines.bare_uid(one.value) in wanted or lines.bare_uid(one.value) not in book.contacts
        ]
        if kept:
            card.contents[name] = kept
    named = {lines.bare_uid(one.value) for some in there.values() for one in some}
    for uid in sorted(wanted - named):
        card.add(kind).value = _urn(book.uids[uid])
    card.contents.pop("rev", None)
    card.add("rev").value = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
