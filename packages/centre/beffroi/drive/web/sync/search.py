"""Finding files: SEARCH (DASL's basicsearch, by name, kind, size, time, number), REPORT of favourites and of tags.

Rule:    a search walks what the person sees below the scope, folder by folder, in a thread; a number is looked up.
         It ends at MOST_FOUND entries, or as many as the client asks for. What another collectivité shares is walked
         through in its metadata, and told there as a listing; one that does not answer is left out.
Hostile: bodies; conditions are counted, and a pattern is compared without a regular expression of the client's.
Source:  draft-reschke-webdav-search-00 (DASL); Nextcloud's developer manual, "Search"; docs/internals/drive-sync.md.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import operator
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from urllib.parse import quote

from beffroi.drive.store import tags
from beffroi.drive.store.favourites import Star
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place, Visit
from beffroi.drive.web.dav import listing, paths, properties, xml
from beffroi.drive.web.dav.call import Call
from beffroi.drive.web.dav.conditions import date_s
from beffroi.drive.web.dav.paths import Target
from beffroi.drive.web.dav.xml import DAV, NC, OC, Element, Name
from beffroi.drive.web.messages import Answer, Request
from beffroi.drive.web.sync.call import CallFor
from beffroi.lib.errors import BeffroiError

PREFIX = "/remote.php/dav"
log = logging.getLogger("beffroi.drive")

MOST_FOUND, MOST_CONDITIONS, MOST_SCOPES = 5_000, 64, 32
MOST_WALKS = 2
"""At the same time: a walk through a large tree takes seconds of one of the few threads that listings need, too."""
_NO_QUOTE, _SAFE = re.compile(r"%(?![0-9A-Fa-f]{2})"), "%" + paths.SAFE + "[]"
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


class SearchUnknown(BeffroiError):
    """This search asks for something that cannot be looked for here."""

    code = "drive.search_unknown"
    http_status = 422


type Test = Callable[[Place], bool]


@dataclass(frozen=True)
class Search:
    """``number``: the one file that is asked for, where the search says so. ``order``: (property, descending)."""

    scopes: tuple[tuple[str, ...], ...]
    names: tuple[Name, ...]
    test: Test
    number: int | None
    order: tuple[Name, bool] | None
    most: int


class Finder:
    def __init__(self, call_for: CallFor) -> None:
        self._call_for = call_for
        self.turns = asyncio.Semaphore(MOST_WALKS)
        """For whoever walks through a tree."""

    async def search(self, request: Request) -> Answer:
        """SEARCH on the root of all trees."""
        assert request.who is not None, "signed in"
        call = await self._call_for(request, Target(f"{paths.FILES}/{request.who.login}", ()))
        body = await xml.read(request, "searchrequest")
        if body is None:
            raise xml.XmlRefused

        def look_up() -> Answer:
            with call.view.database.reading() as reading:
                wanted, visits = parse(call, body, call.stars(reading)), call.view.visits(reading)
                wish = _wish(wanted.names)
                tops = [one for one in wanted.scopes if not any(one[:2] == there.path for there in visits)]
                places = _found(call, reading, wanted, tops)
                shown = list(listing.shown_of(call, reading, wish, places))
            for visit in visits:
                shown += _shown_there(call, visit, wanted, wish)
            return _answer(call, wish, _ordered(wanted, shown))

        async with self.turns:
            return await asyncio.to_thread(look_up)

    async def report(self, request: Request) -> Answer:
        """REPORT filter-files: what the person starred, or has all of some tags, below the folder of the request."""
        assert request.who is not None, "signed in"
        call = await self._call_for(request, paths.target(request.path, request.who))
        body = xml.parse(await request.body(xml.MAX_BODY_BYTES), "filter-files", OC)
        rules = body.find(f"{{{OC}}}filter-rules")
        asks_star, tag_ids = _rules(rules)
        if tag_ids and call.view is not call.home:
            raise tags.AbsentTag("tag")  # another collectivité's are its own
        asked = body.find(f"{{{DAV}}}prop")
        wish = _wish(tuple(dict.fromkeys(xml.names(asked))) if asked is not None else properties.ALL)

        def look_up() -> Answer:
            with call.view.database.reading() as reading:
                call.view.place(reading, call.target.path)
                stars = call.stars(reading) if asks_star else frozenset()
                kept = {node_id for owner, node_id in stars if owner == call.view.collectivite_id}
                if tag_ids:
                    tagged = tags.with_all(reading, call.who, tag_ids)
                    kept = kept & tagged if asks_star else set(tagged)
                shown = _kept(call, reading, wish=wish, node_ids=kept, top=call.target.path)
                goes_on = stars and not tag_ids and call.view is call.home
                visits = call.view.visits(reading) if goes_on else []
            for visit in visits:
                kept = {node_id for owner, node_id in stars if owner == visit.collectivite_id}
                if kept and visit.path[: len(call.target.path)] == call.target.path:
                    shown += _there(call, visit, partial(_kept, wish=wish, node_ids=kept, top=()))
            return _answer(call, wish, shown[:MOST_FOUND])

        async with self.turns:
            return await asyncio.to_thread(look_up)


def _rules(element: Element | None) -> tuple[bool, list[int]]:
    """(whether starred ones are asked for, tags that all must be there). Errors: SearchUnknown."""
    rules = xml.children(element) if element is not None else []
    named = [(xml.name_of(one), (one.text or "").strip()) for one in rules]
    tag_ids = [int(text) for name, text in named if name == (OC, "systemtag") and _NUMBER.fullmatch(text)]
    star = any(name == (OC, "favorite") for name, _ in named)
    if not named or len(named) > MOST_CONDITIONS or len(tag_ids) + star != len(named):
        raise SearchUnknown
    return star, tag_ids


def parse(call: Call, body: Element, starred: frozenset[Star]) -> Search:
    """Errors: XmlRefused, SearchUnknown, AbsentNode (another's tree)."""
    basic = _one(body, "basicsearch")
    select, scopes = _one(_one(basic, "select"), "prop"), basic.findall(f"{{{DAV}}}from/{{{DAV}}}scope")
    if not 0 < len(scopes) <= MOST_SCOPES:
        raise SearchUnknown
    conditions = [one for part in basic.findall(f"{{{DAV}}}where") for one in xml.children(part)]
    if sum(1 for part in basic.findall(f"{{{DAV}}}where") for _ in part.iter()) > MOST_CONDITIONS * 4:
        raise SearchUnknown
    tests = [_test(one, call, starred) for one in conditions]
    limit = basic.findtext(f"{{{DAV}}}limit/{{{DAV}}}nresults") or ""
    most = min(int(limit), MOST_FOUND) if _NUMBER.fullmatch(limit.strip()) else MOST_FOUND
    number = _asked_number(conditions[0]) if len(conditions) == 1 else None
    return Search(
        tuple(dict.fromkeys(_scope(call, (_one(one, "href").text or "").strip()) for one in scopes)),
        tuple(dict.fromkeys(xml.names(select))),
        lambda place: all(test(place) for test in tests),
        number,
        _order(basic),
        most,
    )


# -- conditions ----------------------------------------------------------------------------------------------

_COMPARED: Mapping[str, Callable[[int, int], bool]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_NUMBERS: Mapping[Name, Callable[[Place], int]] = {
    (DAV, "getlastmodified"): lambda place: place.node.mtime_s,
    (DAV, "creationdate"): lambda place: place.node.created_s,
    (DAV, "getcontentlength"): lambda place: place.node.size_bytes,
    (OC, "size"): lambda place: place.node.size_bytes,
    (NC, "creation_time"): lambda place: place.node.created_s,
    (NC, "upload_time"): lambda place: place.node.created_s,
    (OC, "fileid"): lambda place: place.node.id,
}
_TEXTS: Mapping[Name, Callable[[Place], str]] = {
    (DAV, "displayname"): lambda place: place.path[-1] if place.path else "",
    (DAV, "getcontenttype"): lambda place: (
        "httpd/unix-directory" if place.node.is_folder else properties.content_type(place.node.name)
    ),
}
_TIMES = {(DAV, "getlastmodified"), (DAV, "creationdate"), (NC, "creation_time"), (NC, "upload_time")}


def _test(element: Element, call: Call, starred: frozenset[Star]) -> Test:
    space, kind = xml.name_of(element)
    if space != DAV:
        raise SearchUnknown
    if kind in ("and", "or", "not"):
        inner = [_test(one, call, starred) for one in xml.children(element)]
        if kind == "and":
            return lambda place: all(test(place) for test in inner)
        if kind == "or":
            return lambda place: any(test(place) for test in inner)
        return lambda place: not any(test(place) for test in inner)
    if kind == "is-collection":
        return lambda place: bool(place.node.is_folder)
    holder = xml.children(_one(element, "prop"))
    if len(holder) != 1:
        raise SearchUnknown
    name, literal = xml.name_of(holder[0]), (_one(element, "literal").text or "").strip()
    if name == (OC, "favorite") and kind == "eq":
        wanted = literal not in ("0", "false", "no", "")
        return lambda place: ((place.owner, place.node.id) in starred) is wanted
    if name in _TEXTS and kind in ("like", "eq"):
        return _text_test(_TEXTS[name], kind, literal)
    if name in _NUMBERS and kind in _COMPARED:
        value, compared, given = _NUMBERS[name], _COMPARED[kind], _value(name, literal)
        if name == (OC, "fileid"):
            home = call.who.collectivite_id
            return lambda place: compared(properties.number(place, home), given)
        return lambda place: compared(value(place), given)
    raise SearchUnknown


def _text_test(value: Callable[[Place], str], kind: str, literal: str) -> Test:
    wanted = folded(literal)
    if kind == "eq":
        return lambda place: folded(value(place)) == wanted
    pieces = wanted.split("%")
    return lambda place: _is_like(folded(value(place)), pieces)


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


def folded(text: str) -> str:
    """As people search: without capitals and accents."""
    plain = unicodedata.normalize("NFD", text.casefold())
    return "".join(sign for sign in plain if not unicodedata.combining(sign))


def _value(name: Name, literal: str) -> int:
    """Errors: SearchUnknown."""
    if name == (OC, "fileid"):
        found = _NUMBER.match(literal)  # the instance may follow, as in oc:id
        if found is None:
            raise SearchUnknown
        return int(found[0])
    if _NUMBER.fullmatch(literal):
        return int(literal)
    if name in _TIMES:
        try:
            return int(datetime.fromisoformat(literal).timestamp())
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
            if name in _NUMBERS or name in _TEXTS:
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


def _one(element: Element, name: str) -> Element:
    found = element.find(f"{{{DAV}}}{name}")
    if found is None:
        raise xml.XmlRefused
    return found


# -- answers -------------------------------------------------------------------------------------------------


def _found(call: Call, reading: Reading, wanted: Search, scopes: Sequence[tuple[str, ...]]) -> list[Place]:
    """In one tree, in no order. Errors: AbsentNode."""
    tops = [call.view.place(reading, scope) for scope in scopes]
    if wanted.number is not None:
        shift = properties.shift(call.view.collectivite_id, call.who.collectivite_id)
        one = _visible(call, reading, wanted.number - shift)
        inside = one is not None and any(one.path[: len(scope)] == scope for scope in scopes)
        return [one] if one is not None and inside else []
    found: list[Place] = []
    for place in below(call, reading, tops):
        if wanted.test(place):
            found.append(place)
            if len(found) >= (wanted.most if wanted.order is None else MOST_FOUND):
                break
    return found


def _shown_there(call: Call, visit: Visit, wanted: Search, wish: listing.Wish) -> Sequence[properties.Shown]:
    """In what another collectivité shares; what is shared itself was found where it is mounted."""
    scopes = {
        visit.path if visit.path[: len(scope)] == scope else scope
        for scope in wanted.scopes
        if visit.path[: len(scope)] == scope or scope[:2] == visit.path
    }
    if not scopes:
        return []

    def look_up(there: Call, reading: Reading) -> list[properties.Shown]:
        places = _found(there, reading, wanted, sorted(scopes))
        return list(listing.shown_of(there, reading, wish, places))

    return _there(call, visit, look_up)


def _there(
    call: Call, visit: Visit, look_up: Callable[[Call, Reading], list[properties.Shown]]
) -> list[properties.Shown]:
    """What is found in what another collectivité shares, told there before; nothing where it has ended."""
    try:
        there = call.towards(call, Target(call.target.base, visit.path))
        with visit.database.reading() as reading:
            return look_up(there, reading)
    except BeffroiError as error:  # it has ended, or its owner does not answer
        log.info("no search by a share: %s", error.code)
        return []


def _kept(
    call: Call, reading: Reading, *, wish: listing.Wish, node_ids: Collection[int], top: tuple[str, ...]
) -> list[properties.Shown]:
    """Of these nodes, what this person sees below a folder."""
    found = (_visible(call, reading, one) for one in sorted(node_ids))
    inside = (one for one in found if one is not None and one.path[: len(top)] == top)
    return list(listing.shown_of(call, reading, wish, list(itertools.islice(inside, MOST_FOUND))))


def _ordered(wanted: Search, shown: list[properties.Shown]) -> list[properties.Shown]:
    if wanted.order is not None:
        name, descending = wanted.order
        key: Callable[[Place], int | str] = _NUMBERS[name] if name in _NUMBERS else _TEXTS[name]
        shown.sort(key=lambda one: key(one.place), reverse=descending)
    return shown[: wanted.most]


def below(call: Call, reading: Reading, tops: list[Place]) -> Iterator[Place]:
    """Each place once, also where one of the folders lies in another."""
    waiting = [
        one for one in tops if not any(one != top and one.path[: len(top.path)] == top.path for top in tops)
    ]
    while waiting:
        folder = waiting.pop()
        if not folder.node.is_folder:
            continue
        for one in call.view.children(reading, folder):
            yield one
            waiting.append(one)


def _visible(call: Call, reading: Reading, node_id: int) -> Place | None:
    try:
        return call.view.at(reading, node_id)
    except AbsentNode:
        return None


def _wish(names: tuple[Name, ...]) -> listing.Wish:
    return listing.Wish("some", names)


def _answer(call: Call, wish: listing.Wish, shown: Sequence[properties.Shown]) -> Answer:
    entries = "".join(map(listing.Entries(call, wish).of, shown))
    return Answer(207, (xml.CONTENT_TYPE,), f"{xml.MULTISTATUS}{entries}{xml.END}".encode())
