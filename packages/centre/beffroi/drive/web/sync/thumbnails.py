"""Thumbnails for phones, in pixels:

    GET /index.php/core/preview?fileId=NUMBER&x=WIDTH&y=HEIGHT
    GET /index.php/apps/files_trashbin/preview?fileId=NUMBER&x=WIDTH&y=HEIGHT     of what was deleted
    GET /index.php/apps/files/api/v1/thumbnail/WIDTH/HEIGHT/PATH                  for Android's own chooser of files

Rule:    of pictures alone, and of those of the own collectivité: to look at one of another's is an access, which its
         audit log would hold for each picture that a list shows. Never cut: ``mode`` and ``a`` are not looked at.
Hostile: numbers, paths; the pictures (``previews``).
Fails:   closed: 404 or 429, for which clients draw a sign.
Source:  docs/internals/drive-sync.md; nextcloud/android ``ThumbnailsCacheManager``, NextcloudKit ``downloadPreview``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from beffroi.drive.store import names
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.web.dav.call import Call, MethodRefused
from beffroi.drive.web.given import Body, body_of, number
from beffroi.drive.web.making import Maker, TooManyWait
from beffroi.drive.web.messages import Answer, Request, Routes, fields
from beffroi.drive.web.previews import thumbnail
from beffroi.drive.web.sync import trash
from beffroi.drive.web.sync.call import NOWHERE, CallFor
from beffroi.lib.errors import BeffroiError
from beffroi.previews import wire

PATHS = ("/index.php/core/preview", "/index.php/core/preview.png")
IN_TRASH = "/index.php/apps/files_trashbin/preview"
BY_PATH = "/index.php/apps/files/api/v1/thumbnail"
MOST_FIELDS = 16


class NotNow(BeffroiError):
    """This picture cannot be made now; try again soon."""

    # A 503 is an outage to NextcloudKit, which then sends nothing more of the account for seconds.
    code = "drive.thumbnail_not_now"
    http_status = 429
    retryable = True


@dataclass(frozen=True)
class Thumbnails:
    call_for: CallFor
    maker: Maker

    def add_to(self, routes: Routes) -> None:
        for path in (*PATHS, IN_TRASH):
            routes.add(path, self.by_number)
        routes.add(BY_PATH, self.by_path)

    async def by_number(self, request: Request) -> Answer:
        """Errors: AbsentNode, MethodRefused, NotNow, those of ``Maker.preview``."""
        path = request.path.rstrip("/")
        if path not in (*PATHS, IN_TRASH):
            raise AbsentNode("file")
        call = await self._call(request)
        said = fields(request.query, MOST_FIELDS)
        node_id = number(said.get("fileId", [""])[0])

        def look_up() -> Body:
            return trash.body(call, node_id) if path == IN_TRASH else body_of(call.view, node_id)

        body = await asyncio.to_thread(look_up)
        return await self._made(call, body, edge(*(said.get(name, [""])[0] for name in ("x", "y"))))

    async def by_path(self, request: Request) -> Answer:
        """Errors: as ``by_number``; NameRefused, TooDeep."""
        call = await self._call(request)
        width, _, rest = request.path.removeprefix(BY_PATH).lstrip("/").partition("/")
        height, _, path = rest.partition("/")

        def look_up() -> Body:
            with call.view.database.reading() as reading:
                return Body.of(call.view.place(reading, names.path(path)).node)

        body = await asyncio.to_thread(look_up)
        return await self._made(call, body, edge(width, height))

    async def _call(self, request: Request) -> Call:
        if request.method != "GET":
            raise MethodRefused("GET")
        return await self.call_for(request, NOWHERE)

    async def _made(self, call: Call, body: Body, edge_px: int) -> Answer:
        try:
            made = await self.maker.preview(call.view.collectivite_id, call.bodies, body, edge_px=edge_px)
        except (TooManyWait, wire.Ended):
            raise NotNow from None
        return thumbnail(made)


def edge(*asked: str) -> int:
    """The smallest edge that is made and is as long as what is asked for, else the longest. Errors: AbsentNode."""
    longest = max(number(one) for one in asked if one) if any(asked) else 0
    return next((one for one in wire.EDGES_PX if one >= longest), wire.EDGES_PX[-1])
