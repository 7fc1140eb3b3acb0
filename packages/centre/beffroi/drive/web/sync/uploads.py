"""Large files in parts (Nextcloud's chunked upload, both versions): a folder, parts in it by number or name, and its
end as a file.

Rule:    parts are kept as they come; a client that was interrupted lists them and goes on. The end reads the joined
         file back once: its SHA-1 and SHA-256 come from what is stored, and are compared with what the client says.
Hostile: names of uploads, numbers, sizes, bodies.
Source:  docs/internals/drive-sync.md; Nextcloud's developer manual, "Chunked file upload".
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import quote

from beffroi.drive.store import names, part_names, tree, uploads
from beffroi.drive.store.model import AbsentNode, Changed, Node
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place
from beffroi.drive.web.dav import content as files
from beffroi.drive.web.dav import xml
from beffroi.drive.web.dav.call import Call, Exists, MethodRefused
from beffroi.drive.web.dav.paths import SAFE
from beffroi.drive.web.messages import Answer
from beffroi.drive.web.streams import read_back
from beffroi.drive.web.sync.call import own
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError

PREFIX = "/remote.php/dav/uploads"
END = ".file"


class SizeDiffers(BeffroiError):
    """The parts together are not as long as the file that was announced; send what is missing."""

    code = "drive.size_differs"
    http_status = 400


class ChecksumDiffers(BeffroiError):
    """What arrived is not what was sent, by its checksum; send it again."""

    code = "drive.checksum_differs"
    http_status = 400


async def handle(call: Call) -> Answer:
    upload, _, part = own(call.request.path, PREFIX, call).partition("/")
    if not upload:
        raise AbsentNode("upload")
    upload, method = names.normal(upload), call.request.method
    if part == END and method == "MOVE":
        return await _finish(call, upload)
    if part and method == "PUT":
        return await _put(call, upload, part)
    if not part and method in _OF_FOLDERS:
        return await _OF_FOLDERS[method](call, upload)
    raise MethodRefused(*(("MOVE",) if part == END else ("PUT",) if part else _OF_FOLDERS))


async def _begin(call: Call, upload: str) -> Answer:
    _refuse_early(call)
    await call.view.database.write_async(lambda w: uploads.begin(w, call.act, upload))
    return Answer(201)


async def _list(call: Call, upload: str) -> Answer:
    """What arrived, so that the client sends the rest."""
    await call.request.body(xml.MAX_BODY_BYTES)
    with call.view.database.reading() as reading:
        parts = uploads.parts(reading, call.who.person_id, upload)
    base = quote(f"{PREFIX}/{call.who.login}/{upload}/", safe=SAFE)
    folder = "<d:resourcetype><d:collection/></d:resourcetype>"
    out = [xml.response(base, [xml.propstat(folder, "200 OK")])]
    if call.depth("1") != "0":
        for one in parts:
            inside = f"<d:resourcetype/><d:getcontentlength>{one.size_bytes}</d:getcontentlength>"
            out.append(xml.response(f"{base}{_label(one)}", [xml.propstat(inside, "200 OK")]))
    return xml.multistatus(out)


async def _abort(call: Call, upload: str) -> Answer:
    await call.view.database.write_async(lambda w: uploads.abort(w, call.act, upload))
    return Answer(204)


_OF_FOLDERS = {"MKCOL": _begin, "PROPFIND": _list, "DELETE": _abort}


async def _put(call: Call, upload: str, part: str) -> Answer:
    request = call.request
    part_names.number(part)
    with call.view.database.reading() as reading:
        uploads.parts(reading, call.who.person_id, upload)  # before a body is taken in for nothing
    _refuse_early(call)
    content = await files.receive(call, request.chunks(), request.count(b"content-length"))
    await call.view.database.write_async(lambda w: uploads.put_named(w, call.act, upload, part, content))
    etag = f'"{content.sha1}"'.encode()
    return Answer(201, ((b"etag", etag), (b"oc-etag", etag)))


async def _finish(call: Call, upload: str) -> Answer:
    database, request = call.view.database, call.request
    target, mtime_s = call.destination(), files.announced_mtime_s(request)
    there, path = await asyncio.to_thread(call.towards, call, target), target.path
    joined = await asyncio.to_thread(uploads.joined, database, call.who.person_id, upload)
    with there.view.database.reading() as reading:
        _, before = _place_of(there, reading, path)
    total = request.count(b"oc-total-length")
    # Who says no length and sent nothing makes a new empty file (nc-py-api does), but empties none.
    empties = not joined.size_bytes and before is not None and before.node.size_bytes > 0
    if empties if total is None else total != joined.size_bytes:
        raise SizeDiffers
    begun_s = clock.steady_s()
    content = await read_back(call.bodies, joined)
    if content.differs_from(request.header(b"oc-checksum")):
        raise ChecksumDiffers

    if there.view is not call.view:
        node, is_new = await _send_on(call, there, upload, joined, mtime_s, begun_s=begun_s)
        return there.put(node, is_new=is_new, mtime_s=mtime_s)
    await request.ask_again(begun_s)

    def change(writing: Writing) -> tuple[Node, bool]:
        parent, before = _place_of(there, writing, path)
        name = before.node.name if before is not None else path[-1]
        return uploads.finish(
            writing, call.act, upload, joined, content, parent=parent.node.id, name=name, mtime_s=mtime_s
        )

    node, is_new = await database.write_async(change)
    return there.put(node, is_new=is_new, mtime_s=mtime_s)


async def _send_on(
    call: Call, there: Call, upload: str, joined: uploads.Joined, mtime_s: int | None, *, begun_s: float
) -> tuple[Node, bool]:
    """Into what another collectivité shares: sealed anew with its key, kept by its rules; then the parts go. A part
    that is sent anew meanwhile is not lost: it refuses the end, or stays where it comes after it."""
    person_id = call.who.person_id
    pieces = call.bodies.read(joined, 0, joined.size_bytes)
    content, path = await there.bodies.receive(pieces, joined.size_bytes), there.target.path
    await call.request.ask_again(begun_s)
    if await asyncio.to_thread(uploads.joined, call.view.database, person_id, upload) != joined:
        raise Changed

    def change(writing: Writing) -> tuple[Node, bool]:
        parent, before = _place_of(there, writing, path)
        name = before.node.name if before is not None else path[-1]
        return tree.put(writing, call.act, parent.node.id, name, content, mtime_s=mtime_s)

    put = await there.view.database.write_async(change)
    with suppress(Changed, uploads.AbsentUpload):
        await call.view.database.write_async(lambda w: uploads.end(w, call.act, upload, joined))
    return put


def _place_of(there: Call, reading: Reading, path: tuple[str, ...]) -> tuple[Place, Place | None]:
    """As ``content.place_of``. Errors also: Exists."""
    parent, before = files.place_of(there, reading, path)
    if before is not None and not there.overwrites():
        raise Exists
    return parent, before


def _refuse_early(call: Call) -> None:
    """Before hours of sending, where the client says where to and how much. Errors: QuotaFull, ReadOnly and more."""
    total = call.request.count(b"oc-total-length")
    if not call.request.header(b"destination") or total is None:
        return
    path = call.destination().path
    with call.view.database.reading() as reading:
        if call.home.towards(reading, path) is not call.home:
            return  # the other collectivité is asked once, at the end
        before = call.view.find(reading, path)
        parent = call.parent(reading, path)
        files.refuse_full(reading, parent.node, total - (before.node.size_bytes if before is not None else 0))


def _label(part: uploads.Part) -> str:
    return quote(part.name, safe=SAFE) if part.name else f"{part.number:05d}"
