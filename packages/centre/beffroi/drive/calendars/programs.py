"""Radicale's answers, where a program that people use needs another one.

Process: calendars.
Source:  the sources of Thunderbird, Evolution, KDE's DAV resource, CalDav Synchronizer; docs/internals/calendars.md,
         "Programs".
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]
from radicale import app, httputils
from radicale.app import propfind, put
from radicale.storage import BaseCollection

from beffroi.drive.calendars import rooms, wire
from beffroi.drive.calendars.zone_names import LOCAL

LOGIN_KEY = "beffroi.login"
"""Of the WSGI environment: the address of sign-in of who asks."""
_THUNDERBIRD = "Thunderbird/"
_TOKEN = b"valid-sync-token"
_ADDRESSES = "{urn:ietf:params:xml:ns:caldav}calendar-user-address-set"
_HREF = "{DAV:}href"
_LENGTH, _MAX_LENGTH = "{DAV:}getcontentlength", "{urn:ietf:params:xml:ns:caldav}max-resource-size"
_OF_ADDRESSES = "@!$'*+"
"""Signs of an address that stand in mailto: as they are (RFC 6068)."""


_prepare, _answer = put.prepare, propfind.xml_propfind_response


class ItemTooLong(BaseException):
    """As it would be stored. No ``Exception``: Radicale would answer it as a mistake of its own (``effort.Spent``)."""


def install() -> None:
    """Twice does nothing more than once."""
    put.prepare = _prepared  # type: ignore[assignment]
    propfind.xml_propfind_response = _answered  # type: ignore[assignment]


def _prepared(*asked: Any) -> Any:
    """What is too long Radicale marks by an OverflowError that says nothing, and answers as a conflict; so it did with
    those of times that no calendar has. A program takes that for changed elsewhere, and drops what was typed."""
    *made, error = _prepare(*asked)
    if error is not None and error[0] is OverflowError:
        if not error[1].args:
            raise ItemTooLong
        error = (ValueError, *error[1:])
    return (*made, error)


def _answered(
    application: Any, base: str, path: str, item: Any, props: list[str], *asked: Any, **options: Any
) -> Element:
    """A calendar or address book has no length, as with other servers: to tell one, Radicale wrote down all of it."""

    def answer(props: list[str], **more: Any) -> Element:
        return _answer(application, base, path, item, props, *asked, **(options | more))

    if not isinstance(item, BaseCollection):
        return answer(props)
    if options["allprop"] or options["propname"]:
        names = answer([], allprop=False, propname=True)
        for prop in names.iter("{DAV:}prop"):
            for one in prop.findall(_LENGTH):
                prop.remove(one)
        if options["propname"]:
            return names
        props = [one.tag for prop in names.iter("{DAV:}prop") for one in prop if one.tag != _MAX_LENGTH]
    found = answer([one for one in props if one != _LENGTH], allprop=False)
    if _LENGTH in props:
        absent = SubElement(found, "{DAV:}propstat")
        SubElement(SubElement(absent, "{DAV:}prop"), _LENGTH)
        SubElement(absent, "{DAV:}status").text = "HTTP/1.1 404 Not Found"
    return found


class Application(app.Application):
    """Radicale's, with these differences."""

    def do_MOVE(self, environ: Any, *asked: Any) -> Any:  # noqa: N802 - Radicale's
        """``asked``: base_prefix, path, user, user_groups, request_info."""
        with self._rights.moving(asked[3]):  # type: ignore[attr-defined]
            try:
                return super().do_MOVE(environ, *asked)
            except rooms.Booked as error:
                return _is_booked(error.booking)

    def do_PUT(self, environ: Any, *asked: Any) -> Any:  # noqa: N802 - Radicale's
        try:
            return super().do_PUT(environ, *asked)
        except rooms.Booked as error:
            return _is_booked(error.booking)

    def do_PROPFIND(self, environ: Any, *asked: Any) -> Any:  # noqa: N802 - Radicale's
        """A person has an address, by which programs know them among guests; Radicale tells a path."""
        try:
            status, headers, answer, xml = super().do_PROPFIND(environ, *asked)
        except IndexError:  # a question in which nothing stands
            return httputils.BAD_REQUEST
        if isinstance(answer, bytes) and b"calendar-user-address-set" in answer:
            answer = _with_address(answer, environ[LOGIN_KEY])
        return status, headers, answer, xml

    def do_REPORT(self, environ: Any, *asked: Any) -> Any:  # noqa: N802 - Radicale's
        """An address book in Thunderbird begins anew after 400 alone: 403, which RFC 6578 has for a sync token that is
        not known any more, ends its synchronization for good (CardDAVDirectory, updateAllFromServerV2)."""
        try:
            status, headers, answer, xml = super().do_REPORT(environ, *asked)
        except AssertionError:
            # An empty address, free times of no time: Radicale supposes that nobody asks so.
            return httputils.BAD_REQUEST
        # An answer in text is another 403: there is no right to read.
        is_of_token = status == HTTPStatus.FORBIDDEN and isinstance(answer, bytes) and _TOKEN in answer
        if is_of_token and _THUNDERBIRD in environ.get("HTTP_USER_AGENT", ""):
            status = HTTPStatus.BAD_REQUEST
        return status, headers, answer, xml


def _is_booked(booking: wire.Booking) -> Any:
    """403: a conflict or a precondition is one with another version of the entry, which programs fetch then."""
    times = (one.astimezone(LOCAL).strftime("%Y-%m-%d %H:%M") for one in (booking.starts, booking.ends))
    said = f"« {booking.of} » est déjà pris : {' - '.join(times)}, « {booking.title} ».\n"
    return HTTPStatus.FORBIDDEN, (("Content-Type", "text/plain"),), said, None


def _with_address(answer: bytes, login: str) -> bytes:
    """Before the path: some programs take what comes first."""
    root = fromstring(answer)
    for addresses in root.iter(_ADDRESSES):
        if len(addresses):
            address = Element(_HREF)
            address.text = f"mailto:{quote(login, safe=_OF_ADDRESSES)}"
            addresses.insert(0, address)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written
