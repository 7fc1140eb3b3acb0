"""What who holds a drop link hands in: one file a request, of a limited length, to be seen by nobody but the makers.

Process: drive, under the grant that the link's page gives (``granted.visit``); whether the link stands, and what it
         still takes, is asked in the metadata each time, and once more inside the change.
Hostile: everything; nobody signed in. Other sites: the grant is SameSite=Strict and of the link's own path, so that it
         comes from the link's page alone; that page sends no referrer, so a plain form of it has no ``Origin``.
Rule:    addresses below /coffre/depot/SHARE/:

           PUT    fichier        body = the file                            201 {"name", "size_bytes", "reference"}
           POST   formulaire     multipart/form-data, without JavaScript    303 to a page that says so

         ``X-Beffroi-File`` (JSON, in base64 or percent-encoded): name, size, who sends it, a message, whether an
         answer to this was lost. Nothing is listed or given.
         Each file is told for the audit log before it is there.
Fails:   closed: what cannot be told is not taken.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.drive.store import drops, look, room
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.drops import (
    MAX_MESSAGE_CHARS,
    MAX_SENDER_CHARS,
    MOST_FILE_BYTES,
    MOST_TOTAL_BYTES,
    Box,
    DropRefused,
    DropType,
    Letter,
)
from beffroi.drive.store.findings import Found
from beffroi.drive.store.model import Content, Node
from beffroi.drive.store.shares import NO_LIMIT, LinkClosed, Share
from beffroi.drive.store.writing import Reading
from beffroi.drive.web import form, granted
from beffroi.drive.web.bodies import BodiesOf
from beffroi.drive.web.ends import Ends
from beffroi.drive.web.errors import note
from beffroi.drive.web.granted import Visit
from beffroi.drive.web.linked import Pace, require_owner
from beffroi.drive.web.messages import Answer, Request, Routes, json_answer, led_to
from beffroi.drive.web.places import Places
from beffroi.drive.who import Standing
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Invalid, Unavailable

PAGE = "/partage/depot/"
MOST_AT_ONCE, MOST_OF_ONE, MOST_OF_A_LINK = 32, 8, 4
"""Bodies under way, in all, of one collectivité, of one link: each holds some chunks, and colleagues have the rest."""
MOST_TOLD_OF_A_SOURCE, MOST_TOLD = 300, 3000
"""Files of a link, also such as are refused then (``linked.Pace``)."""
MOST_WASTED_BYTES, WASTED_S = MOST_TOTAL_BYTES, 3600
"""Of a link within an hour: bytes that came and became no file. They lie in the store until they are collected."""


class DropEmpty(DropRefused):
    """An empty file is not handed in; choose another one."""

    code = "drive.drop_empty"
    http_status = 400


class DropHeld(DropRefused):
    """The same file came before and waits for somebody's word; ask there."""

    code = "drive.drop_held"


class Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file as the page says it. ``again``: it was sent before, and no answer came."""

    name: str
    size_bytes: int
    sender: str
    message: str = ""
    again: bool = False


_SENT = msgspec.json.Decoder(Sent)


@dataclass(frozen=True)
class Handed:
    """One file, for the audit log and its makers. ``address``: of who sent it, "" where unknown."""

    share_id: str
    collectivite_id: str
    person_id: str
    reference: str
    sha256: str
    size_bytes: int
    address: str


type Tell = Callable[[Handed], object]
"""Publishes it; blocking, called in a thread. Errors: Unavailable."""


@dataclass
class Dropped:
    """``is_scanned``: whether anything looks at files here."""

    communes: Communes
    bodies: BodiesOf
    key: bytes
    tell: Tell
    standing: Standing
    is_scanned: bool
    _places: Places = field(default_factory=lambda: Places(MOST_AT_ONCE, MOST_OF_ONE), init=False)
    _of_links: Places = field(default_factory=lambda: Places(MOST_AT_ONCE, MOST_OF_A_LINK), init=False)
    _pace: Pace = field(default_factory=lambda: Pace(MOST_TOLD_OF_A_SOURCE, MOST_TOLD), init=False)
    _wasted: Counter[str] = field(default_factory=Counter, init=False)
    _wasted_since_s: float = field(default_factory=clock.steady_s, init=False)

    def add_to(self, routes: Routes) -> None:
        routes.add(granted.DROP_PATH, self, is_open=True)

    async def __call__(self, request: Request) -> Answer:
        is_form = request.method == "POST"
        try:
            name, size_bytes, reference = await self.answer(request)
        except BeffroiError as error:
            note(request.method, error)
            await request.drain()
            if is_form:
                return led_to(f"{PAGE}?refus={error.code}")
            return json_answer(error.http_status, {"code": error.code})
        if is_form:
            return led_to(f"{PAGE}?recu={reference}")
        return json_answer(201, {"name": name, "size_bytes": size_bytes, "reference": reference})

    async def answer(self, request: Request) -> tuple[str, int, str]:
        """(name, size, reference) of what was taken. Errors: GrantRefused, ForeignOrigin, LinkClosed, DropRefused,
        those of the store."""
        visit = granted.visit(self.key, request, granted.DROP_PATH, granted.DROP_COOKIE)
        steps = request.path.removeprefix(granted.DROP_PATH).strip("/").split("/")
        if len(steps) != 2 or steps[0] != visit.share_id:
            raise LinkClosed
        if (request.method, steps[1]) not in (("PUT", "fichier"), ("POST", "formulaire")):
            raise LinkClosed
        self._require_unwasted(visit.share_id)
        self._of_links.take(request, visit.share_id)
        self._places.take(request, visit.collectivite_id)
        if request.method == "PUT":
            granted.require_own_origin(request)
            sent, pieces = _sent_of(request), request.chunks()
        else:
            found = await form.read(request)
            fields = found.fields
            sent = Sent(found.name, 0, fields.get("expediteur", ""), fields.get("message", ""))
            pieces = found.pieces
        node, reference = await self._take(request, visit, sent, pieces)
        return node.name, node.size_bytes, reference

    def _require_unwasted(self, share_id: str) -> None:
        """Errors: Unavailable."""
        if clock.steady_s() - self._wasted_since_s >= WASTED_S:
            self._wasted_since_s = clock.steady_s()
            self._wasted.clear()
        if self._wasted[share_id] >= MOST_WASTED_BYTES:
            raise Unavailable("The drive")

    async def _take(
        self, request: Request, visit: Visit, sent: Sent, pieces: AsyncIterator[bytes]
    ) -> tuple[Node, str]:
        database = self.communes.metadata(visit.collectivite_id)
        letter = _letter(visit, sent)
        size_bytes = sent.size_bytes or form.least_bytes(request)
        with database.reading() as reading:
            share = drops.standing(reading, visit.share_id, sent.name, size_bytes, now_s=clock.epoch_s())
            came = drops.came(reading, share.node, sent.name, letter) if sent.again else None
            most = sent.size_bytes or MOST_FILE_BYTES
            # What came already may be what filled the link, or the room.
            if came is None or came.size_bytes != size_bytes:
                _require_room(reading, share, sent.name, size_bytes)
                most = min(_most(share, drops.of(reading, share.id)), most)
        ends = Ends()
        try:
            content = await self._received(visit, sent, ends.of(pieces, most))
            if not content.size_bytes:
                raise DropEmpty
            if ends.is_refused(sent.name, share.types):
                raise DropType
            if sent.again:
                with database.reading() as reading:
                    came = drops.came(reading, share.node, sent.name, letter)
                    if came is not None and came.sha256 == content.sha256:
                        return came, letter.reference
                    _require_room(reading, share, sent.name, content.size_bytes)
            handed = Handed(
                share.id,
                visit.collectivite_id,
                share.created_by,
                letter.reference,
                content.sha256,
                content.size_bytes,
                request.address,
            )
            self._pace.take(share.id, request.address)
            await asyncio.to_thread(self._told, database, handed)
            node = await database.write_async(
                lambda writing: drops.hand_in(
                    writing,
                    share.id,
                    sent.name,
                    content,
                    letter,
                    is_scanned=self.is_scanned,
                    now_s=clock.epoch_s(),
                )
            )
        except BaseException as error:
            self._wasted[share.id] += ends.size_bytes
            if isinstance(error, Found) and not error.is_malice:
                raise DropHeld from None
            raise
        return node, handed.reference

    def _told(self, database: Database, handed: Handed) -> None:
        """Blocking. Errors: LinkClosed, Unavailable."""
        with database.reading() as reading:
            require_owner(reading, handed.share_id, handed.collectivite_id, self.standing)
        self.tell(handed)

    async def _received(self, visit: Visit, sent: Sent, pieces: AsyncIterator[bytes]) -> Content:
        content = await self.bodies(visit.collectivite_id).receive(pieces, sent.size_bytes or None)
        if sent.size_bytes and content.size_bytes != sent.size_bytes:
            raise Invalid("size")
        return content


def _require_room(reading: Reading, share: Share, name: str, size_bytes: int) -> None:
    """Errors: as ``drops.check``, QuotaFull."""
    drops.check(reading, share.id, name, size_bytes, now_s=clock.epoch_s())
    room.require(reading, look.above(reading, share.node)[-1].id, size_bytes)


def _most(share: Share, box: Box) -> int:
    """What a file may have now, in bytes."""
    most = MOST_FILE_BYTES if share.most_bytes == NO_LIMIT else min(share.most_bytes, MOST_FILE_BYTES)
    return min(most, max(0, box.most_total_bytes - box.total_bytes))


def _sent_of(request: Request) -> Sent:
    """Errors: Invalid."""
    told = request.header(granted.FILE_HEADER)
    try:
        sent = _SENT.decode(unquote_to_bytes(told) if "%" in told else base64.b64decode(told))
    except UNDECODABLE:
        raise Invalid("file") from None
    if sent.size_bytes < 0:
        raise Invalid("size")
    return sent


def _letter(visit: Visit, sent: Sent) -> Letter:
    """Errors: Invalid (nobody's name)."""
    sender = drops.plain(sent.sender, MAX_SENDER_CHARS)
    if not sender:
        raise Invalid("sender")
    # Of the visit's grant, so that the files of one visit are one; nobody learns the grant from it.
    reference = hashlib.sha256(visit.name.encode()).hexdigest()[:12].upper()
    message = drops.plain(sent.message, MAX_MESSAGE_CHARS, lines=True)
    return Letter(f"{visit.share_id}:{reference}", sender, message)
