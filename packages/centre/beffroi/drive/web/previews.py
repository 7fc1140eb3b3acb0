"""Previews of office documents and PDFs: what the process ``previews`` makes of them, for the page of a file.

Process: drive, under the portal's grant (``granted``).
Rule:    addresses below /coffre/octets/bureau/:

           GET NODE              {"pages": 3, "pdf": true}, or {"code", "why"} with a status
           GET NODE/apercu.pdf   the first pages as a PDF; of a PDF, itself
           GET NODE/page/NUMBER  a picture (PNG) of one of the first pages, from 1

         Made once and kept in memory alone, by the digest of the content, until MOST_KEPT_BYTES of others came.
Hostile: the documents, and what was made of them: given out as ``given`` does, never as a page of ours.
Fails:   closed: no preview. A content that a decision holds has none, also where it was made before.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from beffroi.drive.store.commune import Communes
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.views import View
from beffroi.drive.web import granted
from beffroi.drive.web.bodies import Bodies, BodiesOf
from beffroi.drive.web.given import HARMLESS, Body, download, number
from beffroi.drive.web.messages import Answer, Enter, Request, Routes
from beffroi.lib.errors import BeffroiError, TooLarge
from beffroi.previews import wire
from beffroi.previews.wire import Ended, NotShown, Preview

PATH = f"{granted.OUT_PATH}/bureau"
MOST_KEPT_BYTES = 64 * 1024 * 1024
MOST_REFUSED = 1000
MOST_WAITING = 12
PATIENCE_S = 50.0
"""Less than the front door waits for an answer."""
log = logging.getLogger("beffroi.drive.previews")


class TooManyWait(BeffroiError):
    """Too many previews are being made; try again soon."""

    code = "previews.too_many_wait"
    http_status = 503
    retryable = True


type _Key = tuple[str, str, str]
"""(collectivité, SHA-256 of the content, ending of the name)."""


@dataclass
class Previews:
    """``socket``: of the process ``previews``; None where there is none."""

    communes: Communes
    bodies: BodiesOf
    key: bytes
    enter: Enter
    socket: Path | None
    _kept: OrderedDict[_Key, Preview | NotShown] = field(default_factory=OrderedDict, init=False)
    _kept_bytes: int = field(default=0, init=False)
    _made: dict[_Key, asyncio.Task[Preview]] = field(default_factory=dict, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def add_to(self, routes: Routes) -> None:
        routes.add(PATH, self.told, is_open=True)

    async def told(self, request: Request) -> Answer:
        try:
            return await self.answer(request)
        except BeffroiError as error:
            said = {"code": error.code} | ({"why": error.why} if isinstance(error, NotShown) else {})
            return _json(error.http_status, said)

    async def answer(self, request: Request) -> Answer:
        """Errors: GrantRefused, AbsentNode, Frozen, TooLarge, NotShown, Ended, TooManyWait."""
        if request.method != "GET":
            raise AbsentNode("file")
        who = granted.who(self.key, request, granted.OUT_PATH)
        self.enter(request, who)
        node_id, *rest = request.path.removeprefix(PATH).strip("/").split("/")
        view, bodies = (
            View(self.communes.metadata(who.collectivite_id), who),
            self.bodies(who.collectivite_id),
        )
        with view.database.reading() as reading:
            node = view.at(reading, number(node_id)).node
        suffix = node.name.rpartition(".")[2].lower()
        if node.is_folder or suffix not in wire.SUFFIXES or self.socket is None:
            raise AbsentNode("file")
        bodies.require(node.sha256)
        if rest == ["apercu.pdf"] and suffix == "pdf":
            return _pdf(
                download(request, bodies, Body(node.name, node.size_bytes, node.manifest, node.sha256))
            )
        made = await self._preview((who.collectivite_id, node.sha256, suffix), bodies, node)
        match rest:
            case []:
                return _json(200, {"pages": len(made.pictures), "pdf": True})
            case ["apercu.pdf"]:
                return _pdf(Answer(200, HARMLESS, made.pdf))
            case ["page", page] if page.isascii() and page.isdigit() and 1 <= int(page) <= len(made.pictures):
                kind = (b"content-type", b"image/png")
                return Answer(200, (*HARMLESS, kind), made.pictures[int(page) - 1])
        raise AbsentNode("file")

    async def _preview(self, key: _Key, bodies: Bodies, node: Node) -> Preview:
        """Errors: TooLarge, NotShown, Ended, TooManyWait, those of the bodies."""
        if not node.size_bytes:
            raise NotShown("unreadable")
        if node.size_bytes > wire.MAX_DOCUMENT_BYTES:
            raise TooLarge(wire.MAX_DOCUMENT_BYTES)
        found = self._kept.get(key)
        if found is None:
            if key not in self._made:
                if len(self._made) >= MOST_WAITING:
                    raise TooManyWait
                self._made[key] = asyncio.create_task(self._make(key, bodies, node))
            try:
                # Whoever goes away leaves the others, and the next visit, what was begun for them.
                async with asyncio.timeout(PATIENCE_S):
                    return await asyncio.shield(self._made[key])
            except TimeoutError:
                raise TooManyWait from None
        self._kept.move_to_end(key)
        if isinstance(found, NotShown):
            raise NotShown(found.why)
        return found

    async def _make(self, key: _Key, bodies: Bodies, node: Node) -> Preview:
        try:
            async with self._turn:
                data = b"".join([piece async for piece in bodies.read(node, 0, node.size_bytes)])
                made = await asyncio.to_thread(self._ask, key[2], data)
            self._keep(key, made)
            return made
        except NotShown as refused:
            self._keep(key, refused)
            raise
        finally:
            del self._made[key]

    def _ask(self, suffix: str, data: bytes) -> Preview:
        """Errors: NotShown, Ended."""
        assert self.socket is not None
        try:
            return wire.ask(self.socket, suffix, data, timeout_s=PATIENCE_S)
        except OSError as error:
            log.warning("previews cannot be made: %s", type(error).__name__)
            raise Ended from None

    def _keep(self, key: _Key, made: Preview | NotShown) -> None:
        self._kept[key] = made
        self._kept_bytes += _size_bytes(made)
        while self._kept_bytes > MOST_KEPT_BYTES or len(self._kept) > MOST_REFUSED:
            self._kept_bytes -= _size_bytes(self._kept.popitem(last=False)[1])


def _size_bytes(made: Preview | NotShown) -> int:
    return made.size_bytes if isinstance(made, Preview) else 0


def _pdf(answer: Answer) -> Answer:
    """As a PDF, for the page's own viewer: no browser shows one in a sandbox."""
    kept: Sequence[tuple[bytes, bytes]] = [one for one in answer.headers if one[0] != b"content-type"]
    return Answer(answer.status, (*kept, (b"content-type", b"application/pdf")), answer.body)


def _json(status: int, value: object) -> Answer:
    kind = (b"content-type", b"application/json")
    return Answer(status, (*HARMLESS, kind), json.dumps(value).encode())
