"""The search field of phones and of the desktop program (Nextcloud's unified search): one place to look in, the files.

Rule:    every word of the term stands in the name; looked for as SEARCH does, in one of few turns; the newest first.
Hostile: terms and numbers; a term is compared, never read as a pattern.
Source:  docs/internals/drive-sync.md; Nextcloud's developer manual, "Unified search".
"""

from __future__ import annotations

import asyncio
from typing import Any

from beffroi.drive.views import Place
from beffroi.drive.web.dav import properties
from beffroi.drive.web.dav.call import Call
from beffroi.drive.web.messages import fields
from beffroi.drive.web.sync import looking, search, thumbnails
from beffroi.drive.web.sync.basicsearch import MODIFIED, Needs, Search
from beffroi.drive.words import terms
from beffroi.lib import accents, digits
from beffroi.lib.errors import Invalid, NotFound
from beffroi.previews.wire import has_thumbnail

API = "/search/providers"
FILES, NAME = "files", "Fichiers"
USUAL, MOST, MAX_TERM_CHARS = 5, 100, 255


def providers() -> list[dict[str, Any]]:
    no_filters: dict[str, Any] = {"triggers": [], "filters": {"term": "string"}, "inAppSearch": False}
    return [{"id": FILES, "appId": FILES, "name": NAME, "icon": "", "order": 5, **no_filters}]


async def answer(finder: search.Finder, call: Call, path: str, base_url: str) -> Any:
    """``path``: of OCS, beginning with API. Errors: Invalid, NotFound (no such provider)."""
    if path == API:
        return providers()
    if path != f"{API}/{FILES}/search":
        raise NotFound("provider")
    call = search.leaving_out(call)
    said = fields(call.request.query, 64)
    words = accents.bare(said.get("term", [""])[-1][:MAX_TERM_CHARS]).split()
    if not words:
        raise Invalid("term")
    start, most = _number(said, "cursor", 0), min(_number(said, "limit", USUAL), MOST)

    wanted = Search(
        test=lambda place: all(word in accents.bare(place.path[-1]) for word in words),
        needs=Needs(piece=terms.piece(words)),
        order=(MODIFIED, True),
        most=start + most,
    )

    def look_up() -> list[Place]:
        with call.view.database.reading() as reading:
            named = looking.found(call.view, reading, [call.view.place(reading, ())], wanted)
            named.sort(key=lambda one: (one.node.mtime_s, one.node.id), reverse=True)  # as they are read
            return named[start : start + most]

    async with finder.turns:
        found = await asyncio.to_thread(look_up)
    return {
        "name": NAME,
        "isPaginated": True,
        "entries": [_entry(call, one, base_url) for one in found],
        "cursor": start + most if found and len(found) == most else None,
    }


def _entry(call: Call, place: Place, base_url: str) -> dict[str, Any]:
    home = call.who.collectivite_id
    folder, number = "/".join(place.path[:-1]), properties.number(place, home)
    is_own = place.owner == home and not place.node.is_folder
    is_seen = is_own and has_thumbnail(place.path[-1], place.node.size_bytes)
    picture = f"{base_url}{thumbnails.PATHS[0]}?fileId={number}&x=256&y=256"
    return {
        "thumbnailUrl": picture if is_seen else "",
        "title": place.path[-1],
        "subline": f"dans {folder}" if folder else "",
        "resourceUrl": f"{base_url}/index.php/f/{number}",
        "icon": "icon-folder" if place.node.is_folder else "icon-file",
        "rounded": False,
        "attributes": {
            "fileId": str(number),
            "path": "/" + "/".join(place.path),
        },
    }


def _number(said: dict[str, list[str]], name: str, usual: int) -> int:
    """Errors: Invalid."""
    return digits.needed(said.get(name, [str(usual)])[-1], name, most=6)
