"""PROPPATCH: dates, the star, and properties that clients keep beside a file. All of a request is done, or nothing."""

from __future__ import annotations

from typing import NamedTuple

from beffroi.drive.store import favourites, tree
from beffroi.drive.store.model import ReadOnly
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place
from beffroi.drive.web.dav import conditions, properties, xml
from beffroi.drive.web.dav.call import Call
from beffroi.drive.web.dav.content import LATEST_MTIME_S
from beffroi.drive.web.dav.listing import CLASSES
from beffroi.drive.web.dav.xml import Element, Name
from beffroi.drive.web.messages import Answer
from beffroi.lib import digits
from beffroi.lib.errors import BeffroiError

_WIN32_MTIME = ("urn:schemas-microsoft-com:", "Win32LastModifiedTime")
_MTIMES = {(xml.DAV, "getlastmodified"), (xml.DAV, "lastmodified"), _WIN32_MTIME}
_SETTABLE = {*_MTIMES, properties.FAVOURITE}


class PropertiesTooLarge(BeffroiError):
    """The properties of this file would take too much room."""

    code = "drive.properties_too_large"
    http_status = 507


class Step(NamedTuple):
    """``sets``: else the property is removed."""

    sets: bool
    name: Name
    element: Element


class Patch:
    """What a request asks for. ``refused``: ours alone to say. ``unread``: dates that none are."""

    def __init__(self, steps: list[Step]) -> None:
        self._steps = steps
        self.names = list(dict.fromkeys(one.name for one in steps))
        self.refused = {
            name for name in self.names if name in properties.PROPERTIES and name not in _SETTABLE
        }
        # Windows' own is kept as it came, too; of the others nothing would be left.
        self.unread = {
            one.name
            for one in steps
            if one.sets and one.name in _MTIMES - {_WIN32_MTIME} and _mtime_s(one.element) is None
        }
        stars = [one.sets and _is_true(one.element) for one in steps if one.name == properties.FAVOURITE]
        self.star = stars[-1] if stars else None
        self.is_of_the_file = any(name != properties.FAVOURITE for name in self.names)
        """Not of the star alone, which is this person's: they may set it where they only read."""

    @property
    def is_done(self) -> bool:
        return not (self.refused or self.unread)

    def write(self, writing: Writing, call: Call, place: Place) -> None:
        """Errors: PropertiesTooLarge, those of ``tree``."""
        kept = properties.dead(place.node.properties)
        for sets, name, element in self._steps:
            if sets and (name not in _SETTABLE or name == _WIN32_MTIME):
                kept[name] = xml.source(element)
            elif not sets:
                kept.pop(name, None)
        packed = properties.packed(kept)
        if len(packed.encode()) > properties.MAX_DEAD_BYTES:
            raise PropertiesTooLarge
        mtime_s = next(
            (_mtime_s(one.element) for one in self._steps if one.sets and one.name in _MTIMES), None
        )
        tree.set_properties(writing, call.act, place.node.id, packed, mtime_s=mtime_s)

    def answer(self) -> list[str]:
        """What became of each property, as XML."""
        if self.is_done:
            return [xml.propstat(_named(self.names), "200 OK")]
        bad, odd = ([name for name in self.names if name in some] for some in (self.refused, self.unread))
        rest = [name for name in self.names if name not in self.refused | self.unread]
        protected = (
            f"<d:propstat><d:prop>{_named(bad)}</d:prop><d:status>HTTP/1.1 403 Forbidden</d:status>"
            "<d:error><d:cannot-modify-protected-property/></d:error></d:propstat>"
        )
        return [
            *([protected] if bad else []),
            *([xml.propstat(_named(odd), "409 Conflict")] if odd else []),
            *([xml.propstat(_named(rest), "424 Failed Dependency")] if rest else []),
        ]


async def proppatch(call: Call) -> Answer:
    body = await xml.read(call.request, "propertyupdate")
    if body is None:
        raise xml.XmlRefused
    patch = Patch(_steps(body))
    is_own = call.view is call.home

    def look_up(reading: Reading) -> Place:
        place = call.view.place(reading, call.target.path)
        if patch.is_of_the_file and not place.rights.may_write:
            raise ReadOnly
        call.check(reading, place)
        return place

    def put_star(home: Writing, place: Place) -> None:
        if patch.is_done and patch.star is not None:
            favourites.set_star(home, call.who, (place.owner, place.node.id), starred=patch.star)

    def change(writing: Writing) -> Place:
        place = look_up(writing)
        if patch.is_done and patch.is_of_the_file:
            patch.write(writing, call, place)
        if is_own:
            put_star(writing, place)
        return place

    if is_own or patch.is_of_the_file:
        place = await call.view.database.write_async(change)
    else:  # nothing is written where another collectivité's files lie
        with call.view.database.reading() as reading:
            place = look_up(reading)
    if not is_own and patch.star is not None:
        await call.home.database.write_async(lambda writing: put_star(writing, place))
    href = call.target.href(place.path, is_folder=bool(place.node.is_folder))
    return xml.multistatus([xml.response(href, patch.answer())], CLASSES)


def _steps(body: Element) -> list[Step]:
    """In the order of the document. Errors: XmlRefused."""
    out = []
    for step in xml.children(body):
        kind = xml.name_of(step)
        if kind not in ((xml.DAV, "set"), (xml.DAV, "remove")):
            continue
        for holder in xml.children(step):
            if xml.name_of(holder) == (xml.DAV, "prop"):
                out += [Step(kind[1] == "set", xml.name_of(one), one) for one in xml.children(holder)]
    if not out or len(out) > xml.MAX_NAMES:
        raise xml.XmlRefused
    xml.require_short(one.name for one in out)
    return out


def _named(names: list[Name]) -> str:
    return "".join(map(xml.empty, names))


def _is_true(element: Element) -> bool:
    return (element.text or "").strip().lower() in ("1", "true", "yes")


def _mtime_s(element: Element) -> int | None:
    """None for what no file is given: a listing that names a day beyond the calendar could not be answered at all."""
    text = (element.text or "").strip()
    found = digits.number(text, 10)
    if found is None:
        found = conditions.date_s(text)
    return found if found is not None and 0 < found < LATEST_MTIME_S else None
