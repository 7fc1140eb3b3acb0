"""LOCK and UNLOCK. A lock of a name that is free makes an empty file of it (RFC 4918, section 7.3)."""

from __future__ import annotations

import re
from contextlib import suppress

from beffroi.drive.store import locks, seals, tree
from beffroi.drive.store.locks import Lock
from beffroi.drive.store.model import EMPTY, Locked, RootFixed
from beffroi.drive.store.writing import Writing
from beffroi.drive.views import Place
from beffroi.drive.web.dav import xml
from beffroi.drive.web.dav.call import Call, existing
from beffroi.drive.web.dav.conditions import ConditionFailed
from beffroi.drive.web.dav.listing import lock_root
from beffroi.drive.web.dav.properties import active_lock
from beffroi.drive.web.dav.xml import Element
from beffroi.drive.web.messages import XML, Answer
from beffroi.lib.errors import BeffroiError, Invalid

MAX_OWNER_BYTES = 1024
_SECONDS = re.compile(r"\s*second-(\d{1,10})\s*", re.IGNORECASE | re.ASCII)


class LockForeign(BeffroiError):
    """This lock does not reach what the request names, or is another person's."""

    code = "drive.lock_foreign"
    http_status = 409
    precondition = "<d:lock-token-matches-request-uri/>"


async def lock(call: Call) -> Answer:
    body = await xml.read(call.request, "lockinfo")
    if call.depth("infinity") == "1":
        raise Invalid("Depth")
    is_deep, timeout_s = call.depth("infinity") == "infinity", _timeout_s(call.request.header(b"timeout"))
    asked = None if body is None else _asked(body)

    def change(writing: Writing) -> tuple[Lock, str, bool]:
        found = call.view.find(writing, call.target.path)
        call.check(writing, found)
        if asked is None:
            place = existing(found)
            return _refreshed(call, writing, place, timeout_s), _root(call, writing, place), False
        place, is_new = (found, False) if found is not None else (_empty_file(call, writing), True)
        seals.require_free(writing, place.require_writable().node)
        if place.rights.is_mount and place.path and place.node.is_folder:
            raise RootFixed  # the whole commune would wait for one person, as long as their program likes
        is_shared, owner = asked
        made = locks.lock(
            writing,
            call.act,
            place.node.id,
            deep=is_deep and bool(place.node.is_folder),
            shared=is_shared,
            owner=owner,
            timeout_s=timeout_s,
        )
        return made, call.target.href(place.path, is_folder=bool(place.node.is_folder)), is_new

    def _root(call: Call, writing: Writing, place: Place) -> str:
        held = locks.held(writing, place.node.id, now_s=call.act.now_s)
        return next(
            (lock_root(call, writing, place, one) for one in held if one.token in call.act.lock_tokens), ""
        )

    made, href, is_new = await call.view.database.write_async(change)
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<d:prop xmlns:d="DAV:"><d:lockdiscovery>'
        f"{active_lock(made, href, call.act.now_s)}</d:lockdiscovery></d:prop>"
    )
    headers = [XML]
    if asked is not None:
        headers.append((b"lock-token", f"<{made.token}>".encode()))
    return Answer(201 if is_new else 200, headers, text.encode())


def _refreshed(call: Call, writing: Writing, place: Place, timeout_s: int) -> Lock:
    """Errors: Invalid (no token shown), ConditionFailed (none of them is a lock here)."""
    if not call.act.lock_tokens:
        raise Invalid("If")
    for token in call.act.lock_tokens:
        try:
            return locks.refresh(writing, call.act, place.node.id, token, timeout_s=timeout_s)
        except Locked:
            continue
    raise ConditionFailed


def _empty_file(call: Call, writing: Writing) -> Place:
    path = call.target.path
    parent = call.parent(writing, path)
    call.free(path)
    tree.put(writing, call.act, parent.node.id, path[-1], EMPTY)
    return call.view.place(writing, path)


def named(call: Call, error: Locked) -> str:
    """What was locked, as RFC 4918 wants it said (section 16); where this person does not see it, by what they asked
    for."""
    path, is_folder = call.target.path, False
    with suppress(BeffroiError), call.view.database.reading() as reading:
        found = call.view.at(reading, error.node)
        path, is_folder = found.path, bool(found.node.is_folder)
    kind = "no-conflicting-lock" if call.request.method == "LOCK" else "lock-token-submitted"
    return f"<d:{kind}><d:href>{call.target.href(path, is_folder=is_folder)}</d:href></d:{kind}>"


async def unlock(call: Call) -> Answer:
    header = call.request.header(b"lock-token").strip()
    if not (header.startswith("<") and header.endswith(">")):
        raise Invalid("Lock-Token")

    def change(writing: Writing) -> None:
        place = call.view.place(writing, call.target.path)
        if not locks.unlock(writing, call.act, place.node.id, header[1:-1]):
            raise LockForeign

    await call.view.database.write_async(change)
    return Answer(204)


def _asked(body: Element) -> tuple[bool, str]:
    """(shared, owner as XML). Errors: XmlRefused."""
    asked = {xml.name_of(one): one for one in xml.children(body)}
    scope, kind = asked.get((xml.DAV, "lockscope")), asked.get((xml.DAV, "locktype"))
    scopes = xml.names(scope) if scope is not None else ()
    if kind is None or xml.names(kind) != ((xml.DAV, "write"),):
        raise xml.XmlRefused
    if scopes not in (((xml.DAV, "exclusive"),), ((xml.DAV, "shared"),)):
        raise xml.XmlRefused
    owner = asked.get((xml.DAV, "owner"))
    text = xml.source(owner) if owner is not None else ""
    if len(text.encode()) > MAX_OWNER_BYTES:
        raise xml.XmlRefused
    return scopes == ((xml.DAV, "shared"),), text


def _timeout_s(header: str) -> int:
    """The first that the client would like, of those that we know."""
    for one in header.split(","):
        if found := _SECONDS.fullmatch(one):
            return int(found[1])
        if one.strip().lower() == "infinite":
            return locks.LONGEST_S
    return locks.USUAL_S
