"""PROPFIND and PROPPATCH. A long listing is made and sent in pieces, while other requests go on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Literal, NamedTuple

from beffroi.drive.store import favourites, locks, look, tree
from beffroi.drive.store.database import Reading, Writing
from beffroi.drive.store.look import NO_LIMIT
from beffroi.drive.store.model import ReadOnly
from beffroi.drive.views import SHARED_NAME, Place
from beffroi.drive.web.dav import conditions, properties, xml
from beffroi.drive.web.dav.call import Call
from beffroi.drive.web.dav.properties import Shown
from beffroi.drive.web.dav.xml import Element, Name
from beffroi.drive.web.messages import Answer
from beffroi.lib.errors import BeffroiError

PIECE = 250
"""Entries that are rendered at a time: some milliseconds."""
_WIN32_MTIME = ("urn:schemas-microsoft-com:", "Win32LastModifiedTime")
_MTIMES = {(xml.DAV, "getlastmodified"), (xml.DAV, "lastmodified"), _WIN32_MTIME}
_SETTABLE = {*_MTIMES, properties.FAVOURITE}
_HEADERS = (xml.CONTENT_TYPE, (b"dav", b"1, 2, 3"))


class DepthRefused(BeffroiError):
    """A listing of everything below a folder is not made; ask for one folder after the other."""

    code = "drive.depth_refused"
    http_status = 403
    precondition = "<d:propfind-finite-depth/>"


class PropertiesTooLarge(BeffroiError):
    """The properties of this file would take too much room."""

    code = "drive.properties_too_large"
    http_status = 507


class Wish(NamedTuple):
    """What a PROPFIND asks for; ``names`` of ``all``: those of ``allprop`` and ``include``."""

    kind: Literal["some", "all", "names"]
    names: tuple[Name, ...]


def wish(body: Element | None) -> Wish:
    """Errors: XmlRefused."""
    if body is None:
        return Wish("all", properties.ALL)
    asked = {xml.name_of(one): one for one in xml.children(body)}
    if (found := asked.get((xml.DAV, "prop"))) is not None:
        return Wish("some", tuple(dict.fromkeys(xml.names(found))))
    if (xml.DAV, "propname") in asked:
        return Wish("names", ())
    if (xml.DAV, "allprop") not in asked:
        raise xml.XmlRefused
    more = asked.get((xml.DAV, "include"))
    return Wish(
        "all", tuple(dict.fromkeys((*properties.ALL, *(xml.names(more) if more is not None else ()))))
    )


async def propfind(call: Call) -> Answer:
    # A client that names no depth means everything by RFC 4918, and one folder by all servers that it knows.
    depth = call.depth("1")
    if depth == "infinity":
        raise DepthRefused
    asked = wish(await xml.read(call.request, "propfind"))

    def look_up() -> list[Shown]:
        with call.view.database.reading() as reading:
            place = call.view.place(reading, call.target.path)
            if not conditions.holds(call.clauses, lambda resource: call.state(reading, resource)):
                raise conditions.ConditionFailed
            inside = call.view.children(reading, place) if depth == "1" and place.node.is_folder else []
            return list(shown_of(call, reading, asked, [place, *inside]))

    # A folder of many thousand entries takes its time in a thread; the loop goes on with others.
    shown = await asyncio.to_thread(look_up) if depth == "1" else look_up()
    if len(shown) <= PIECE:
        entries = "".join(entry(call, asked, one) for one in shown)
        return Answer(207, _HEADERS, f"{xml.MULTISTATUS}{entries}{xml.END}".encode())
    return Answer(207, _HEADERS, _pieces(call, asked, shown))


async def _pieces(call: Call, asked: Wish, shown: Sequence[Shown]) -> AsyncGenerator[bytes]:
    yield xml.MULTISTATUS.encode()
    for some in itertools.batched(shown, PIECE, strict=False):
        yield "".join([entry(call, asked, one) for one in some]).encode()
        await asyncio.sleep(0)
    yield xml.END.encode()


def shown_of(call: Call, reading: Reading, asked: Wish, places: Sequence[Place]) -> Iterable[Shown]:
    setting = call.setting(
        reading,
        wants_stars=properties.FAVOURITE in asked.names,
        wants_shares=properties.SHARE_TYPES in asked.names,
    )
    wants_locks = (
        properties.LOCKS in asked.names and reading.one("SELECT 1 FROM dav_lock LIMIT 1") is not None
    )
    wants_room = not properties.QUOTA.isdisjoint(asked.names)
    rooms: dict[tuple[str, ...], tuple[int, int]] = {}
    for place in places:
        # Of another collectivité, locks and room lie there, too; the folder of what is shared has none.
        is_elsewhere = place.owner != call.view.collectivite_id or place.path == (SHARED_NAME,)
        held = _held(call, reading, place) if wants_locks and not is_elsewhere else ()
        room = (0, NO_LIMIT)
        if wants_room and place.node.is_folder and not is_elsewhere:
            top = place.path[:2] if place.path[:1] == (SHARED_NAME,) else place.path[:1]
            top = top if top and call.view.is_reserved(top) else ()
            if top not in rooms:
                rooms[top] = _room(reading, place)
            room = rooms[top]
        yield Shown(place, setting, held, room)


def _held(call: Call, reading: Reading, place: Place) -> list[tuple[locks.Lock, str]]:
    return [
        (one, lock_root(call, reading, place, one))
        for one in locks.held(reading, place.node.id, now_s=call.act.now_s)
    ]


def lock_root(call: Call, reading: Reading, place: Place, lock: locks.Lock) -> str:
    """The href of what a lock that reaches this place was taken on."""
    at = place
    while (
        at.node.id != lock.node and not at.rights.is_mount
    ):  # above a mount its owner's folders have no href here
        at = call.view.place(reading, at.path[:-1])
    return call.target.href(at.path, is_folder=bool(at.node.is_folder))


def _room(reading: Reading, place: Place) -> tuple[int, int]:
    """(used, limit) of the root of a place; the limit is the narrower one of its own and the collectivité's."""
    root = look.above(reading, place.node.id)[-1]
    used, limit = look.room(reading, root.id)
    all_used, all_limit = look.room(reading, 0)
    limits = [limit] if limit != NO_LIMIT else []
    if all_limit != NO_LIMIT:
        limits.append(used + max(0, all_limit - all_used))
    return used, min(limits, default=NO_LIMIT)


def entry(call: Call, asked: Wish, shown: Shown) -> str:
    """One response element."""
    place = shown.place
    href = call.target.href(place.path, is_folder=bool(place.node.is_folder))
    if asked.kind == "names":
        return xml.response(href, [xml.propstat(properties.all_names(shown), "200 OK")])
    found, absent = properties.render(shown, asked.names, is_all=asked.kind == "all")
    stats = [xml.propstat(found, "200 OK")] if found or not absent else []
    if absent:
        stats.append(xml.propstat(absent, "404 Not Found"))
    return xml.response(href, stats)


# -- PROPPATCH -----------------------------------------------------------------------------------------------


async def proppatch(call: Call) -> Answer:
    body = await xml.read(call.request, "propertyupdate")
    if body is None:
        raise xml.XmlRefused
    steps = _steps(body)
    refused = {name for _, name, _ in steps if name in properties.PROPERTIES and name not in _SETTABLE}
    star = next(
        (sets and _is_true(one) for sets, name, one in reversed(steps) if name == properties.FAVOURITE), None
    )
    mtime_s = next((_mtime_s(one) for sets, name, one in steps if sets and name in _MTIMES), None)

    def change(writing: Writing) -> Place:
        place = call.view.place(writing, call.target.path)
        if not refused and star is not None:  # for this person alone: also where they only read
            favourites.set_star(writing, call.who.person_id, place.node.id, starred=star)
        others = any(name != properties.FAVOURITE for _, name, _ in steps)
        if others and not place.rights.may_write:
            raise ReadOnly
        call.check(writing, place)
        if not refused and others:
            kept = properties.dead(place.node.properties)
            for sets, name, element in steps:
                if sets and (name not in _SETTABLE or name == _WIN32_MTIME):
                    kept[name] = xml.source(element)
                elif not sets:
                    kept.pop(name, None)
            packed = properties.packed(kept)
            if len(packed.encode()) > properties.MAX_DEAD_BYTES:
                raise PropertiesTooLarge
            tree.set_properties(writing, call.act, place.node.id, packed, mtime_s=mtime_s)
        return place

    place = await call.view.database.write_async(change)
    href = call.target.href(place.path, is_folder=bool(place.node.is_folder))
    names = list(dict.fromkeys(name for _, name, _ in steps))
    if refused:
        bad = "".join(xml.empty(name) for name in names if name in refused)
        rest = "".join(xml.empty(name) for name in names if name not in refused)
        stats = [
            f"<d:propstat><d:prop>{bad}</d:prop><d:status>HTTP/1.1 403 Forbidden</d:status>"
            "<d:error><d:cannot-modify-protected-property/></d:error></d:propstat>",
            *([xml.propstat(rest, "424 Failed Dependency")] if rest else []),
        ]
    else:
        stats = [xml.propstat("".join(map(xml.empty, names)), "200 OK")]
    return Answer(207, _HEADERS, f"{xml.MULTISTATUS}{xml.response(href, stats)}{xml.END}".encode())


def _steps(body: Element) -> list[tuple[bool, Name, Element]]:
    """(whether it sets, name, element) in the order of the document. Errors: XmlRefused."""
    out = []
    for step in xml.children(body):
        kind = xml.name_of(step)
        if kind not in ((xml.DAV, "set"), (xml.DAV, "remove")):
            continue
        for holder in xml.children(step):
            if xml.name_of(holder) == (xml.DAV, "prop"):
                out += [(kind[1] == "set", xml.name_of(one), one) for one in xml.children(holder)]
    if not out or len(out) > xml.MAX_NAMES:
        raise xml.XmlRefused
    xml.require_short(name for _, name, _ in out)
    return out


def _is_true(element: Element) -> bool:
    return (element.text or "").strip().lower() in ("1", "true", "yes")


def _mtime_s(element: Element) -> int | None:
    text = (element.text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 11 else conditions.date_s(text)
