"""What a file of contacts or of entries holds, each made into what Radicale stores, or why it cannot be.

Process: calendars.
Hostile: all of it. A component goes the way of what a program puts: as lines first (``lines``), then the rules of
         repetition, then vobject and Radicale's own check. Whoever calls bounds the time (``effort``).
Rule:    two are the same with one UID, or with the same name and one address, else one number; two groups of contacts,
         with the same name; two entries, with the same title at the same time.
Source:  RFC 2426, RFC 6350, RFC 5545; vCard 2.1 by ``old_cards``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from radicale import item as radicale_item
from radicale.item import check_and_sanitize_items

from beffroi.drive.calendars import (
    blocks,
    cards,
    components,
    csv_cards,
    effort,
    groups,
    itip,
    lines,
    old_cards,
    rules,
    wire,
)
from beffroi.drive.calendars.itip_text import escaped
from beffroi.drive.calendars.store import MAX_ITEM_BYTES, MAX_OCCURRENCES
from beffroi.drive.calendars.wire_bringing import MAX_BROUGHT, Kind, Refusal, Why
from beffroi.lib import accents, ids

_ZONE_NAMES = re.compile(r';TZID=(?:"([^"\r\n]+)|([^":;\r\n]+))', re.IGNORECASE)
"""In quotes with a colon, as Outlook has it: ``"(UTC+01:00) Bruxelles, Copenhague, Madrid, Paris"``."""
_ZONE = re.compile(r"^TZID(?:;[^:\r\n]*)?:(.*)", re.IGNORECASE | re.MULTILINE)
_END = re.compile(r"^END:VCARD", re.IGNORECASE | re.MULTILINE)
_ORG = re.compile(r"^(?:[A-Z0-9-]+\.)?ORG(?:;[^:\r\n]*)?:.*", re.IGNORECASE | re.MULTILINE)
_BARE_COMMA = re.compile(r"(?<!\\),")
_OLD_CALENDAR = re.compile(r"^VERSION:1\.0\s*$", re.IGNORECASE | re.MULTILINE)
_OTHERS = ("VTODO", "VJOURNAL")


_REFUSED = (rules.repeats_within_a_day, rules.walks_far, rules.changes_what_follows)


class Refused(Exception):
    """The whole file is not taken."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(why)
        self.why: Refusal = why


class Broken(ValueError):
    """One of it is not taken."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why: Why = why


class Said(NamedTuple):
    """``likeness``: who shares one of these is the same. ``uid`` "" without one."""

    uid: str
    title: str
    likeness: frozenset[tuple[str, ...]]


class Piece(NamedTuple):
    """``text``: as it is stored under ``name``; ``etag``: as Radicale says it then."""

    name: str
    uid: str
    etag: str
    text: str
    said: Said


class Raw(NamedTuple):
    """``why``: it cannot be made, "" else."""

    line: int
    text: str
    why: Why | None = None


class Shape(NamedTuple):
    """What differs between contacts and entries. ``name``: of the outermost component; ``tag``: of a collection."""

    name: str
    tag: str
    suffix: str
    prefix: str
    raws: Callable[[str], Iterator[Raw]]
    said: Callable[[lines.Component], Said]


def pieces(kind: Kind, data: bytes) -> Iterator[tuple[int, Piece | Why]]:
    """(line, what it is or why not). Errors: Refused, effort.Spent."""
    try:
        text = blocks.decoded(data)
    except ValueError:
        raise Refused("encoding") from None
    shape = SHAPES[kind]
    count = 0
    for raw in shape.raws(text):
        effort.require()
        count += 1
        if count > MAX_BROUGHT:
            raise Refused("many")
        try:
            yield raw.line, raw.why or _made(shape, raw.text)
        except Broken as broken:
            yield raw.line, broken.why
    if not count:
        raise Refused("empty" if f"BEGIN:{shape.name}" in text.upper() else "foreign")


def said(kind: Kind, item: Any) -> Said:
    """Of what is stored. Errors: lines.Broken, ValueError."""
    return SHAPES[kind].said(_outermost(item.serialize()))


def pointed(one: Piece, same: Mapping[str, str]) -> Piece:
    """A group of contacts whose members are there by other UIDs: ``same``, by those of the file."""
    text = groups.pointed(one.text, same)
    if text == one.text or len(text.encode()) > MAX_ITEM_BYTES:
        return one
    return one._replace(text=text, etag=_item(text).etag)


# -- making ---------------------------------------------------------------------------------------------------


def _made(shape: Shape, text: str) -> Piece:
    """Errors: Broken."""
    if len(text.encode()) > MAX_ITEM_BYTES:
        raise Broken("size")
    if lines.keeps_busy(text):
        raise Broken("syntax")
    try:
        told = shape.said(_outermost(text))
    except lines.Broken:
        raise Broken("syntax") from None
    if shape.name == "VCALENDAR" and any(refuse(text) for refuse in _REFUSED):
        raise Broken("rule")
    uid = ids.new_id(shape.prefix)
    stored = text if told.uid else _with_uid(text, uid)
    try:
        whole = components.read(stored)
        check_and_sanitize_items(whole, MAX_OCCURRENCES, tag=shape.tag)
        written = whole[0].serialize()
        # What vobject does not know of a card, it does not change either: a card is kept as it came.
        stored = stored if shape.name == "VCARD" else written
        item = _item(stored)
    except Exception:  # noqa: BLE001 - whatever vobject makes of it
        raise Broken("rule" if "\nRRULE" in text.upper() else "syntax") from None
    if len(stored.encode()) > MAX_ITEM_BYTES:
        raise Broken("size")
    return Piece(f"{uid}{shape.suffix}", item.uid, item.etag, stored, told)


def _item(text: str) -> Any:
    made = radicale_item.Item(collection_path="file", text=text)
    made.prepare()
    return made


def _outermost(text: str) -> lines.Component:
    """Errors: lines.Broken."""
    found = lines.read(text)
    if len(found) != 1:
        raise lines.Broken
    return found[0]


def _with_uid(text: str, uid: str) -> str:
    begin = "BEGIN:VEVENT\r\n" if "BEGIN:VEVENT" in text else "BEGIN:VCARD\r\n"
    return re.sub(begin, lambda found: f"{found[0]}UID:{uid}\r\n", text, count=1, flags=re.IGNORECASE)


# -- contacts -------------------------------------------------------------------------------------------------


def _cards(text: str) -> Iterator[Raw]:
    """Cards, or else a table."""
    if "BEGIN:VCARD" not in text.upper():
        for line, card in csv_cards.rows(text):
            yield Raw(line, _mended(card), None if card else _SYNTAX)
        return
    for block in blocks.cut(text, ("VCARD",)):
        card, why = block.text, None if block.whole else _SYNTAX
        if why is None and old_cards.is_old(card):
            try:
                card = old_cards.renewed(card)
            except ValueError:
                why = _OLD
        yield Raw(block.line, card if why else _mended(card), why)


def _mended(card: str) -> str:
    """With what vCard and vobject ask of each, and some programs leave out: FN, commas of ORG that are escaped."""
    card = _ORG.sub(lambda line: _BARE_COMMA.sub(r"\\,", line[0]), card)
    with suppress(lines.Broken):
        one = _outermost(card)
        title = cards.title_of(one) or next(iter(cards.texts(one, "EMAIL")), "")
        if not one.value("FN") and title:
            kept = re.sub(r"^FN[;:].*\r\n", "", card, flags=re.IGNORECASE | re.MULTILINE)
            named = f"FN:{escaped(title)}\r\n"
            return _END.sub(lambda end: named + end[0], kept)
    return card


def _said_of_card(card: lines.Component) -> Said:
    """Errors: Broken, lines.Broken."""
    title = cards.title_of(card)
    if card.name != "VCARD":
        raise lines.Broken
    if not title:
        raise Broken("name")
    name, uid = accents.bare(title), card.value("UID")
    if cards.is_group(card):
        return Said(uid, title, frozenset({(name, "group")}))
    addresses: list[tuple[str, ...]] = [(name, "@", one.lower()) for one in cards.texts(card, "EMAIL")]
    numbers: list[tuple[str, ...]] = [(name, "+", re.sub(r"\D", "", one)) for one in cards.texts(card, "TEL")]
    return Said(uid, title, frozenset(addresses or numbers or [(name,)]))


# -- entries --------------------------------------------------------------------------------------------------


def _events(text: str) -> Iterator[Raw]:
    """Each with all its dates (one UID), and the zones that it names."""
    old = bool(_OLD_CALENDAR.search(text))
    zones: dict[str, str] = {}
    found: dict[str, list[blocks.Block]] = {}
    for block in blocks.cut(text, ("VEVENT", "VTIMEZONE", *_OTHERS)):
        effort.require()
        if block.name == "VTIMEZONE":
            if block.whole and (name := _ZONE.search(lines.unfolded(block.text))):
                zones.setdefault(lines.unescaped(name[1].strip()), block.text)
        elif block.name in _OTHERS or not block.whole or old:
            yield Raw(block.line, "", _TASK if block.name in _OTHERS else _OLD if old else _SYNTAX)
        else:
            found.setdefault(_uid(block.text) or f"line {block.line}", []).append(block)
            if len(found) > MAX_BROUGHT:
                raise Refused("many")
    for some in found.values():
        inner = "".join(one.text for one in some)
        said_names = (one[1] or one[2] for one in _ZONE_NAMES.finditer(lines.unfolded(inner)))
        names = dict.fromkeys(map(lines.unescaped, said_names))
        named = "".join(zones[one] for one in names if one in zones)
        yield Raw(some[0].line, f"{_HEAD}{named}{inner}END:VCALENDAR\r\n")


def _uid(event: str) -> str:
    """ "" without one, and for what cannot be read, which is told later."""
    with suppress(lines.Broken):
        return _outermost(event).value("UID")
    return ""


def _said_of_event(whole: lines.Component) -> Said:
    """Errors: Broken, lines.Broken."""
    events = whole.parts.get("VEVENT")
    if whole.name != "VCALENDAR" or not events:
        raise lines.Broken
    main = next((one for one in events if not one.value("RECURRENCE-ID")), events[0])
    if sum(not one.value("RECURRENCE-ID") for one in events) > 1:
        raise lines.Broken
    if not main.value("DTSTART"):
        raise Broken("time")
    found = main.first("SUMMARY")
    title = itip.one_line(found.text if found else "", wire.MAX_TITLE_CHARS)
    return Said(main.value("UID"), title, frozenset({(accents.bare(title), main.value("DTSTART"))}))


_HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Beffroi//Agenda//FR\r\n"
_SYNTAX: Why = "syntax"
_OLD: Why = "old"
_TASK: Why = "task"
SHAPES: dict[Kind, Shape] = {
    "contacts": Shape("VCARD", "VADDRESSBOOK", ".vcf", "con", _cards, _said_of_card),
    "agenda": Shape("VCALENDAR", "VCALENDAR", ".ics", "evt", _events, _said_of_event),
}
