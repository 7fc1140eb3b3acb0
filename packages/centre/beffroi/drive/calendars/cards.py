"""Contacts as the portal shows them: found by words, and written and deleted.

Process: calendars, under Radicale's lock.
Hostile: what programs stored. A card is read as lines (``lines``); one that cannot be read, and a group of contacts, is
         left out; groups: ``groups``.
Rule:    what a form does not show stays as a program noted it, and so does an address or a number that is kept.
Source:  RFC 2426 (what programs store), RFC 6350.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import vobject
from radicale.storage import BaseCollection, BaseStorage

from beffroi.drive.calendars import effort, lines, wire, wire_contacts
from beffroi.drive.calendars.items import (
    UNREADABLE,
    Keep,
    collection_at,
    item_at,
    opened,
    put,
    require_place,
)
from beffroi.drive.calendars.itip import one_line
from beffroi.drive.calendars.wire_contacts import MAX_EACH, MAX_NAME_CHARS, MAX_NOTE_CHARS, MAX_TEXT_CHARS
from beffroi.lib import accents, clock, ids
from beffroi.lib.errors import Conflict, Invalid, NotFound

MAX_TOLD = 500
MAX_WORDS = 10
MOST_READ_CHARS = 4096
"""Of a name in parts."""


def search(
    storage: BaseStorage, books: Iterable[tuple[wire.Calendar, str]], asked: wire_contacts.Sought
) -> wire_contacts.Contacts:
    """In these address books (which, path). Where they cannot all be looked through (``effort``), there are more.

    Errors: NotFound."""
    wanted = [accents.bare(one) for one in asked.words.split()[:MAX_WORDS]]
    found: list[wire_contacts.Contact] = []
    is_whole = False
    with storage.acquire_lock("r"), suppress(effort.Spent), effort.bounded():
        for calendar, book, of in opened(storage, books):
            for item in book.get_all():
                effort.require()
                with suppress(*UNREADABLE):
                    one = _read(calendar, item, of=of)
                    told = _told(one) if wanted else ""
                    if all(word in told for word in wanted):
                        found.append(one)
        is_whole = True
    found.sort(key=lambda one: (accents.bare(one.title), one.title, one.name))
    return wire_contacts.Contacts(found[:MAX_TOLD], more=len(found) > MAX_TOLD or not is_whole)


def get(storage: BaseStorage, calendar: wire.Calendar, path: str, name: str) -> wire_contacts.Contact:
    """Errors: NotFound (also what cannot be read)."""
    with storage.acquire_lock("r"):
        item = item_at(collection_at(storage, path), name)
        try:
            return _read(calendar, item)
        except UNREADABLE:
            raise NotFound("contact") from None


def save(storage: BaseStorage, path: str, draft: wire_contacts.ContactDraft) -> wire.Done:
    """Errors: Invalid, NotFound, Conflict, TooLarge (too many in this book)."""
    draft = _checked(draft)
    with storage.acquire_lock("w"):
        book = collection_at(storage, path)
        if draft.name:
            item, before = _unchanged(book, draft.name, draft.etag)
            name, card = draft.name, item.vobject_item
        else:
            name, card = new(book)
            before = None
        _write(card, before, draft)
        put(book, name, card)
    return wire.Done(name)


def delete(storage: BaseStorage, path: str, asked: wire.Named, keep: Keep) -> wire.Done:
    """Errors: NotFound, Conflict."""
    with storage.acquire_lock("w"):
        book = collection_at(storage, path)
        item, _ = _unchanged(book, asked.name, asked.etag)
        is_kept = keep(item)
        book.delete(asked.name)
    return wire.Done(asked.name, is_kept=is_kept)


def new(book: BaseCollection) -> tuple[str, Any]:
    """(its name, a card with a UID and nothing else). Errors: TooLarge (too many in this book)."""
    require_place(book)
    uid, card = ids.new_id("con"), vobject.vCard()
    card.add("uid").value = uid
    return f"{uid}.vcf", card


def _unchanged(book: BaseCollection, name: str, etag: str) -> tuple[Any, wire_contacts.Contact]:
    """The item and what it says. Errors: NotFound, Conflict."""
    item = item_at(book, name)
    if item.etag != etag:
        raise Conflict("this contact has changed")
    try:
        return item, _read("own", item)
    except UNREADABLE:
        raise Conflict("this contact is changed in the program that made it") from None


# -- reading -------------------------------------------------------------------------------------------------


def _read(calendar: wire.Calendar, item: Any, *, of: str = "") -> wire_contacts.Contact:
    """Errors: those of UNREADABLE; ValueError for a group of contacts."""
    (card,) = lines.read(item.serialize())
    kind = _kind(card)
    if card.name != "VCARD" or kind not in ("", "individual", "org"):
        raise ValueError(card.name)
    family, given = _parts(card.value("N"), 2)
    (organisation,) = _parts(card.value("ORG"), 1)
    title = title_of(card)
    note = card.first("NOTE")
    return wire_contacts.Contact(
        calendar=calendar,
        name=item.href,
        etag=item.etag,
        title=title,
        given=given[:MAX_NAME_CHARS],
        # A program that notes no parts of a name means all of it.
        family=(family or ("" if given or title == organisation else title))[:MAX_NAME_CHARS],
        organisation=organisation,
        emails=texts(card, "EMAIL"),
        phones=[one.removeprefix("tel:") for one in texts(card, "TEL")],
        note=_note(note.text) if note else "",
        of=of,
    )


def is_group(card: lines.Component) -> bool:
    return card.name == "VCARD" and _kind(card) == "group"


def _kind(card: lines.Component) -> str:
    return (card.value("KIND") or card.value("X-ADDRESSBOOKSERVER-KIND")).lower()


def title_of(card: lines.Component) -> str:
    """What a program calls it, its name or its organisation; "" without any."""
    family, given = _parts(card.value("N"), 2)
    name = one_line(f"{given} {family}", MAX_TEXT_CHARS)
    return _text(card, "FN") or name or _parts(card.value("ORG"), 1)[0]


def _text(card: lines.Component, name: str) -> str:
    found = card.first(name)
    return one_line(found.text, MAX_TEXT_CHARS) if found else ""


def texts(card: lines.Component, name: str) -> list[str]:
    """Addresses or numbers, each once, MAX_EACH of them."""
    told = (one_line(one.text, MAX_TEXT_CHARS) for one in card.lines.get(name, []))
    return list(dict.fromkeys(one for one in told if one))[:MAX_EACH]


def _parts(value: str, count: int) -> list[str]:
    """The first parts of what semicolons separate."""
    parts, escaped = [""], False
    for sign in value[:MOST_READ_CHARS]:
        if escaped:
            parts[-1] += " " if sign in "nN" else sign
        elif sign == ";":
            if len(parts) == count:
                break
            parts.append("")
        elif sign != "\\":
            parts[-1] += sign
        escaped = sign == "\\" and not escaped
    return [one_line(one, MAX_TEXT_CHARS) for one in (*parts, *[""] * count)][:count]


def _note(text: str) -> str:
    rows = (one_line(one, MAX_NOTE_CHARS) for one in text.splitlines())
    return "\n".join(rows).strip()[:MAX_NOTE_CHARS]


def _told(one: wire_contacts.Contact) -> str:
    """What words are looked for in; numbers also without what separates their digits."""
    numbers = ("".join(sign for sign in phone if sign.isdigit()) for phone in one.phones)
    said = (one.title, one.given, one.family, one.organisation, *one.emails, *one.phones, *numbers, one.note)
    return accents.bare(" ".join(said))


# -- writing -------------------------------------------------------------------------------------------------


def _checked(draft: wire_contacts.ContactDraft) -> wire_contacts.ContactDraft:
    """As it is written. Errors: Invalid."""
    given, family = one_line(draft.given, MAX_NAME_CHARS), one_line(draft.family, MAX_NAME_CHARS)
    organisation = one_line(draft.organisation, MAX_TEXT_CHARS)
    if not (given or family or organisation):
        raise Invalid("name")
    emails, phones = (
        list(dict.fromkeys(found for one in some if (found := one_line(one, MAX_TEXT_CHARS))))
        for some in (draft.emails, draft.phones)
    )
    if max(len(emails), len(phones)) > MAX_EACH:
        raise Invalid("addresses")
    return wire_contacts.ContactDraft(
        draft.calendar, draft.name, draft.etag, given, family, organisation, emails, phones, _note(draft.note)
    )


def _write(card: Any, before: wire_contacts.Contact | None, draft: wire_contacts.ContactDraft) -> None:
    """What is as it was ``before`` is not touched."""
    if before is None or (before.given, before.family) != (draft.given, draft.family):
        found = card.contents.pop("n", None)
        name = found[0].value if found else vobject.vcard.Name()
        if before is None or before.given != draft.given:  # it may be several: Jean,Paul
            name.given = draft.given
        if before is None or before.family != draft.family or not name.family:
            name.family = draft.family
        card.add("n").value = name
    if before is None or _names(before) != _names(draft):
        card.contents.pop("fn", None)
        card.add("fn").value = f"{draft.given} {draft.family}".strip() or draft.organisation
    if before is None or before.organisation != draft.organisation:
        found = card.contents.pop("org", None)
        inner = list(found[0].value)[1:] if found and isinstance(found[0].value, list) else []
        if draft.organisation:
            card.add("org").value = [draft.organisation, *inner]
    _set_each(card, "email", before.emails if before else (), draft.emails)
    _set_each(card, "tel", before.phones if before else (), draft.phones)
    if before is None or before.note != draft.note:
        others = card.contents.pop("note", [])[1:]  # the form shows the first one
        if draft.note:
            card.add("note").value = draft.note
        for one in others:
            card.add(one)
    card.contents.pop("rev", None)
    card.add("rev").value = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _names(one: wire_contacts.Contact | wire_contacts.ContactDraft) -> tuple[str, str, str]:
    return one.given, one.family, "" if one.given or one.family else one.organisation


def _set_each(card: Any, name: str, before: Sequence[str], wanted: Sequence[str]) -> None:
    """Lines that are kept or corrected stay with what a program says of them (at work, mobile); those beyond MAX_EACH,
    too."""
    pairs = zip(before, wanted, strict=True) if len(before) == len(wanted) else ()
    corrected = {old: new for old, new in pairs if old not in wanted and new not in before}
    gone, kept, there = set(before) - set(wanted) - corrected.keys(), [], set(before)
    for line in card.contents.pop(name, []):
        said = one_line(str(line.value), MAX_TEXT_CHARS).removeprefix("tel:")
        if said in corrected:  # in its place there is another
            line.value = corrected[said]
            there.add(corrected[said])
        if said not in gone:
            kept.append(line)
    if kept:
        card.contents[name] = kept
    for one in wanted:
        if one not in there:
            card.add(name).value = one
