"""Tags for sync clients: the collectivité's list, and those on one file.

Rule:    who writes for the collectivité makes tags; who may write a file puts them on it; who sees it sees them.
Hostile: numbers, names, bodies. A file is found as one person sees it, and is absent otherwise.
Source:  docs/internals/drive-sync.md, "Tags"; Nextcloud's system tags over WebDAV.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from beffroi.drive import tagging
from beffroi.drive.store import tags
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.names import normal
from beffroi.drive.store.tags import Tag
from beffroi.drive.store.writing import Writing
from beffroi.drive.web.dav import xml
from beffroi.drive.web.dav.call import Call, MethodRefused
from beffroi.drive.web.dav.properties import flag
from beffroi.drive.web.dav.xml import DAV, NC, OC, Name
from beffroi.drive.web.messages import Answer
from beffroi.drive.web.sync.call import asked, entry
from beffroi.drive.who import Who
from beffroi.lib import digits
from beffroi.lib.errors import Invalid

LIST, RELATIONS = "/remote.php/dav/systemtags", "/remote.php/dav/systemtags-relations"
MAX_JSON_BYTES = 4096
_FOLDER: dict[Name, str] = {(DAV, "resourcetype"): "<d:collection/>"}
_FLAGS: dict[Name, str] = {
    (OC, "user-visible"): "is_visible",
    (OC, "user-assignable"): "is_assignable",
}


async def listed(call: Call) -> Answer:
    """LIST and LIST/TAG."""
    method = call.request.method
    tag = call.request.path.removeprefix(LIST).strip("/")
    if not tag and method == "POST":
        return await _make(call, None)
    if method == "PROPFIND":
        with call.view.database.reading() as reading:
            found = [tags.find(reading, call.who, _number(tag))] if tag else tags.seen(reading, call.who)
        return await _propfind(call, "" if tag else f"{LIST}/", LIST, found)
    if tag and method == "PROPPATCH":
        return await _change(call, _number(tag))
    if tag and method == "DELETE":
        await call.view.database.write_async(lambda w: tags.remove(w, call.who, _number(tag)))
        return Answer(204)
    raise MethodRefused("PROPFIND", *(("PROPPATCH", "DELETE") if tag else ("POST",)))


async def related(call: Call) -> Answer:
    """RELATIONS/files/NUMBER and RELATIONS/files/NUMBER/TAG. ``NUMBER``: ``oc:fileid``."""
    method = call.request.method
    kind, *steps = call.request.path.removeprefix(RELATIONS).strip("/").split("/")
    if kind != "files" or not 0 < len(steps) < 3:
        raise AbsentNode("file")
    node_id, tag_id = _number(steps[0]), _number(steps[1]) if len(steps) == 2 else None
    if tag_id is None and method == "PROPFIND":
        with call.view.database.reading() as reading:
            call.view.at(reading, node_id)
            found = tags.by_node(reading, call.who, [node_id]).get(node_id, [])
        base = f"{RELATIONS}/files/{node_id}"
        return await _propfind(call, f"{base}/", base, found)
    if tag_id is None and method == "POST":
        return await _make(call, node_id)
    if tag_id is None or method not in ("PUT", "DELETE"):
        raise MethodRefused(*(("PROPFIND", "POST") if tag_id is None else ("PUT", "DELETE")))
    change = tags.assign if method == "PUT" else tags.unassign
    await call.request.drain()
    await call.view.database.write_async(
        lambda w: change(w, call.who, tagging.writable(call.view, w, node_id).node.id, tag_id)
    )
    return Answer(201 if method == "PUT" else 204)


async def _propfind(call: Call, folder: str, base: str, found: list[Tag]) -> Answer:
    """``folder``: its href; "" where one tag alone is asked for."""
    wanted, depth = await asked(call.request), call.depth("1")

    def entries() -> Iterator[str]:
        if folder:
            yield entry(folder, _FOLDER, wanted)
        for one in found if depth != "0" or not folder else ():
            yield entry(f"{base}/{one.id}", _values(call.who, one), wanted)

    return xml.multistatus(entries())


def _values(who: Who, tag: Tag) -> dict[Name, str]:
    return {
        (DAV, "resourcetype"): "",
        (OC, "id"): str(tag.id),
        (OC, "display-name"): escape(tag.name),
        (OC, "user-visible"): flag(tag.is_visible),
        (OC, "user-assignable"): flag(tag.is_assignable),
        (OC, "can-assign"): flag(tags.may_assign(who, tag)),
        (NC, "can-manage"): flag(tags.manages(who, tag)),
    }


async def _make(call: Call, node_id: int | None) -> Answer:
    """``node_id``: where it is put at once. Errors: Invalid, ReadOnly, those of ``tags``."""
    name, visible, assignable = _announced(await call.request.body(MAX_JSON_BYTES))

    def change(writing: Writing) -> Tag:
        made = tagging.make(call.view, call.act, writing, name, visible=visible, assignable=assignable)
        if node_id is not None:
            tags.assign(writing, call.who, tagging.writable(call.view, writing, node_id).node.id, made.id)
        return made

    made = await call.view.database.write_async(change)
    return Answer(201, ((b"content-location", f"{LIST}/{made.id}".encode()),))


def _announced(body: bytes) -> tuple[str, bool, bool]:
    """(name, whether it is visible, assignable) of a tag to be made. Errors: Invalid, NameRefused."""
    try:
        said = json.loads(body)
        name, flags = said["name"], [said.get(one, True) for one in ("userVisible", "userAssignable")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Invalid("tag") from None
    if not isinstance(name, str) or not all(isinstance(one, bool) for one in flags):
        raise Invalid("tag")
    return normal(name), flags[0], flags[1]


async def _change(call: Call, tag_id: int) -> Answer:
    body = await xml.read(call.request, "propertyupdate")
    holders = body.findall(f"{{{DAV}}}set/{{{DAV}}}prop") if body is not None else []
    said = {xml.name_of(one): (one.text or "").strip() for holder in holders for one in xml.children(holder)}
    if not said or set(said) - {(OC, "display-name"), *_FLAGS}:
        raise xml.XmlRefused

    def change(writing: Writing) -> None:
        fields: dict[str, Any] = {_FLAGS[one]: _is_true(said[one]) for one in _FLAGS if one in said}
        if (OC, "display-name") in said:
            fields["name"] = normal(said[(OC, "display-name")])
        tags.change(writing, call.who, tags.find(writing, call.who, tag_id)._replace(**fields))

    await call.view.database.write_async(change)
    stat = xml.propstat("".join(map(xml.empty, said)), "200 OK")
    return xml.multistatus([xml.response(f"{LIST}/{tag_id}", [stat])])


def _is_true(text: str) -> int:
    """Errors: XmlRefused."""
    if text.lower() not in ("true", "false", "1", "0"):
        raise xml.XmlRefused
    return int(text.lower() in ("true", "1"))


def _number(text: str) -> int:
    """Errors: AbsentTag."""
    found = digits.number(text)
    if found is None:
        raise tags.AbsentTag("tag")
    return found
