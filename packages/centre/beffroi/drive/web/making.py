"""Previews of office documents and PDFs, as the process ``previews`` makes them: asked for once, kept in memory alone.

Process: drive. Kept by the digest of the content, until MOST_KEPT_BYTES of others came.
Rule:    one at a time, for colleagues and for who holds a link. Of those that links asked for MOST_GUESTS wait at most,
         so that no stranger keeps a town hall from its own; of one collectivité MOST_OF_ONE, and their turns come after
         one of each other that waits: documents that take long keep no other town hall waiting for more than one.
Hostile: the documents, and what was made of them.
Fails:   closed: no preview.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from beffroi.drive.store.model import AbsentNode
from beffroi.drive.web.bodies import Bodies
from beffroi.drive.web.given import Body
from beffroi.lib.errors import BeffroiError, TooLarge
from beffroi.previews import wire
from beffroi.previews.wire import Ended, NotShown, Preview

MOST_KEPT_BYTES = 64 * 1024 * 1024
MOST_REFUSED = 1000
MOST_WAITING, MOST_OF_ONE, MOST_GUESTS = 12, 4, 2
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


def suffix_of(name: str) -> str:
    """The ending of a document's name, in small letters; "" of a file that has no preview of this kind."""
    found = name.rpartition(".")[2].lower()
    return found if found in wire.SUFFIXES else ""


@dataclass
class Maker:
    """``socket``: of the process ``previews``; None where there is none."""

    socket: Path | None
    _kept: OrderedDict[_Key, Preview | NotShown] = field(default_factory=OrderedDict, init=False)
    _kept_bytes: int = field(default=0, init=False)
    _made: dict[_Key, asyncio.Task[Preview]] = field(default_factory=dict, init=False)
    _guests: set[_Key] = field(default_factory=set, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _own_turns: WeakValueDictionary[str, asyncio.Lock] = field(
        default_factory=WeakValueDictionary, init=False
    )

    async def preview(
        self, collectivite_id: str, bodies: Bodies, body: Body, *, is_guest: bool = False
    ) -> Preview:
        """``is_guest``: who holds a link asks.

        Errors: AbsentNode (of this file there is none), Frozen, TooLarge, NotShown, Ended, TooManyWait, those of the
        bodies.
        """
        suffix = suffix_of(body.name)
        if not suffix or self.socket is None:
            raise AbsentNode("file")
        bodies.require(body.sha256)
        if not body.size_bytes:
            raise NotShown("unreadable")
        if body.size_bytes > wire.MAX_DOCUMENT_BYTES:
            raise TooLarge(wire.MAX_DOCUMENT_BYTES)
        key = collectivite_id, body.sha256, suffix
        found = self._kept.get(key)
        if found is None:
            if key not in self._made:
                of_one = sum(one[0] == collectivite_id for one in self._made)
                if (
                    len(self._made) >= MOST_WAITING
                    or of_one >= MOST_OF_ONE
                    or (is_guest and len(self._guests) >= MOST_GUESTS)
                ):
                    raise TooManyWait
                if is_guest:
                    self._guests.add(key)
                self._made[key] = asyncio.create_task(self._make(key, self.socket, bodies, body))
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

    async def _make(self, key: _Key, socket: Path, bodies: Bodies, body: Body) -> Preview:
        own_turn = self._own_turns.setdefault(key[0], asyncio.Lock())
        try:
            async with own_turn, self._turn:
                data = b"".join([piece async for piece in bodies.read(body, 0, body.size_bytes)])
                made = await asyncio.to_thread(_ask, socket, key[2], data)
            self._keep(key, made)
            return made
        except NotShown as refused:
            self._keep(key, refused)
            raise
        finally:
            del self._made[key]
            self._guests.discard(key)

    def _keep(self, key: _Key, made: Preview | NotShown) -> None:
        self._kept[key] = made
        self._kept_bytes += _size_bytes(made)
        while self._kept_bytes > MOST_KEPT_BYTES or len(self._kept) > MOST_REFUSED:
            self._kept_bytes -= _size_bytes(self._kept.popitem(last=False)[1])


def _ask(socket: Path, suffix: str, data: bytes) -> Preview:
    """Errors: NotShown, Ended."""
    try:
        return wire.ask(socket, suffix, data, timeout_s=PATIENCE_S)
    except OSError as error:
        log.warning("previews cannot be made: %s", type(error).__name__)
        raise Ended from None


def _size_bytes(made: Preview | NotShown) -> int:
    return made.size_bytes if isinstance(made, Preview) else 0
