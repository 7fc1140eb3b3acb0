"""XML of WebDAV: reading bodies of clients, and the pieces that answers are made of.

Hostile: bodies. No entity, no DTD, no network, no huge tree; limits of size and of names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import quoteattr

from lxml import etree

from beffroi.drive.web.messages import XML, Answer, Header, Request
from beffroi.lib.errors import BeffroiError

MAX_BODY_BYTES = 256 * 1024
MAX_NAMES = 512
MAX_NAMES_CHARS = 16 * 1024
"""Of all names of a question with their namespaces: an answer repeats them for each entry of a folder."""
DAV, OC, NC = "DAV:", "http://owncloud.org/ns", "http://nextcloud.org/ns"
OCS = "http://open-collaboration-services.org/ns"
MULTISTATUS = (
    '<?xml version="1.0" encoding="utf-8"?>\n<d:multistatus xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns"'
    f' xmlns:oc="{OC}" xmlns:nc="{NC}" xmlns:x1="{OCS}">'
)
END = "</d:multistatus>"
_PREFIXES: Mapping[str, str] = {DAV: "d", OC: "oc", NC: "nc", OCS: "x1"}
"""iOS reads names with their prefixes, as Nextcloud writes them."""
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

type Name = tuple[str, str]
"""(namespace, local name) of a property."""
type Element = etree._Element


class XmlRefused(BeffroiError):
    """The body of this request is no XML that can be read here."""

    code = "drive.xml_refused"
    http_status = 400


def parse(body: bytes, root: str, space: str = DAV) -> Element:
    """The root element, which must be ``root`` of this namespace. Errors: XmlRefused."""
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        found = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise XmlRefused from None
    if found.getroottree().docinfo.internalDTD is not None or found.tag != f"{{{space}}}{root}":
        raise XmlRefused
    return found


async def read(request: Request, root: str) -> Element | None:
    """The body of a request; None for an empty one. Errors: XmlRefused, TooLarge, ClientGone."""
    body = await request.body(MAX_BODY_BYTES)
    return parse(body, root) if body.strip() else None


def name_of(element: Element) -> Name:
    name = etree.QName(element)
    return name.namespace or "", name.localname


def children(element: Element) -> list[Element]:
    """Errors: XmlRefused (too many)."""
    found = [one for one in element if isinstance(one.tag, str)]
    if len(found) > MAX_NAMES:
        raise XmlRefused
    return found


def names(element: Element) -> tuple[Name, ...]:
    """Errors: XmlRefused (too many, or too long together)."""
    found = tuple(name_of(one) for one in children(element))
    require_short(found)
    return found


def require_short(names: Iterable[Name]) -> None:
    """Errors: XmlRefused."""
    if sum(len(space) + len(local) for space, local in names) > MAX_NAMES_CHARS:
        raise XmlRefused


def source(element: Element) -> str:
    """The element as text that stands alone: with its namespaces and its language, also where they are said above it
    (RFC 4918, section 4.3)."""
    spoken = next(
        (one.get(_LANGUAGE) for one in (element, *element.iterancestors()) if one.get(_LANGUAGE)), None
    )
    if spoken is not None:
        element.set(_LANGUAGE, spoken)
    text: str = etree.tostring(element, encoding="unicode", with_tail=False)
    return text


def empty(name: Name) -> str:
    namespace, local = name
    if not namespace:
        return f'<{local} xmlns=""/>'
    if namespace in _PREFIXES:
        return f"<{_PREFIXES[namespace]}:{local}/>"
    return f"<x:{local} xmlns:x={quoteattr(namespace)}/>"


def propstat(properties: str, status: str) -> str:
    """``status``: code and words, as in "200 OK"."""
    return f"<d:propstat><d:prop>{properties}</d:prop><d:status>HTTP/1.1 {status}</d:status></d:propstat>"


def propstats(found: str, absent: str) -> list[str]:
    """Of what there is, and of the names of what there is not; as ``properties`` of ``propstat``."""
    stats = [propstat(found, "200 OK")] if found or not absent else []
    return [*stats, propstat(absent, "404 Not Found")] if absent else stats


def response(href: str, inner: Iterable[str]) -> str:
    """``href``: quoted as ``Target.href`` does."""
    return f"<d:response><d:href>{href}</d:href>{''.join(inner)}</d:response>"


def multistatus(elements: Iterable[str], *headers: Header) -> Answer:
    """``elements``: as ``response`` makes them."""
    return Answer(207, (XML, *headers), f"{MULTISTATUS}{''.join(elements)}{END}".encode())
