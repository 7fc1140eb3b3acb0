"""What a SEARCH asks: DASL's basicsearch, read into a test of a place and what the test says of all that pass it.

Hostile: bodies; conditions are counted, and a pattern is compared without a regular expression of the client's.
Source:  draft-reschke-webdav-search-00 (DASL); docs/internals/drive-sync.md.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import NamedTuple
from urllib.parse import quote

from beffroi.drive.store.favourites import Star
from beffroi.drive.store.names import content_type
from beffroi.drive.views import Place
from beffroi.drive.web.dav import paths, properties, xml
from beffroi.drive.web.dav.call import Call
from beffroi.drive.web.dav.conditions import date_s
from beffroi.drive.web.dav.xml import DAV, NC, OC, Element, Name
from beffroi.drive.words import kinds, terms
from beffroi.drive.words.kinds import Span
from beffroi.lib import accents
from beffroi.lib.errors import BeffroiError

PREFIX = "/remote.php/dav"
MOST_FOUND, MOST_CONDITIONS, MOST_SCOPES = 5_000, 64, 32
EVER = Span(-(1 << 62), 1 << 62)
_NO_QUOTE, _SAFE = re.compile(r"%(?![0-9A-Fa-f]{2})"), "%" + paths.SAFE + "[]"
NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_FIRST = "{https://github.com/icewind1991/SearchDAV/ns}firstresult"


class SearchUnknown(BeffroiError):
    """This search asks for something that cannot be looked for here."""

    code = "drive.search_unknown"
    http_status = 422


type Test = Callable[[Place], bool]


class Needs(NamedTuple):
    """What is true of whatever passes a test. ``piece``: stands in its name (``terms.piece``), "" where nothing is
    said; ``kinds``: one of them is its kind; None: any."""

    is_starred: bool = False
    piece: str = ""
    kinds: frozenset[str] | None = None
    span: Span = EVER

    def plus(self, other: Needs) -> Needs:
        """Of what passes both tests."""
        both = (
            self.kinds & other.kinds
            if self.kinds is not None and other.kinds is not None
            else self.kinds
            if other.kinds is None
            else other.kinds
        )
        span = Span(max(self.span.since_s, other.span.since_s), min(self.span.until_s, other.span.until_s))
        return Needs(self.is_starred or other.is_starred, max(self.piece, other.piece, key=len), both, span)

    def alternative(self, other: Needs) -> Needs:
        """Of what passes one of two."""
        either = self.kinds | other.kinds if self.kinds is not None and other.kinds is not None else None
        span = Span(min(self.span.since_s, other.span.since_s), max(self.span.until_s, other.span.until_s))
        piece = self.piece if self.piece == other.piece else ""
        return Needs(self.is_starred and other.is_starred, piece, either, span)


class Condition(NamedTuple):
    test: Test
    needs: Needs = Needs()


@dataclass(frozen=True)
class Search:
    """``starred``: what the person starred. ``number``: the one file that is asked for, where the search says so.
    ``order``: (property, descending). ``first``: how many of ``most`` the client has already."""

    test: Test
    needs: Needs
    order: tuple[Name, bool] | None
    most: int
    first: int = 0
    starred: frozenset[Star] = frozenset()
    number: int | None = None
    scopes: tuple[tuple[str, ...], ...] = ((),)
    names: tuple[Name, ...] = ()


def parse(call: Call, body: Element, starred: frozenset[Star]) -> Search:
    """Errors: XmlRefused, SearchUnknown, AbsentNode (another's tree)."""
    basic = _one(body, "basicsearch")
    select, scopes = _one(_one(basic, "select"), "prop"), basic.findall(f"{{{DAV}}}from/{{{DAV}}}scope")
    if not 0 < len(scopes) <= MOST_SCOPES:
        raise SearchUnknown
    conditions = [one for part in basic.findall(f"{{{DAV}}}where") for one in xml.children(part)]
    if sum(1 for part in basic.findall(f"{{{DAV}}}where") for _ in part.iter()) > MOST_CONDITIONS * 4:
        raise SearchUnknown
    asked = _all([_condition(one, call, starred) for one in conditions])
    first = _count(basic, _FIRST) or 0
    asked_for = _count(basic, f"{{{DAV}}}nresults")
    most = min(first + asked_for, MOST_FOUND) if asked_for is not None else MOST_FOUND
    number = _asked_number(conditions[0]) if len(conditions) == 1 else None
    return Search(
        test=asked.test,
        needs=asked.needs,
        order=_order(basic),
        first=first,
        most=most,
        starred=starred,
        number=number,
        scopes=tuple(dict.fromkeys(_scope(call, (_one(one, "href").text or "").strip()) for one in scopes)),
        names=tuple(dict.fromkeys(xml.names(select))),
    )


# -- conditions ----------------------------------------------------------------------------------------------

_COMPARED: Mapping[str, Callable[[int, int], bool]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_SPANS: Mapping[str, Callable[[int], Span]] = {
    "eq": lambda at_s: Span(at_s, at_s),
    "gt": lambda at_s: Span(at_s + 1, EVER.until_s),
    "gte": lambda at_s: Span(at_s, EVER.until_s),
    "lt": lambda at_s: Span(EVER.since_s, at_s - 1),
    "lte": lambda at_s: Span(EVER.since_s, at_s),
}
MODIFIED: Name = (DAV, "getlastmodified")
_DISPLAYNAME: Name = (DAV, "displayname")
NUMBERS: Mapping[Name, Callable[[Place], int]] = {
    MODIFIED: lambda place: place.node.mtime_s,
    (DAV, "creationdate"): lambda place: place.node.created_s,
    (DAV, "getcontentlength"): lambda place: place.node.size_bytes,
    (OC, "size"): lambda place: place.node.size_bytes,
    (NC, "creation_time"): lambda place: place.node.created_s,
    (NC, "upload_time"): lambda place: place.node.created_s,
    (OC, "fileid"): lambda place: place.node.id,
}
TEXTS: Mapping[Name, Callable[[Place], str]] = {
    _DISPLAYNAME: lambda place: place.path[-1] if place.path else "",
    (DAV, "getcontenttype"): lambda place: (
        "httpd/unix-directory" if place.node.is_folder else content_type(place.node.name)
    ),
}
_TIMES = {MODIFIED, (DAV, "creationdate"), (NC, "creation_time"), (NC, "upload_time")}


def _condition(element: Element, call: Call, starred: frozenset[Star]) -> Condition:
    space, kind = xml.name_of(element)
    if space != DAV:
        raise SearchUnknown
    if kind in ("and", "or", "not"):
        inner = [_condition(one, call, starred) for one in xml.children(element)]
        return {"and": _all, "or": _any, "not": _none}[kind](inner)
    if kind == "is-collection":
        return Condition(lambda place: bool(place.node.is_folder), Needs(kinds=frozenset({kinds.FOLDER})))
    holder = xml.children(_one(element, "prop"))
    if len(holder) != 1:
        raise SearchUnknown
    name, literal = xml.name_of(holder[0]), (_one(element, "literal").text or "").strip()
    if name == (OC, "favorite") and kind == "eq":
        wanted = literal not in ("0", "false", "no", "")
        return Condition(
            lambda place: ((place.owner, place.node.id) in starred) is wanted, Needs(is_starred=wanted)
        )
    if name in TEXTS and kind in ("like", "eq"):
        return _text_condition(name, kind, literal)
    if name in NUMBERS and kind in _COMPARED:
        value, compared, given = NUMBERS[name], _COMPARED[kind], _value(name, literal)
        if name == (OC, "fileid"):
            home = call.who.collectivite_id
            return Condition(lambda place: compared(properties.number(place, home), given))
        needs = Needs(span=_SPANS[kind](given)) if name == MODIFIED else Needs()
        return Condition(lambda place: compared(value(place), given), needs)
    raise SearchUnknown


def _all(conditions: Sequence[Condition]) -> Condition:
    tests = [one.test for one in conditions]
    needs = reduce(Needs.plus, [one.needs for one in conditions], Needs())
    return Condition(lambda place: all(test(place) for test in tests), needs)


def _any(conditions: Sequence[Condition]) -> Condition:
    tests, needs = [one.test for one in conditions], [one.needs for one in conditions]
    return Condition(
        lambda place: any(test(place) for test in tests),
        reduce(Needs.alternative, needs) if needs else Needs(),
    )


def _none(conditions: Sequence[Condition]) -> Condition:
    tests = [one.test for one in conditions]
    return Condition(lambda place: not any(test(place) for test in tests))


def _text_condition(name: Name, kind: str, literal: str) -> Condition:
    value, wanted = TEXTS[name], accents.bare(literal)
    pieces = wanted.split("%") if kind == "like" else [wanted]
    if name == _DISPLAYNAME:
        needs = Needs(piece=terms.piece(pieces))
    else:
        major, slash, _ = pieces[0].partition("/")
        needs = Needs(kinds=frozenset({major})) if slash else Needs()
    return Condition(lambda place: _is_like(accents.bare(value(place)), pieces), needs)


def _is_like(text: str, pieces: Sequence[str]) -> bool:
    """Whether the pieces follow one another in the text, with anything between them. Linear for each piece."""
    if len(pieces) == 1:
        return text == pieces[0]
    first, *middle, last = pieces
    if not text.startswith(first) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return at <= end and text.endswith(last)


def _value(name: Name, literal: str) -> int:
    """Errors: SearchUnknown."""
    if name == (OC, "fileid"):
        found = NUMBER.match(literal)  # the instance may follow, as in oc:id
        if found is None:
            raise SearchUnknown
        return int(found[0])
    if NUMBER.fullmatch(literal):
        return int(literal)
    if name in _TIMES:
        try:
            at = datetime.fromisoformat(literal)
            return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            seconds = date_s(literal)
            if seconds is not None:
                return seconds
    raise SearchUnknown


def _asked_number(element: Element) -> int | None:
    if xml.name_of(element) != (DAV, "eq") or element.find(f"{{{DAV}}}prop/{{{OC}}}fileid") is None:
        return None
    return _value((OC, "fileid"), (_one(element, "literal").text or "").strip())


def _order(basic: Element) -> tuple[Name, bool] | None:
    """The first key that is known; the others break ties that nobody sees."""
    for one in basic.findall(f"{{{DAV}}}orderby/{{{DAV}}}order"):
        held = one.find(f"{{{DAV}}}prop")
        for name in xml.names(held) if held is not None else ():
            if name in NUMBERS or name in TEXTS:
                return name, one.find(f"{{{DAV}}}descending") is not None
    return None


def _scope(call: Call, href: str) -> tuple[str, ...]:
    """``href``: "/files/LOGIN/..." as sync clients write it, quoted or not, or the path of a URL.

    Errors: AbsentNode (another's tree), DestinationMissing and more of ``paths.local``.
    """
    quoted = quote(_NO_QUOTE.sub("%25", href), safe=_SAFE)
    path = paths.local(quoted, call.request.header(b"host"))
    full = path if path.startswith(PREFIX) else f"{PREFIX}{path}"
    return paths.target(full.rstrip("/"), call.who).path


def _count(basic: Element, name: str) -> int | None:
    """A number of the limit; None where there is none."""
    text = (basic.findtext(f"{{{DAV}}}limit/{name}") or "").strip()
    return int(text) if NUMBER.fullmatch(text) else None


def _one(element: Element, name: str) -> Element:
    found = element.find(f"{{{DAV}}}{name}")
    if found is None:
        raise xml.XmlRefused
    return found
