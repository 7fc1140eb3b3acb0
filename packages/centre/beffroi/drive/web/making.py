"""Previews of office documents and PDFs, and thumbnails of pictures, as the process ``previews`` makes them: asked for
once, kept in memory alone.

Process: drive. Kept by the digest of the content, until MOST_KEPT_BYTES of others came.
Rule:    one document at a time, and a picture for each processor. Of one collectivité a few wait at most, and their
         turns come after one of each other that waits: documents that take long keep no other town hall waiting for
         more than one. Who holds a link has places of their own, by collectivité too, and all guests together have the
         turns of one more town hall: at most one of their documents is between two of a town hall's own, and the
         guests of one keep those of no other waiting.
Hostile: the documents, and what was made of them.
Fails:   closed: no preview.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

from beffroi.drive.store.model import AbsentNode
from beffroi.drive.web.bodies import Bodies
from beffroi.drive.web.given import Body
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, TooLarge
from beffroi.previews import wire
from beffroi.previews.wire import Ended, NotShown, Preview

MOST_KEPT_BYTES = 64 * 1024 * 1024
MOST_KEPT = 5000
MOST_WAITING, MOST_OF_ONE = 12, 4
MOST_GUESTS, MOST_GUESTS_OF_ONE = 12, 2
"""The same for those that links asked for."""
MOST_PHOTOS, MOST_PHOTOS_OF_ONE = 256, 64
MOST_GUESTS_PHOTOS, MOST_GUESTS_PHOTOS_OF_ONE = 32, 8
"""Of pictures: a list asks for as many as a screen holds, and each takes a tenth of a second."""
PATIENCE_S = 50.0
"""Less than the front door waits for an answer."""
log = logging.getLogger("beffroi.drive.previews")


class TooManyWait(BeffroiError):
    """Too many previews are being made; try again soon."""

    code = "previews.too_many_wait"
    http_status = 503
    retryable = True


REFUSED_KEPT_S = 900.0
"""How long a refusal is said without another try: a busy machine is slow, too, and where memory is full a program ends
as it does over a document that nobody can read."""
_GUESTS = "guests"
"""Among the collectivités that take turns."""
type _Key = tuple[str, str, str, int]
"""(collectivité, SHA-256 of the content, ending of the name, edge of a thumbnail or 0)."""
type _Make = Callable[[], Awaitable[Preview]]


class _Refused(NamedTuple):
    why: wire.Why
    until_s: float
    """By the steady clock."""


class _Turns:
    """First come, first served; of one collectivité ``at_once`` at a time come to the common queue."""

    def __init__(self, at_once: int = 1) -> None:
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._common, self._at_once = asyncio.Semaphore(at_once), at_once

    @asynccontextmanager
    async def turn(self, collectivite_id: str) -> AsyncGenerator[None]:
        own = self._own.setdefault(collectivite_id, asyncio.Semaphore(self._at_once))
        async with own, self._common:
            yield


class _Queue:
    """Who waits for one kind of work. ``under_way``: a colleague does not wait where guests do."""

    def __init__(self, own: tuple[int, int], guests: tuple[int, int], at_once: int = 1) -> None:
        """(how many at most, of one collectivité); how many are made at once."""
        self._most = {False: own, True: guests}
        self.under_way: dict[bool, dict[_Key, asyncio.Task[Preview]]] = {False: {}, True: {}}
        self._turns, self._guest_turns = _Turns(at_once), _Turns()

    def begin(self, key: _Key, make: _Make, *, is_guest: bool) -> asyncio.Task[Preview]:
        """Errors: TooManyWait."""
        under_way, (most, most_of_one) = self.under_way[is_guest], self._most[is_guest]
        if len(under_way) >= most or sum(one[0] == key[0] for one in under_way) >= most_of_one:
            raise TooManyWait
        task = asyncio.create_task(self._in_turn(key[0], make, is_guest=is_guest))
        task.add_done_callback(lambda _: under_way.pop(key))
        under_way[key] = task
        return task

    async def _in_turn(self, collectivite_id: str, make: _Make, *, is_guest: bool) -> Preview:
        if is_guest:
            async with self._guest_turns.turn(collectivite_id), self._turns.turn(_GUESTS):
                return await make()
        async with self._turns.turn(collectivite_id):
            return await make()


def _documents() -> _Queue:
    return _Queue((MOST_WAITING, MOST_OF_ONE), (MOST_GUESTS, MOST_GUESTS_OF_ONE))


def _photos() -> _Queue:
    guests = (MOST_GUESTS_PHOTOS, MOST_GUESTS_PHOTOS_OF_ONE)
    return _Queue((MOST_PHOTOS, MOST_PHOTOS_OF_ONE), guests, wire.PHOTOS_AT_ONCE)


def suffix_of(name: str, edge_px: int = 0) -> str:
    """The ending of a document's name, with ``edge_px`` of a picture's, in small letters; "" of a file that has no
    preview of this kind."""
    found = wire.suffix_of(name)
    return found if found in (wire.PHOTOS if edge_px else wire.SUFFIXES) else ""


@dataclass
class Maker:
    """``socket``: of the process ``previews``; None where there is none."""

    socket: Path | None
    _kept: OrderedDict[_Key, Preview | _Refused] = field(default_factory=OrderedDict, init=False)
    _kept_bytes: int = field(default=0, init=False)
    _documents: _Queue = field(default_factory=_documents, init=False)
    _photos: _Queue = field(default_factory=_photos, init=False)

    async def preview(
        self, collectivite_id: str, bodies: Bodies, body: Body, *, is_guest: bool = False, edge_px: int = 0
    ) -> Preview:
        """``is_guest``: who holds a link asks. ``edge_px``: one of ``wire.EDGES_PX`` for a thumbnail of a picture.

        Errors: AbsentNode (of this file there is none), Frozen, TooLarge, NotShown, Ended, TooManyWait, those of the
        bodies.
        """
        suffix = suffix_of(body.name, edge_px)
        if not suffix or self.socket is None:
            raise AbsentNode("file")
        bodies.require(body.sha256)
        if not body.size_bytes:
            raise NotShown("unreadable")
        if body.size_bytes > wire.MAX_DOCUMENT_BYTES:
            raise TooLarge(wire.MAX_DOCUMENT_BYTES)
        key = collectivite_id, body.sha256, suffix, edge_px
        if not self._is_kept(key):
            queue = self._photos if edge_px else self._documents
            task = queue.under_way[False].get(key) or (queue.under_way[True].get(key) if is_guest else None)
            if task is None:
                task = queue.begin(key, partial(self._make, key, bodies, body), is_guest=is_guest)
            try:
                # Whoever goes away leaves the others, and the next visit, what was begun for them.
                async with asyncio.timeout(PATIENCE_S):
                    return await asyncio.shield(task)
            except TimeoutError:
                raise TooManyWait from None
        return self._found(key)

    async def _make(self, key: _Key, bodies: Bodies, body: Body) -> Preview:
        if self._is_kept(key):  # made for the others meanwhile
            return self._found(key)
        assert self.socket is not None
        data = b"".join([piece async for piece in bodies.read(body, 0, body.size_bytes)])
        try:
            made = await asyncio.to_thread(_ask, self.socket, key[2], data, key[3])
        except NotShown as refused:
            self._keep(key, _Refused(refused.why, clock.steady_s() + REFUSED_KEPT_S))
            raise
        self._keep(key, made)
        return made

    def _is_kept(self, key: _Key) -> bool:
        found = self._kept.get(key)
        return found is not None and (isinstance(found, Preview) or clock.steady_s() < found.until_s)

    def _found(self, key: _Key) -> Preview:
        """Errors: NotShown."""
        self._kept.move_to_end(key)
        found = self._kept[key]
        if isinstance(found, _Refused):
            raise NotShown(found.why)
        return found

    def _keep(self, key: _Key, made: Preview | _Refused) -> None:
        # A guest and a colleague may have had one picture made at once.
        self._kept_bytes += _size_bytes(made) - _size_bytes(self._kept.get(key))
        self._kept[key] = made
        while self._kept_bytes > MOST_KEPT_BYTES or len(self._kept) > MOST_KEPT:
            self._kept_bytes -= _size_bytes(self._kept.popitem(last=False)[1])


def _ask(socket: Path, suffix: str, data: bytes, edge_px: int) -> Preview:
    """Errors: NotShown, Ended."""
    try:
        return wire.ask(socket, suffix, data, timeout_s=PATIENCE_S, edge_px=edge_px)
    except OSError as error:
        log.warning("previews cannot be made: %s", type(error).__name__)
        raise Ended from None


def _size_bytes(made: Preview | _Refused | None) -> int:
    return made.size_bytes if isinstance(made, Preview) else 0
