"""A client of TAXII 2.1: the indicators of an API root's collections, page by page.

Process: fetch's child. Input: hostile JSON, bounded by the source's size and by ``MAX_PAGES``.
Address: an API root (``https://HOST/ROOT/``), or one collection (``.../collections/ID/``).
Source:  TAXII 2.1, OASIS Standard, sections 3.4, 4.2, 5.1 and 5.4.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import msgspec

from beffroi.watch.sources.errors import NothingInIt, Unreadable
from beffroi.watch.sources.formats import stix
from beffroi.watch.sources.formats.misp import decode
from beffroi.watch.sources.formats.values import Found
from beffroi.watch.sources.handover import Ask
from beffroi.watch.sources.web import Web

MEDIA_TYPE = "application/taxii+json;version=2.1"
PAGE = 1000
MAX_PAGES = 2000
MAX_COLLECTIONS = 50


class _Collection(msgspec.Struct):
    id: str
    title: str = ""
    can_read: bool = False


class _Collections(msgspec.Struct):
    collections: list[_Collection] = []


class _Envelope(msgspec.Struct):
    more: bool = False
    next: str = ""
    objects: list[stix.Object] = []


def read(ask: Ask, web: Web, *, now_s: int) -> Found:
    """Read every indicator of the chosen collections. Errors: SourceError."""
    root = ask.address if urlsplit(ask.address).path.endswith("/") else ask.address + "/"
    objects: list[stix.Object] = []
    for collection in _chosen(ask, web, root):
        objects += _objects(web, collection)
    return stix.of_objects(objects, now_s=now_s)


def _chosen(ask: Ask, web: Web, root: str) -> list[str]:
    if "/collections/" in urlsplit(root).path:
        return [root]
    answer = decode(web.get(root + "collections/", accept=MEDIA_TYPE).body, _Collections)
    readable = [one for one in answer.collections if one.can_read]
    wanted = [one for one in readable if not ask.collections or {one.id, one.title} & set(ask.collections)]
    if not wanted:
        raise NothingInIt(": no such collection may be read")
    return [f"{root}collections/{quote(one.id, safe='')}/" for one in wanted[:MAX_COLLECTIONS]]


def _objects(web: Web, collection: str) -> list[stix.Object]:
    found: list[stix.Object] = []
    seen: set[str] = set()
    place = ""
    for _ in range(MAX_PAGES):
        query = f"objects/?limit={PAGE}&match%5Btype%5D=indicator"
        page = web.get(
            collection + query + (f"&next={quote(place, safe='')}" if place else ""), accept=MEDIA_TYPE
        )
        envelope = decode(page.body or b"{}", _Envelope)
        found += envelope.objects
        if not envelope.more:
            return found
        place = envelope.next
        if not place or place in seen:
            raise Unreadable("its pages lead in a circle")
        seen.add(place)
    raise Unreadable("too many pages")
