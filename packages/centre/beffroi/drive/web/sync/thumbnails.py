"""Thumbnails for phones: GET /index.php/core/preview?fileId=NUMBER&x=WIDTH&y=HEIGHT, in pixels.

Rule:    of pictures alone, and of those of the own collectivité: to look at one of another's is an access, which its
         audit log would hold for each picture that a list shows. Never cut: ``mode`` and ``a`` are not looked at.
Hostile: numbers; the pictures (``previews``).
Fails:   closed: 404 or 503, for which clients draw a sign.
Source:  docs/internals/drive-sync.md; nextcloud/android ``ThumbnailsCacheManager``, NextcloudKit ``downloadPreview``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from beffroi.drive.store.model import AbsentNode
from beffroi.drive.web.dav.call import MethodRefused
from beffroi.drive.web.given import body_of, number
from beffroi.drive.web.making import Maker
from beffroi.drive.web.messages import Answer, Request, Routes, fields
from beffroi.drive.web.previews import thumbnail
from beffroi.drive.web.sync.call import NOWHERE, CallFor
from beffroi.previews import wire

PATHS = ("/index.php/core/preview", "/index.php/core/preview.png")
MOST_FIELDS = 16


@dataclass(frozen=True)
class Thumbnails:
    call_for: CallFor
    maker: Maker

    def add_to(self, routes: Routes) -> None:
        for path in PATHS:
            routes.add(path, self.answer)

    async def answer(self, request: Request) -> Answer:
        """Errors: AbsentNode, MethodRefused, those of ``Maker.preview``."""
        if request.path.rstrip("/") not in PATHS:
            raise AbsentNode("file")
        if request.method != "GET":
            raise MethodRefused
        said = fields(request.query, MOST_FIELDS)
        node_id = number(said.get("fileId", [""])[0])
        call = await self.call_for(request, NOWHERE)
        body = await asyncio.to_thread(body_of, call.view, node_id)
        edge_px = edge(*(said.get(name, [""])[0] for name in ("x", "y")))
        made = await self.maker.preview(call.view.collectivite_id, call.bodies, body, edge_px=edge_px)
        return thumbnail(made)


def edge(*asked: str) -> int:
    """The smallest edge that is made and is as long as what is asked for, else the longest. Errors: AbsentNode."""
    longest = max(number(one) for one in asked if one) if any(asked) else 0
    return next((one for one in wire.EDGES_PX if one >= longest), wire.EDGES_PX[-1])
