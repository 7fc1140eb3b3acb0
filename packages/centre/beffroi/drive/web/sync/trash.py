"""What was deleted, for sync clients: a list, and back to where it was.

Rule:    a person sees what was deleted from their own folder; who may write in the collectivité's folder, what was
         deleted there, too. Nothing goes for good by an app password: a device that deletes all files and then empties
         the trash would leave nothing to bring back. A person does it in the portal; terms do.
Source:  docs/internals/drive-sync.md; Nextcloud's developer manual, "Trashbin".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote
from xml.sax.saxutils import escape

from beffroi.drive.store import look, trash
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.store.names import content_type
from beffroi.drive.store.trash import Trashed
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import COMMON_NAME
from beffroi.drive.web.dav import properties, xml
from beffroi.drive.web.dav.call import Call, MethodRefused
from beffroi.drive.web.dav.paths import SAFE
from beffroi.drive.web.dav.xml import DAV, NC, OC, Name
from beffroi.drive.web.given import Body
from beffroi.drive.web.messages import Answer
from beffroi.drive.web.sync.call import asked, entry, own, require_restore
from beffroi.lib import digits
from beffroi.lib.errors import BeffroiError
from beffroi.previews.wire import has_thumbnail

PREFIX = "/remote.php/dav/trashbin"
MOST_LISTED = 5_000
_FOLDER = "<d:collection/>"


class TrashKept(BeffroiError):
    """What lies in the trash is deleted for good in the portal, not by a device."""

    code = "drive.trash_kept"
    http_status = 403


class TrashWhole(BeffroiError):
    """What lies in a deleted folder comes back with that folder."""

    code = "drive.trash_whole"
    http_status = 403


async def handle(call: Call) -> Answer:
    method = call.request.method
    kind, _, item = own(call.request.path, PREFIX, call).partition("/")
    if kind != "trash":
        raise AbsentNode("trash")
    if method == "PROPFIND":
        return await _list(call, item)
    if method == "DELETE":
        if item:
            await asyncio.to_thread(_known, call, item)
        raise TrashKept
    if method == "MOVE" and item:
        if "/" in item:
            await asyncio.to_thread(_known, call, item)
            raise TrashWhole
        return await _restore(call, item)
    raise MethodRefused("PROPFIND", *(("MOVE",) if item else ()))


async def _list(call: Call, item: str) -> Answer:
    names, depth = await asked(call.request), call.depth("1")
    base = quote(f"{PREFIX}/{call.who.login}/trash/", safe=SAFE)

    def look_up() -> Answer:
        with call.view.database.reading() as reading:
            if item:
                found = _opened(call, reading, item, with_inside=depth != "0")
            else:
                listed = _all(call, reading) if depth != "0" else ()
                found = [(_label(one), one, is_common) for one, is_common in listed]
        entries = [
            entry(base + quote(label, safe=SAFE), _values(call, one, is_common), names)
            for label, one, is_common in found
        ]
        if not item:
            entries.insert(0, entry(base, {(DAV, "resourcetype"): _FOLDER}, names))
        return xml.multistatus(entries)

    return await asyncio.to_thread(look_up)


async def _restore(call: Call, item: str) -> Answer:
    require_restore(call, PREFIX)

    def change(writing: Writing) -> Node:
        found, _ = _find(call, writing, item)
        return trash.restore(writing, call.act, found.root, found.node)

    node = await call.view.database.write_async(change)
    return Answer(201, call.written(node))


def _opened(call: Call, reading: Reading, item: str, *, with_inside: bool) -> list[tuple[str, Trashed, bool]]:
    """(what stands behind the address of the trash, it, whether it is the collectivité's): what ``item`` names, also
    inside a deleted folder, and what lies in it. Errors: AbsentNode."""
    label, _, inside = item.partition("/")
    top, is_common = _find(call, reading, label)
    inner = inside.split("/") if inside else []
    node = look.walk(reading, top.node, inner)
    if node is None:
        raise AbsentNode("file")

    def told(node: Node, path: list[str]) -> tuple[str, Trashed, bool]:
        where = top._replace(
            node=node.id,
            name=path[-1] if path else top.name,
            path="/".join((top.path, *path)),
            is_folder=node.is_folder,
            size_bytes=node.size_bytes,
        )
        return "/".join((label, *path)), where, is_common

    lies_in = look.children(reading, node.id) if with_inside and node.is_folder else []
    return [told(node, inner), *(told(one, [*inner, one.name]) for one in lies_in[:MOST_LISTED])]


def _known(call: Call, item: str) -> None:
    """Errors: AbsentNode."""
    with call.view.database.reading() as reading:
        _opened(call, reading, item, with_inside=False)


def body(call: Call, node_id: int) -> Body:
    """A file that this person sees in the trash, also inside a deleted folder. Errors: AbsentNode."""
    with call.view.database.reading() as reading:
        way = look.above(reading, node_id)
        for root_id, _ in _roots(call, reading) if len(way) > 1 else ():
            with suppress(AbsentNode):
                top = trash.find(reading, root_id, way[-2].id)
                return Body.of(way[0]._replace(name=top.name) if len(way) == 2 else way[0])
    raise AbsentNode("file")


def _roots(call: Call, reading: Reading) -> Iterator[tuple[int, bool]]:
    """(root, whether it is the collectivité's) of which this person sees what was deleted."""
    own, common = call.view.roots(reading)
    yield own.id, False
    if call.view.place(reading, (COMMON_NAME,)).rights.may_write:
        yield common.id, True


def _all(call: Call, reading: Reading) -> Iterator[tuple[Trashed, bool]]:
    for root_id, is_common in _roots(call, reading):
        for one in trash.page(reading, root_id, most=MOST_LISTED):
            yield one, is_common


def _label(one: Trashed) -> str:
    """Clients show the name before ".d" and a number, and send all of it back."""
    return f"{one.name}.d{one.node}"


def _find(call: Call, reading: Reading, item: str) -> tuple[Trashed, bool]:
    """Errors: AbsentNode, also where what it names is somebody else's."""
    name, _, text = item.rpartition(".d")
    number = digits.number(text)
    if number is not None:
        for root_id, is_common in _roots(call, reading):
            try:
                found = trash.find(reading, root_id, number)
            except AbsentNode:
                continue
            if found.name == name:
                return found, is_common
    raise AbsentNode("file")


def _values(call: Call, one: Trashed, is_common: bool) -> dict[Name, str]:
    where = f"{COMMON_NAME}/{one.path}" if is_common else one.path
    values = {
        (DAV, "resourcetype"): _FOLDER if one.is_folder else "",
        (DAV, "displayname"): escape(one.name),
        (DAV, "getlastmodified"): properties.http_date(one.deleted_s),
        (DAV, "getetag"): f"&quot;{one.node:x}-{one.deleted_s:x}&quot;",
        (OC, "id"): properties.file_id(one.node, call.instance),
        (OC, "fileid"): str(one.node),
        (OC, "size"): str(one.size_bytes),
        (OC, "permissions"): "G",
        (NC, "trashbin-filename"): escape(one.name),
        (NC, "trashbin-original-location"): escape(where),
        (NC, "trashbin-deletion-time"): str(one.deleted_s),
        (NC, "has-preview"): properties.flag(not one.is_folder and has_thumbnail(one.name, one.size_bytes)),
    }
    if not one.is_folder:
        values[(DAV, "getcontentlength")] = str(one.size_bytes)
        values[(DAV, "getcontenttype")] = escape(content_type(one.name))
    return values
