"""Finding files: SEARCH (DASL's basicsearch, by name, kind, size, time, number), REPORT of favourites and of tags.

Rule:    a search looks in what the person sees below the scope (``looking``), in a thread; a number is looked up. It
         ends at MOST_FOUND entries, or as many as the client asks for. What another collectivité shares is looked for
         in its metadata, and told there as a listing; one that does not answer is left out.
Hostile: bodies (``basicsearch``).
Source:  Nextcloud's developer manual, "Search"; docs/internals/drive-sync.md.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from beffroi.drive.store import tags
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place, View, Visit
from beffroi.drive.web.dav import listing, paths, properties, xml
from beffroi.drive.web.dav.call import Call
from beffroi.drive.web.dav.paths import Target
from beffroi.drive.web.dav.xml import DAV, OC, Element, Name
from beffroi.drive.web.messages import Answer, Header, Request
from beffroi.drive.web.sync import basicsearch, looking
from beffroi.drive.web.sync.basicsearch import MOST_CONDITIONS, MOST_FOUND, Search, SearchUnknown
from beffroi.drive.web.sync.call import CallFor
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive")
A_PAGE = 100
"""Entries, where a client that asks for pages does not say."""
MOST_WALKS = 2
"""At the same time: a walk through a large tree takes seconds of one of the few threads that listings need, too."""


class Finder:
    def __init__(self, call_for: CallFor) -> None:
        self._call_for = call_for
        self.turns = asyncio.Semaphore(MOST_WALKS)
        """For whoever walks through a tree."""

    async def search(self, request: Request) -> Answer:
        """SEARCH on the root of all trees."""
        call = leaving_out(
            await self._call_for(request, Target(f"{paths.FILES}/{request.signed_in.login}", ()))
        )
        body = await xml.read(request, "searchrequest")
        if body is None:
            raise xml.XmlRefused

        def look_up() -> Answer:
            with call.view.database.reading() as reading:
                wanted = _page(request, basicsearch.parse(call, body, call.stars(reading)))
                visits = call.view.visits(reading)
                wish = _wish(wanted.names)
                tops = [one for one in wanted.scopes if not any(one[:2] == there.path for there in visits)]
                places = _found(call, reading, wanted, tops)
                shown = list(listing.shown_of(call, reading, wish, places))
            for visit in visits:
                shown += _shown_there(call, visit, wanted, wish)
            headers = ((b"x-nc-paginate", b"true"),) if _is_paged(request) else ()
            return _answer(call, wish, _ordered(wanted, shown), *headers)

        async with self.turns:
            return await asyncio.to_thread(look_up)

    async def report(self, request: Request) -> Answer:
        """REPORT filter-files: what the person starred, or has all of some tags, below the folder of the request."""
        call = leaving_out(await self._call_for(request, paths.target(request.path, request.signed_in)))
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


def leaving_out(call: Call) -> Call:
    """The same call, but a collectivité that shares something and does not answer is left out: a client takes what is
    found for no listing, and deletes nothing by it."""
    if call.view is not call.home:
        return call
    view = View.of_page(call.who, call.home.abroad)
    return replace(call, view=view, home=view)


def _rules(element: Element | None) -> tuple[bool, list[int]]:
    """(whether starred ones are asked for, tags that all must be there). Errors: SearchUnknown."""
    rules = xml.children(element) if element is not None else []
    named = [(xml.name_of(one), (one.text or "").strip()) for one in rules]
    tag_ids = [
        int(text) for name, text in named if name == (OC, "systemtag") and basicsearch.NUMBER.fullmatch(text)
    ]
    star = any(name == (OC, "favorite") for name, _ in named)
    if not named or len(named) > MOST_CONDITIONS or len(tag_ids) + star != len(named):
        raise SearchUnknown
    return star, tag_ids


# -- answers -------------------------------------------------------------------------------------------------


def _found(call: Call, reading: Reading, wanted: Search, scopes: Sequence[tuple[str, ...]]) -> list[Place]:
    """In one tree, in no order. Errors: AbsentNode."""
    tops = [call.view.place(reading, scope) for scope in scopes]
    if wanted.number is not None:
        shift = properties.shift(call.view.collectivite_id, call.who.collectivite_id)
        one = _visible(call, reading, wanted.number - shift)
        inside = one is not None and any(one.path[: len(scope)] == scope for scope in scopes)
        return [one] if one is not None and inside else []
    return looking.found(call.view, reading, tops, wanted)


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
        numbers, texts = basicsearch.NUMBERS, basicsearch.TEXTS
        key: Callable[[Place], int | str] = numbers[name] if name in numbers else texts[name]
        # Of one second by number, as they are read: each page begins where the one before ended.
        shown.sort(key=lambda one: (key(one.place), one.place.node.id), reverse=descending)
    return shown[wanted.first : wanted.most]


def _visible(call: Call, reading: Reading, node_id: int) -> Place | None:
    try:
        return call.view.at(reading, node_id)
    except AbsentNode:
        return None


def _wish(names: tuple[Name, ...]) -> listing.Wish:
    return listing.Wish("some", names)


def _is_paged(request: Request) -> bool:
    return request.header(b"x-nc-paginate") == "true"


def _page(request: Request, wanted: Search) -> Search:
    """The part that a client asks for by headers of its own, beside the limit. Each page is searched anew."""
    if not _is_paged(request):
        return wanted
    offset, count = (
        int(text) if basicsearch.NUMBER.fullmatch(text := request.header(name)) else otherwise
        for name, otherwise in ((b"x-nc-paginate-offset", 0), (b"x-nc-paginate-count", A_PAGE))
    )
    first = wanted.first + offset
    return replace(wanted, first=first, most=min(first + count, wanted.most))


def _answer(call: Call, wish: listing.Wish, shown: Sequence[properties.Shown], *headers: Header) -> Answer:
    return xml.multistatus(map(listing.Entries(call, wish).of, shown), *headers)
