"""PROPFIND. A long listing is made and sent in pieces, while other requests go on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from beffroi.drive.store import locks, look, room, seals
from beffroi.drive.store.model import NO_LIMIT
from beffroi.drive.store.writing import Reading, Row
from beffroi.drive.views import SHARED_NAME, Place
from beffroi.drive.web.dav import conditions, paths, plain, properties, walk, xml
from beffroi.drive.web.dav.call import Call
from beffroi.drive.web.dav.owners import NOBODY, Owner
from beffroi.drive.web.dav.properties import Kind, Shown, Template
from beffroi.drive.web.dav.xml import Name
from beffroi.drive.web.messages import XML, Answer, Request
from beffroi.lib import digits

MOST_DEEP = 5_000
"""Entries of a listing that goes below one folder: a commune as a whole is asked for folder by folder."""
PIECE = 1000
"""Entries that are rendered at a time: some milliseconds."""
MOST_KEPT_BYTES = 4096
CLASSES = (b"dav", b"1, 2, 3")


class Wish(NamedTuple):
    """What a PROPFIND asks for; ``names`` of ``all``: those of ``allprop`` and ``include``."""

    kind: Literal["some", "all", "names"]
    names: tuple[Name, ...]


def wish(body: bytes) -> Wish:
    """Errors: XmlRefused."""
    return _wish(body) if len(body) > MOST_KEPT_BYTES else _kept_wish(body)


def _wish(body: bytes) -> Wish:
    if not body.strip():
        return Wish("all", properties.ALL)
    found = xml.parse(body, "propfind")
    asked = {xml.name_of(one): one for one in xml.children(found)}
    if (some := asked.get((xml.DAV, "prop"))) is not None:
        return Wish("some", tuple(dict.fromkeys(xml.names(some))))
    if (xml.DAV, "propname") in asked:
        return Wish("names", ())
    if (xml.DAV, "allprop") not in asked:
        raise xml.XmlRefused
    more = asked.get((xml.DAV, "include"))
    return Wish(
        "all", tuple(dict.fromkeys((*properties.ALL, *(xml.names(more) if more is not None else ()))))
    )


# A client asks in the same words each time.
_kept_wish = lru_cache(256)(_wish)


async def propfind(call: Call) -> Answer:
    depth = _depth(call.request)
    asked = wish(await call.request.body(xml.MAX_BODY_BYTES))
    quick = plain.Listing.of(asked.names) if asked.kind == "some" and depth == 1 else None

    def look_up() -> tuple[list[Shown], list[Row]]:
        with call.view.database.reading() as reading:
            place = call.view.place(reading, call.target.path)
            if not conditions.holds(call.clauses, lambda resource: call.state(reading, resource)):
                raise conditions.ConditionFailed
            if quick is not None and plain.fits(call.view, place):
                return list(shown_of(call, reading, asked, [place])), quick.rows(reading, place.node.id)
            inside = _inside(call, reading, place, depth)
            return list(shown_of(call, reading, asked, [place, *inside])), []

    # A folder of many thousand entries takes its time in a thread; the loop goes on with others.
    shown, rows = await asyncio.to_thread(look_up) if depth else look_up()
    elements: Iterator[str] = map(Entries(call, asked).of, shown)
    if quick is not None:
        elements = itertools.chain(
            elements, quick.elements(call.target.href(call.target.path, is_folder=True), shown[0].owner, rows)
        )
    if len(shown) + len(rows) <= PIECE:
        return xml.multistatus(elements, CLASSES)
    return Answer(207, (XML, CLASSES), _pieces(elements))


def _depth(request: Request) -> int:
    """Any number of levels, which RFC 4918 does not know but clients ask for. Errors: Invalid."""
    # A client that names no depth means everything by RFC 4918, and one folder by all servers that it knows.
    found = request.header(b"depth", "1").strip().lower()
    if found == "infinity":
        return walk.EVERYTHING
    return digits.needed(found, "Depth", most=3)


def _inside(call: Call, reading: Reading, top: Place, depth: int) -> list[Place]:
    """Errors: TooMuchBelow."""
    if not depth or not top.node.is_folder:
        return []
    if depth == 1:
        return call.view.children(reading, top)
    return walk.below(call.view, reading, top, depth, MOST_DEEP)


async def _pieces(elements: Iterable[str]) -> AsyncGenerator[bytes]:
    yield xml.MULTISTATUS.encode()
    for some in itertools.batched(elements, PIECE, strict=False):
        yield "".join(some).encode()
        await asyncio.sleep(0)
    yield xml.END.encode()


def shown_of(call: Call, reading: Reading, asked: Wish, places: Sequence[Place]) -> Iterable[Shown]:
    setting = call.setting(
        reading,
        wants_stars=properties.FAVOURITE in asked.names,
        wants_shares=properties.SHARE_TYPES in asked.names,
        tagged=[one.node.id for one in places] if properties.TAGS in asked.names else (),
    )
    wants_locks = (
        properties.LOCKS in asked.names and reading.one("SELECT 1 FROM dav_lock LIMIT 1") is not None
    )
    looking = seals.Looking(reading) if not properties.BY_SEAL.isdisjoint(asked.names) else None
    wants_owner = not properties.BY_OWNER.isdisjoint(asked.names)
    owner_of = call.owners.seen_by(call.view, reading) if wants_owner else _nobody
    wants_room = not properties.QUOTA.isdisjoint(asked.names)
    rooms: dict[tuple[str, ...], tuple[int, int]] = {}
    for place in places:
        # Of another collectivité, locks and room lie there, too; the folder of what is shared has none.
        is_elsewhere = place.owner != call.view.collectivite_id or place.path == (SHARED_NAME,)
        held = _held(call, reading, place) if wants_locks and not is_elsewhere else ()
        taken = (0, NO_LIMIT)
        if wants_room and place.node.is_folder and not is_elsewhere:
            top = place.path[:2] if place.path[:1] == (SHARED_NAME,) else place.path[:1]
            top = top if top and call.view.is_reserved(top) else ()
            if top not in rooms:
                rooms[top] = room.reached(reading, look.above(reading, place.node.id)[-1].id)
            taken = rooms[top]
        reach = looking.reach(place.node) if looking else ""
        yield Shown(place, setting, held, taken, reach, owner_of(place))


def _nobody(place: Place) -> Owner:
    return NOBODY


def _held(call: Call, reading: Reading, place: Place) -> list[tuple[locks.Lock, str]]:
    return [
        (one, lock_root(call, reading, place, one))
        for one in locks.held(reading, place.node.id, now_s=call.act.now_s)
    ]


def lock_root(call: Call, reading: Reading, place: Place, lock: locks.Lock) -> str:
    """The href of what a lock that reaches this place was taken on."""
    at = place
    while at.node.id != lock.node and not at.rights.is_mount:
        # Above a mount its owner's folders have no href here.
        at = call.view.place(reading, at.path[:-1])
    return call.target.href(at.path, is_folder=bool(at.node.is_folder))


class Entries:
    """The response elements of one answer. All entries of a kind have one line, so that each is one ``%``."""

    def __init__(self, call: Call, asked: Wish) -> None:
        self._target, self._asked = call.target, asked
        self._lines: dict[Kind, Template] = {}
        self._folder: tuple[str, ...] | None = None
        self._prefix = ""
        """Href of that folder: most entries lie in one."""

    def of(self, shown: Shown) -> str:
        place = shown.place
        node = place.node
        href = self._href(place)
        if self._asked.kind == "names":
            return xml.response(href, [xml.propstat(properties.all_names(shown), "200 OK")])
        if node.properties:
            return xml.response(href, xml.propstats(*self._own(shown)))
        kind = properties.kind_of(shown)
        line = self._lines.get(kind) or self._line(kind)
        return line.text % (href, *[value(shown) for value in line.values])

    def _href(self, place: Place) -> str:
        if not place.path:
            return self._target.href((), is_folder=True)
        folder = place.path[:-1]
        if folder != self._folder:
            self._folder, self._prefix = folder, self._target.href(folder, is_folder=True)
        return f"{self._prefix}{paths.quoted(place.path[-1])}{'/' if place.node.is_folder else ''}"

    def _own(self, shown: Shown) -> tuple[str, str]:
        """Of a node that has properties which clients set."""
        return properties.render(shown, self._asked.names, is_all=self._asked.kind == "all")

    def _line(self, kind: Kind) -> Template:
        """A template of the whole element; its first value is the href."""
        live = properties.template(self._asked.names, kind)
        absent = "" if self._asked.kind == "all" else "".join(map(xml.empty, live.absent))
        # A namespace is the client's word, and may hold a sign that formats.
        text = xml.response("%s", xml.propstats(live.text, absent.replace("%", "%%")))
        made = self._lines[kind] = live._replace(text=text)
        return made
