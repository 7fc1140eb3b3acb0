"""Acknowledgements: lines that a box sends up the connection on which it follows the feed.

Purpose: tens of thousands of boxes say what they enforce within seconds of a decision. The request that opened the
         connection was signed; each line costs a fiftieth of a signed request of its own (decision 0026).
Process: stream, relays; the event loop.
Input:   hostile boxes: a line is sized and rated, numbers are bounded, only the box's own channels count. A line that
         is not sound ends the connection; too many are read later, and only that box waits.
Fails:   what is not committed is kept, the newest of each box and channel, and tried again. A process that dies takes
         it along and cuts its boxes, which say again what they enforce when they come back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from beffroi_protocol.errors import MessageTooLarge
from beffroi_protocol.messages import MAX_UPLINK_LINE_BYTES, Ack, AckBatch, decode
from beffroi_protocol.table import overlay

from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.lib.limits import RateLimit
from beffroi.stream.store import BoxRow, Store

log = logging.getLogger("beffroi.stream")

ACK_WINDOW_S = 0.03
"""Acknowledgements of hundreds of boxes arrive together: one commit for all of such a window."""
RETRY_S = 1.0
MAX_ACKS = 8
MAX_NUMBER = 2**53
LINES_BURST, LINES_PER_S = 600.0, 20.0
SLOWED_S = 0.25

Enforced = Callable[[BoxRow, Ack], None]


@dataclass
class _Said:
    """What one box said and no commit holds yet."""

    box: BoxRow
    acks: dict[str, Ack] = field(default_factory=dict)
    versions: tuple[int, str] = (0, "")

    def hear(self, acks: Iterable[Ack]) -> None:
        """The furthest of each channel counts, whichever of the box's threads spoke first."""
        for ack in acks:
            known = self.acks.get(ack.channel)
            if known is None or (ack.epoch, ack.version) >= (known.epoch, known.version):
                self.acks[ack.channel] = ack


class Acks:
    """Collects what boxes say and commits it together. ``on_enforced`` is called after the commit."""

    def __init__(
        self, run: Callable[[Callable[[], object]], Awaitable[object]], store: Store, on_enforced: Enforced
    ) -> None:
        self._run = run
        self._store = store
        self._on_enforced = on_enforced
        self._limit = RateLimit(burst=LINES_BURST, per_s=LINES_PER_S)
        self._waiting: dict[str, _Said] = {}
        self._versions: dict[str, tuple[int, str]] = {}  # as committed; they seldom change
        self._flushed: asyncio.Task[None] | None = None

    def uplink(self, box: BoxRow, still_there: Callable[[], bool]) -> Uplines:
        """Return the reader of one connection's lines."""
        self._versions.pop(box.id, None)  # another process may have heard of others since
        return Uplines(self, box, still_there)

    def may_read(self, box: BoxRow, lines: int) -> bool:
        """False while the box said too much: it waits, and nobody else does."""
        now_s = asyncio.get_running_loop().time()
        return self._limit.take(box.id, min(lines, LINES_BURST), now_s=now_s)

    def take(self, box: BoxRow, batch: AckBatch) -> None:
        """Keep until the next commit. Errors: Invalid."""
        own = ("box", overlay("box", box.collectivite_id))
        if len(batch.acks) > MAX_ACKS or not all(_sound(ack, own) for ack in batch.acks):
            raise Invalid("acks")
        told = batch.agent_version
        if not 0 <= batch.policy_version < 2**31 or len(told) > 40 or not told.isprintable():
            raise Invalid("acks")
        said = self._waiting.setdefault(box.id, _Said(box))
        said.hear(batch.acks)
        said.versions = (batch.policy_version, batch.agent_version)
        if self._flushed is None:
            self._flushed = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        pause_s = ACK_WINDOW_S
        while self._waiting:
            await asyncio.sleep(pause_s)
            taken, self._waiting = self._waiting, {}
            try:
                await self._commit(taken)
                pause_s = ACK_WINDOW_S
            except Exception as error:  # noqa: BLE001 - a full disk, a locked database: the words are kept
                log.error(
                    "acknowledgements not stored, kept: %s", getattr(error, "code", type(error).__name__)
                )
                self._keep(taken)
                pause_s = RETRY_S
        self._flushed = None

    async def _commit(self, taken: dict[str, _Said]) -> None:
        acks = [(box_id, ack) for box_id, said in taken.items() for ack in said.acks.values()]
        versions = {
            box_id: said.versions
            for box_id, said in taken.items()
            if said.versions != self._versions.get(box_id)
        }
        await self._run(lambda: self._store.put_acks(acks, versions))
        self._versions.update(versions)
        for said in taken.values():
            for ack in said.acks.values():
                self._on_enforced(said.box, ack)

    def _keep(self, taken: dict[str, _Said]) -> None:
        """At most one of each box: the memory is bounded by the fleet."""
        for box_id, said in taken.items():
            if (newer := self._waiting.get(box_id)) is None:
                self._waiting[box_id] = said
            else:
                newer.hear(said.acks.values())

    async def close(self) -> None:
        """One more commit; what it cannot store is said again by the boxes."""
        if self._flushed is not None:
            self._flushed.cancel()
        taken, self._waiting = self._waiting, {}
        if taken:
            try:
                await self._commit(taken)
            except BeffroiError as error:
                log.error("acknowledgements not stored: %s", error.code)


class Uplines:
    """The lines of one connection. ``still_there``: False once the box was revoked or replaced."""

    __slots__ = ("_acks", "_lines", "_rest", "_still_there", "box")

    def __init__(self, acks: Acks, box: BoxRow, still_there: Callable[[], bool]) -> None:
        self.box = box
        self._acks = acks
        self._still_there = still_there
        self._rest = b""
        self._lines: list[bytes] = []

    def take(self, data: bytes) -> float:
        """Hear what came. Return 0.0, or the seconds after which to call again, with nothing more read meanwhile.

        Errors: BeffroiError, ProtocolError: the connection shall end.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines += lines
        if len(self._rest) > MAX_UPLINK_LINE_BYTES:
            raise MessageTooLarge(len(self._rest))
        if self._lines and not self._acks.may_read(self.box, len(self._lines)):
            return SLOWED_S
        lines, self._lines = self._lines, []
        for line in lines:
            if len(line) > MAX_UPLINK_LINE_BYTES:
                raise MessageTooLarge(len(line))
            if line and self._still_there():  # an empty one only says that the box is there
                self._acks.take(self.box, decode(line, AckBatch))
        return 0.0


def _sound(ack: Ack, own: tuple[str, ...]) -> bool:
    return (
        ack.channel in own
        and 0 <= ack.epoch < 2**31
        and 0 <= ack.version < MAX_NUMBER
        and 0 <= ack.enforced_at_ms < MAX_NUMBER
    )
