"""Previews of office documents and PDFs, for the page of a file, and thumbnails of pictures, for lists too.

Process: drive, under the portal's grant (``granted``).
Rule:    addresses below /coffre/octets/bureau/:

           GET NODE              {"pages": 3, "pdf": true}, or {"code", "why"} with a status
           GET NODE/apercu.pdf   the first pages as a PDF; of a PDF, itself
           GET NODE/page/NUMBER  a picture (PNG) of one of the first pages, from 1
           GET NODE/vignette/PX  a thumbnail (JPEG); PX: one of ``wire.EDGES_PX``

         NODE/ETAG in place of NODE: of an earlier content, as the page of that version asks.
         chez/SHARE/NODE for what another collectivité shares: one preview is one access to the file.
Hostile: the documents, and what was made of them: given out as ``given`` does, never as a page of ours.
Fails:   closed: no preview. A content that a decision holds has none, also where it was made before.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beffroi.drive.store.model import AbsentNode
from beffroi.drive.web import granted
from beffroi.drive.web.given import HARMLESS, body_of, download, number
from beffroi.drive.web.making import Maker, suffix_of
from beffroi.drive.web.messages import Answer, Enter, Request, Routes
from beffroi.drive.web.visiting import Visits
from beffroi.lib.errors import BeffroiError
from beffroi.previews import wire
from beffroi.previews.wire import NotShown, Preview

PATH = f"{granted.OUT_PATH}/bureau"


@dataclass(frozen=True)
class Previews:
    visits: Visits
    key: bytes
    enter: Enter
    maker: Maker

    def add_to(self, routes: Routes) -> None:
        routes.add(PATH, self.told, is_open=True)

    async def told(self, request: Request) -> Answer:
        try:
            return await self.answer(request)
        except BeffroiError as error:
            return refusal(error)

    async def answer(self, request: Request) -> Answer:
        """Errors: GrantRefused, those of ``Maker.preview``."""
        if request.method != "GET":
            raise AbsentNode("file")
        who = granted.who(self.key, request, granted.OUT_PATH)
        self.enter(request, who)
        address = request.path.removeprefix(PATH)
        is_part = address.endswith("/apercu.pdf") or "/page/" in address
        view, bodies, (node_id, *rest) = await asyncio.to_thread(
            self.visits.enter, who, address, "read", goes_on=is_part
        )
        etag = number(rest.pop(0)) if rest and rest[0].isdigit() else None
        body = body_of(view, number(node_id), etag)
        if rest == ["apercu.pdf"] and suffix_of(body.name) == "pdf":
            return as_pdf(download(request, bodies, body))
        match rest:
            case ["vignette", edge] if (edge_px := number(edge)) in wire.EDGES_PX:
                made = await self.maker.preview(view.collectivite_id, bodies, body, edge_px=edge_px)
                return thumbnail(made)
            case ["vignette", *_]:
                raise AbsentNode("file")
        made = await self.maker.preview(view.collectivite_id, bodies, body)
        match rest:
            case []:
                return said(200, {"pages": len(made.pictures), "pdf": True})
            case ["apercu.pdf"]:
                return as_pdf(Answer(200, HARMLESS, made.pdf))
            case ["page", page] if 1 <= number(page) <= len(made.pictures):
                return picture(made.pictures[number(page) - 1])
        raise AbsentNode("file")


def picture(data: bytes) -> Answer:
    return Answer(200, (*HARMLESS, (b"content-type", b"image/png")), data)


def thumbnail(made: Preview) -> Answer:
    return Answer(200, (*HARMLESS, (b"content-type", b"image/jpeg")), made.pictures[0])


def as_pdf(answer: Answer) -> Answer:
    """As a PDF, for the page's own viewer: no browser shows one in a sandbox."""
    kept: Sequence[tuple[bytes, bytes]] = [one for one in answer.headers if one[0] != b"content-type"]
    return Answer(answer.status, (*kept, (b"content-type", b"application/pdf")), answer.body)


def refusal(error: BeffroiError) -> Answer:
    """For the page's script, which has the words."""
    return said(
        error.http_status, {"code": error.code} | ({"why": error.why} if isinstance(error, NotShown) else {})
    )


def said(status: int, value: Mapping[str, object]) -> Answer:
    kind = (b"content-type", b"application/json")
    return Answer(status, (*HARMLESS, kind), json.dumps(value).encode())
