"""What sync clients ask before they synchronise: what this server is, what it can do, who they are signed in as.

Rule:    nothing is announced that is not there. An unknown call gets the answer of an unknown call, which all clients
         take for "this server does not have that"; a list of something that cannot be made here is empty.
Hostile: queries and paths; nothing of them is answered back.
Source:  docs/internals/drive-sync.md; Nextcloud's developer manual, "OCS API" and "Capabilities API".
"""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

from beffroi.drive.store import groups, room
from beffroi.drive.store.model import NO_LIMIT
from beffroi.drive.web.dav.properties import UNLIMITED
from beffroi.drive.web.errors import words
from beffroi.drive.web.messages import NO_STORE, XML, Answer, Request, Routes, fields
from beffroi.drive.web.sync import search, share_fields, sharing, unified
from beffroi.drive.web.sync.call import NOWHERE, CallFor
from beffroi.lib.errors import BeffroiError, Invalid

VERSION, VERSION_STRING = "32.0.1.2", "32.0.1"
"""The version of the protocol that is spoken, in the numbers by which clients judge what they may ask for."""
PRODUCT = "Beffroi"
V1, V2 = "/ocs/v1.php", "/ocs/v2.php"
POLL_S = 60
MAX_CHUNK_BYTES = 100 * 1024 * 1024
PARALLEL_CHUNKS = 4
_OK, _UNKNOWN = {V1: 100, V2: 200}, {V1: 998, V2: 404}
_JSON = (b"content-type", b"application/json; charset=utf-8")


def status() -> dict[str, Any]:
    return {
        "installed": True,
        "maintenance": False,
        "needsDbUpgrade": False,
        "version": VERSION,
        "versionstring": VERSION_STRING,
        "edition": "",
        "productname": PRODUCT,
        "extendedSupport": False,
    }


def capabilities(base_url: str) -> dict[str, Any]:
    """``base_url``: of this server, without a slash at its end."""
    major, minor, micro = (int(number) for number in VERSION_STRING.split("."))
    return {
        "version": {
            "major": major,
            "minor": minor,
            "micro": micro,
            "string": VERSION_STRING,
            "edition": "",
            "extendedSupport": False,
        },
        "capabilities": {
            "core": {"pollinterval": POLL_S, "webdav-root": "remote.php/webdav"},
            "dav": {"chunking": "1.0"},
            "files": {
                "bigfilechunking": True,
                "chunked_upload": {"max_size": MAX_CHUNK_BYTES, "max_parallel_count": PARALLEL_CHUNKS},
                "undelete": True,
                "delete_from_trash": False,
                "versioning": True,
                "favorites": True,
                "forbidden_filenames": [],
                "forbidden_filename_basenames": [],
                "forbidden_filename_characters": ["\\", "/"],
                "forbidden_filename_extensions": [],
            },
            "files_sharing": sharing.CAPABILITIES,
            "systemtags": {"enabled": True},
            "checksums": {"supportedTypes": ["SHA1", "SHA256"], "preferredUploadType": "SHA1"},
            "notify_push": {
                "type": ["files"],
                "endpoints": {"websocket": f"ws{base_url.removeprefix('http')}/push/ws"},
            },
            "theming": {
                "name": PRODUCT,
                "productName": PRODUCT,
                "url": base_url,
                "slogan": "Les fichiers de la commune",
                "color": "#1d2733",
                "color-text": "#ffffff",
            },
        },
    }


class Ocs:
    """Handlers of status.php and of OCS. ``base_url``: where clients reach this server."""

    def __init__(
        self, call_for: CallFor, shares: sharing.Shares, finder: search.Finder, base_url: str
    ) -> None:
        self._call_for, self._shares, self._finder, self._base_url = call_for, shares, finder, base_url

    def add_to(self, routes: Routes) -> None:
        routes.add("/status.php", self.status, is_open=True)
        routes.add("/index.php/204", self.reached, is_open=True)
        for prefix in _PICTURES:
            routes.add(prefix, _absent)
        routes.add(WIPE, _absent, is_open=True)
        for version in (V1, V2):
            routes.add(version, self.call)

    async def status(self, request: Request) -> Answer:
        return Answer(200, (_JSON, NO_STORE), _dumped(status()))

    async def reached(self, request: Request) -> Answer:
        """A client finds out whether something between it and us asks for a sign-in of its own."""
        return Answer(204)

    async def call(self, request: Request) -> Answer:
        version = request.path[: len(V1)]
        path = request.path[len(V1) :].rstrip("/")
        login = request.signed_in.login
        if path.startswith((sharing.API, unified.API)):
            return await self._answered(request, version, path)
        if path in _OWN_PASSWORD:
            return answer(request, version, 403, [], "You use an app password already")
        if request.method not in ("GET", "HEAD"):
            return unknown(request, version)
        if path == "/cloud/capabilities":
            return good(request, version, capabilities(self._base_url))
        if path in ("/cloud/user", f"/cloud/users/{login}"):
            return good(request, version, await self._user(request))
        if path in _EMPTY:
            return good(request, version, [])
        return unknown(request, version)

    async def _answered(self, request: Request, version: str, path: str) -> Answer:
        """Shares and the search: what is refused there is refused in the words of OCS."""
        call = await self._call_for(request, NOWHERE)
        try:
            if path.startswith(unified.API) and request.method in ("GET", "HEAD"):
                data = await unified.answer(self._finder, call, path, self._base_url)
            else:
                data = await self._shares.answer(call, path, await share_fields.fields_of(request))
            return good(request, version, data)
        except sharing.UnknownCall:
            return unknown(request, version)
        except BeffroiError as error:
            if error.http_status >= 500:
                raise
            return answer(request, version, error.http_status, [], words(error))

    async def _user(self, request: Request) -> dict[str, Any]:
        call = await self._call_for(request, NOWHERE)
        who = call.who
        with call.view.database.reading() as reading:
            own, _ = call.view.roots(reading)
            used, limit = room.reached(reading, own.id)
            member_of = sorted(groups.of_person(reading, who.person_id))
        free = UNLIMITED if limit == NO_LIMIT else max(0, limit - used)
        total = UNLIMITED if limit == NO_LIMIT else limit
        return {
            "enabled": True,
            "id": who.login,
            "display-name": who.display_name,
            "displayname": who.display_name,
            "email": who.login if "@" in who.login else "",
            "quota": {
                "free": free,
                "used": used,
                "total": total,
                "quota": total,
                "relative": round(100 * used / limit, 2) if limit > 0 else 0,
            },
            "groups": [who.role, *member_of],
            "language": "fr",
            "locale": "fr_FR",
        }


_EMPTY = frozenset(
    {
        "/apps/notifications/api/v2/notifications",
        "/core/navigation/apps",
        "/apps/activity/api/v2/activity",
        "/apps/activity/api/v2/activity/filter",
    }
)
"""What does not exist here yet, and is asked for as a list. Android shows a file's versions once it has a list of
activities; the menu of activities needs the capability, which is not there."""


_OWN_PASSWORD = frozenset({"/core/getapppassword", "/core/getapppassword-onetime"})
"""Where a program would change a person's password into one of its own."""
WIPE = "/index.php/core/wipe"
"""A program whose password is refused asks whether it is to delete what it has; nobody tells it so."""
_PICTURES = (
    "/index.php/avatar",
    "/index.php/avatars",
    "/remote.php/dav/avatars",
    "/index.php/apps",
)


async def _absent(request: Request) -> Answer:
    """Pictures that are not made here, clients draw their own; and that something is to be wiped."""
    return Answer(404, ((b"cache-control", b"private, max-age=3600"),))


def good(request: Request, version: str, data: Any) -> Answer:
    return answer(request, version, _OK[version], data)


def unknown(request: Request, version: str) -> Answer:
    return answer(request, version, _UNKNOWN[version], [])


def answer(request: Request, version: str, code: int, data: Any, message: str = "Unknown call") -> Answer:
    is_good = code == _OK[version]
    meta = {
        "status": "ok" if is_good else "failure",
        "statuscode": code,
        "message": "OK" if is_good else message,
    }
    status_code = code if version == V2 else 200  # the first version says it inside
    if _wants_json(request):
        return Answer(status_code, (_JSON, NO_STORE), _dumped({"ocs": {"meta": meta, "data": data}}))
    body = f'<?xml version="1.0"?>\n<ocs><meta>{_xml(meta)}</meta><data>{_xml(data)}</data></ocs>\n'
    return Answer(status_code, (XML, NO_STORE), body.encode())


def _wants_json(request: Request) -> bool:
    try:
        asked = fields(request.query, 64).get("format", [""])[-1]
    except Invalid:  # this is asked of refusals too
        asked = ""
    return asked == "json" or (not asked and "application/json" in request.header(b"accept"))


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(one)}</{name}>" for name, one in value.items())
    if isinstance(value, list):
        return "".join(f"<element>{_xml(one)}</element>" for one in value)
    if isinstance(value, bool):
        return "1" if value else ""
    return escape(str(value)) if value is not None else ""
