"""Earlier contents of a file, for sync clients: a list by the file's number, one of them to read, to bring back.

Rule:    none goes for good by an app password, as nothing of the trash does: a device that rewrites all files and then
         deletes their versions would leave nothing to bring back. A person does it in the portal.
Source:  docs/internals/drive-sync.md; Nextcloud's "Versions" over WebDAV.
"""

from __future__ import annotations

import asyncio
from urllib.parse import quote
from xml.sax.saxutils import escape

from beffroi.drive.store import versions
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.store.names import content_type
from beffroi.drive.store.versions import Version
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place
from beffroi.drive.web.dav import content as files
from beffroi.drive.web.dav import properties, xml
from beffroi.drive.web.dav.call import Call, MethodRefused
from beffroi.drive.web.dav.paths import SAFE
from beffroi.drive.web.dav.xml import DAV, OC, Name
from beffroi.drive.web.given import number
from beffroi.drive.web.messages import Answer
from beffroi.drive.web.sync.call import asked, entry, own, require_restore
from beffroi.lib.errors import BeffroiError

PREFIX = "/remote.php/dav/versions"


class VersionKept(BeffroiError):
    """A version is deleted in the portal, not by a device."""

    code = "drive.version_kept"
    http_status = 403


async def handle(call: Call) -> Answer:
    method = call.request.method
    kind, *parts = own(call.request.path, PREFIX, call).split("/")
    if len(parts) not in (1, 2) or kind != "versions":
        raise AbsentNode("version")
    # Some clients put the instance behind the number, as in oc:id.
    node_id = number(parts[0].removesuffix(call.instance))
    if len(parts) == 1:
        if method == "PROPFIND":
            return await _list(call, parts[0], node_id)
    elif method in ("GET", "HEAD"):
        return _content(call, node_id, number(parts[1]))
    elif method in ("MOVE", "COPY"):
        return await _restore(call, node_id, number(parts[1]))
    elif method == "DELETE":
        await asyncio.to_thread(_find, call, node_id, number(parts[1]))
        raise VersionKept
    raise MethodRefused(*(("PROPFIND",) if len(parts) == 1 else ("GET", "HEAD", "MOVE", "COPY")))


async def _list(call: Call, label: str, node_id: int) -> Answer:
    names, depth = await asked(call.request), call.depth("1")
    base = quote(f"{PREFIX}/{call.who.login}/versions/{label}/", safe=SAFE)

    def look_up() -> Answer:
        with call.view.database.reading() as reading:
            place = _place(call, reading, node_id)
            found = _named(reading, place.node.id) if depth != "0" else {}
        entries = [entry(base, {(DAV, "resourcetype"): "<d:collection/>"}, names)]
        entries += [entry(f"{base}{name}", _values(place, one, name), names) for name, one in found.items()]
        return xml.multistatus(entries)

    return await asyncio.to_thread(look_up)


def _named(reading: Reading, node_id: int) -> dict[int, Version]:
    """By their names, the newest first. A name is the time of change in epoch seconds, as Android takes it for one
    without reading the address; where two have one time, a second more, which is then told as the time, too."""
    out: dict[int, Version] = {}
    name = -1
    for one in sorted(versions.of(reading, node_id), key=lambda one: (one.mtime_s, one.etag)):
        name = max(one.mtime_s, name + 1)
        out[name] = one
    return dict(reversed(out.items()))


def _version(reading: Reading, node_id: int, name: int) -> Version:
    """Errors: VersionAbsent."""
    found = _named(reading, node_id).get(name)
    if found is None:
        raise versions.VersionAbsent("version")
    return found


def _find(call: Call, node_id: int, name: int) -> tuple[Place, Version]:
    """Errors: AbsentNode."""
    with call.view.database.reading() as reading:
        return _place(call, reading, node_id), _version(reading, node_id, name)


def _content(call: Call, node_id: int, name: int) -> Answer:
    place, one = _find(call, node_id, name)
    return files.file(call, place._replace(node=one.of(place.node), etag=one.etag))


async def _restore(call: Call, node_id: int, name: int) -> Answer:
    require_restore(call, PREFIX)

    def change(writing: Writing) -> Node:
        _place(call, writing, node_id).require_writable()
        return versions.restore(writing, call.act, node_id, _version(writing, node_id, name).etag)

    return Answer(201, call.written(await call.view.database.write_async(change)))


def _place(call: Call, reading: Reading, node_id: int) -> Place:
    """Errors: AbsentNode (also for a folder, and for what this person does not see)."""
    found = call.view.at(reading, node_id)
    if found.node.is_folder:
        raise AbsentNode("file")
    return found


def _values(place: Place, one: Version, name: int) -> dict[Name, str]:
    return {
        (DAV, "resourcetype"): "",
        (DAV, "displayname"): escape(place.node.name),
        (DAV, "getlastmodified"): properties.http_date(name),
        (DAV, "getcontentlength"): str(one.size_bytes),
        (DAV, "getcontenttype"): escape(content_type(place.node.name)),
        (DAV, "getetag"): f"&quot;{one.etag:x}&quot;",
        (OC, "size"): str(one.size_bytes),
    }
