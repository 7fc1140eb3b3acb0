"""GET, HEAD and PUT: content out by ranges, content in as a stream.

Hostile: bodies of any length and pace. Nothing of one is visible before it is whole and committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

from beffroi.drive.store import look, room, tree
from beffroi.drive.store.chunking import INLINE_BYTES
from beffroi.drive.store.model import Content, Node
from beffroi.drive.store.names import content_type
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place
from beffroi.drive.web.dav import conditions, walk
from beffroi.drive.web.dav.call import ON_FOLDERS, Call, MethodRefused
from beffroi.drive.web.dav.properties import etag, file_id, http_date
from beffroi.drive.web.given import MOST_ZIPPED, archive, nothing, ranged
from beffroi.drive.web.messages import Answer, Header, Request
from beffroi.lib.errors import BeffroiError, Invalid

LATEST_MTIME_S = 1 << 36
AUTO_MKCOL = b"x-nc-webdav-auto-mkcol"
"""On a PUT: folders on the way are made. iOS sends pictures into folders by year and month so."""
FOLDER_TEXT = (
    "Ce dossier se lit avec l’application de synchronisation, ou un explorateur de fichiers (WebDAV).\n"
)
# Files are people's, and lie under the portal's name: no browser may run what is in one.
_HARMLESS: tuple[Header, ...] = (
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-disposition", b"attachment"),
    (b"cache-control", b"private, no-cache"),
)


class BodyDiffers(BeffroiError):
    """What arrived is not what was announced: another length, or another checksum."""

    code = "drive.body_differs"
    http_status = 400


class PartialPut(BeffroiError):
    """A part of a file cannot be written by PUT (Content-Range)."""

    code = "drive.partial_put"
    http_status = 400


# -- out -----------------------------------------------------------------------------------------------------


async def get(call: Call) -> Answer:
    with call.view.database.reading() as reading:
        place = call.view.place(reading, call.target.path)
        if not conditions.holds(call.clauses, lambda resource: call.state(reading, resource)):
            raise conditions.ConditionFailed
        if not place.node.is_folder:
            return file(call, place, reading)
    if _wants_zip(call.request):
        return await asyncio.to_thread(_zip, call, place)
    text = FOLDER_TEXT.encode()
    headers = [
        *_HARMLESS,
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"etag", etag(place).encode()),
        (b"content-length", str(len(text)).encode()),
    ]
    return Answer(200, headers, b"" if call.request.method == "HEAD" else text)


def file(call: Call, place: Place, reading: Reading | None = None) -> Answer:
    """The content of a file, whole or a range. ``reading``: as ``Bodies.lend``. Errors: ConditionFailed, Frozen."""
    request, node, tag = call.request, place.node, etag(place)
    headers: list[Header] = [
        *_HARMLESS,
        (b"etag", tag.encode()),
        (b"last-modified", http_date(node.mtime_s).encode()),
        (b"accept-ranges", b"bytes"),
    ]
    if conditions.is_outdated(request.header, tag, node.mtime_s):
        raise conditions.ConditionFailed
    if _is_known(request, tag, node.mtime_s):  # RFC 9110, section 13.2.2: after those that fail
        return Answer(304, headers)
    headers += [
        (b"content-type", content_type(node.name).encode("ascii", "replace")),
        (b"oc-etag", tag.encode()),
        (b"oc-fileid", file_id(node.id, call.instance).encode()),
    ]
    if node.sha1:
        headers.append((b"oc-checksum", f"SHA1:{node.sha1}".encode()))
    lend = partial(call.bodies.lend, node, reading=reading)
    return ranged(request, _range(request, tag, node.mtime_s), headers, node.size_bytes, lend)


def _wants_zip(request: Request) -> bool:
    """As sync clients ask for a folder as one file."""
    return "application/zip" in {
        one.partition(";")[0].strip() for one in request.header(b"accept").split(",")
    }


def _zip(call: Call, top: Place) -> Answer:
    """The folder with all that lies below it, as it is sent. Errors: TooMuchBelow, Frozen."""
    with call.view.database.reading() as reading:
        found = [top, *walk.below(call.view, reading, top, walk.EVERYTHING, MOST_ZIPPED - 1)]
    above = max(0, len(top.path) - 1)
    named = (("/".join(one.path[above:]) + ("/" if one.node.is_folder else ""), one.node) for one in found)
    entries = [(path, node) for path, node in named if path != "/"]
    answer = archive(call.bodies, entries, top.path[-1] if top.path else "Coffre")
    return replace(answer, body=nothing()) if call.request.method == "HEAD" else answer


def _is_known(request: Request, tag: str, mtime_s: int) -> bool:
    none_match = request.header(b"if-none-match")
    if none_match:
        return conditions.names_etag(none_match, tag)
    since_s = conditions.date_s(request.header(b"if-modified-since"))
    return since_s is not None and mtime_s <= since_s


def _range(request: Request, tag: str, mtime_s: int) -> str:
    """The header Range, unless If-Range says that the client's part is of another state. It means nothing for HEAD."""
    condition = request.header(b"if-range").strip()
    is_same = not condition or condition == tag or conditions.date_s(condition) == mtime_s
    return request.header(b"range") if is_same and request.method == "GET" else ""


# -- in ------------------------------------------------------------------------------------------------------


async def put(call: Call) -> Answer:
    request = call.request
    if b"content-range" in request.headers:
        raise PartialPut
    mtime_s, announced = announced_mtime_s(request), announced_bytes(request)
    path, makes_folders = call.target.path, request.header(AUTO_MKCOL).strip() == "1"
    # Of a small one that comes anyway, the change alone judges.
    if announced is None or announced > INLINE_BYTES or b"expect" in request.headers:
        with call.view.database.reading() as reading:
            parent, _ = place_of(call, reading, _first_absent(call, reading, path) if makes_folders else path)
            refuse_full(reading, parent.node, announced or 0)
    content = await receive(call, request.chunks(), announced)

    def change(writing: Writing) -> tuple[Node, bool]:
        while makes_folders and (absent := _first_absent(call, writing, path)) != path:
            call.free(absent)
            folder = call.parent(writing, absent)
            tree.make_folder(writing, call.act, folder.node.id, absent[-1])
        parent, before = place_of(call, writing, path)
        # What is shared alone may have another name here than with its owner.
        name = before.node.name if before is not None else path[-1]
        return tree.put(writing, call.act, parent.node.id, name, content, mtime_s=mtime_s)

    node, is_new = await call.view.database.write_async(change, is_quick=True)
    return call.put(node, is_new=is_new, mtime_s=mtime_s)


def _first_absent(call: Call, reading: Reading, path: tuple[str, ...]) -> tuple[str, ...]:
    """The first folder on the way to a file that is not there; the file itself where all are."""
    absent = path
    while len(absent) > 1 and call.view.find(reading, absent[:-1]) is None:
        absent = absent[:-1]
    return absent


def place_of(call: Call, reading: Reading, path: tuple[str, ...]) -> tuple[Place, Place | None]:
    """(the folder, the file that is there). Errors: those of ``Call``, MethodRefused (a folder is there)."""
    before = call.view.find(reading, path)
    if before is not None and before.node.is_folder:
        raise MethodRefused(*ON_FOLDERS)
    parent = call.parent(reading, path)
    if before is None:
        call.free(path)
    call.check(reading, before)
    return parent, before


async def receive(call: Call, pieces: AsyncIterator[bytes], announced: int | None) -> Content:
    """Take a body in and compare it with what was announced of it.

    Errors: BodyDiffers, ClientGone, StoreFull, Unavailable.
    """
    content = await call.bodies.receive(pieces, announced)
    if announced is not None and content.size_bytes != announced:
        raise BodyDiffers
    if content.differs_from(call.request.header(b"oc-checksum")):
        raise BodyDiffers
    return content


def announced_bytes(request: Request) -> int | None:
    """The length of the body, where the client says it. Errors: Invalid."""
    names = (b"content-length", b"x-expected-entity-length", b"oc-total-length")
    said = {count for name in names if (count := request.count(name)) is not None}
    if len(said) > 1:
        raise Invalid("Content-Length")
    return said.pop() if said else None


def announced_mtime_s(request: Request) -> int | None:
    """Errors: Invalid."""
    header = request.header(b"x-oc-mtime").strip()
    if not header:
        return None
    try:
        found = int(float(header))
    except (ValueError, OverflowError):
        raise Invalid("X-OC-Mtime") from None
    if not 0 < found < LATEST_MTIME_S:
        raise Invalid("X-OC-Mtime")
    return found


def refuse_full(reading: Reading, folder: Node, growth_bytes: int) -> None:
    """Before the body comes; the content before it stays, as a version. Errors: QuotaFull, TooManyEntries."""
    room.require(reading, look.above(reading, folder.id)[-1].id, growth_bytes)
