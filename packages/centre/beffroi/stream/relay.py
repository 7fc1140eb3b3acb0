"""Relay: holds boîtiers' connections in a process of its own and sends them what the publisher committed.

Purpose: tens of thousands of held connections need more open files and more processors than one process has. The
         publisher alone turns decisions into batches; a relay reads its signed lines from the database and hands on the
         same bytes. It serves the channels of boîtiers; doors of the datacenter and browsers stay with the publisher.
Process: stream --relay N, as many as the setting ``stream_relays``; with the feed key, as the publisher: heartbeats,
         snapshots and policies are signed by whoever sends them.
Input:   rows of the centre's own database. Lines that do not follow one another (a new epoch, a restored backup) make
         it load everything again and cut its boxes, which come back with what they have.
Fails:   its boxes come back to it once the supervisor has started it again; others do not notice.
Source:  docs/internals/feed.md, decision 0022.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.messages import Batch, decode_feed
from beffroi_protocol.signing import Signer, payload_hash, split_line

from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable
from beffroi.stream.archive import Archive
from beffroi.stream.feedlog import FeedLog, Since
from beffroi.stream.hub import Hub
from beffroi.stream.publisher import EVENTS_A_STEP, Publisher, Step
from beffroi.stream.reload import read_channel
from beffroi.stream.store import Event, Store

log = logging.getLogger("beffroi.stream")

BASE = "box"
LINES_A_STEP = 500
PATIENCE_S, RETRY_S = 20.0, 0.2

Claim = Callable[[str, str], None]


class _Broken(Exception):
    """The lines of the database do not follow what this relay holds."""


class Relay(Publisher):
    """As a publisher whose batches another process made. ``tell`` brings a box's claim to the publisher."""

    def __init__(
        self,
        config: Config,
        store: Store,
        signer: Signer,
        hub: Hub,
        on_event: Callable[[Event], None],
        *,
        name: str,
        tell: Claim,
    ) -> None:
        super().__init__(config, store, signer, hub, on_event, directory=f"feed/{name}")
        self._checkpoints = Archive(config.state / "feed")
        self._tell = tell
        self._line_id = 0

    async def start(self) -> None:
        """Load the feed; wait for a publisher that is about to begin an epoch. Errors: Unavailable."""
        loop = asyncio.get_running_loop()
        patient_until_s = loop.time() + PATIENCE_S
        while True:
            try:
                return await super().start()
            except Unavailable:
                if loop.time() > patient_until_s:
                    raise
            await asyncio.sleep(RETRY_S)

    def _load(self) -> None:
        """In the thread. Errors: Unavailable (no database, or the publisher is about to begin an epoch)."""
        self.archive.sweep()
        # What comes between these queries is found again by the first steps, and known or new to them.
        position, line_id = self._store.last_event(), self._store.last_line()
        rows = self._store.channels()
        epoch = max((row.epoch for row in rows), default=0) or 1
        feed = FeedLog(epoch, self._snapshots.lines)
        for row in rows:
            if not _carried(row.channel):
                continue
            made = None
            if row.epoch == epoch:
                made, _ = read_channel(feed, self._store, row, self._checkpoints)
            # It may have gone on since its row was read, but never back.
            if made is None or made.channel.version < row.version:
                raise Unavailable("The feed")
        self._snapshots.clear()
        self._policies.clear()
        self._audit_head = self._store.audit_head()
        self.feed, self.position, self._line_id = feed, position, line_id

    async def step(self) -> bool:
        """Hand on what is new; True when there may be more at once. Errors: Unavailable."""
        try:
            return await super().step()
        except _Broken:
            log.warning("the feed was begun anew: loading it")
        async with self._lock:
            await self._in_thread(self._load)
            self._hub.close_all()
        return True

    def _make(self) -> Step:
        """In the thread: read what the publisher committed. Changes nothing in memory but where to read on."""
        events = self._store.events_after(self.position, EVENTS_A_STEP)
        rows = self._store.lines_after(self._line_id, BASE, LINES_A_STEP)
        if self._store.epoch() > self.feed.epoch:
            raise _Broken
        at: dict[str, tuple[int, str]] = {}
        made = []
        for _, name, line in rows:
            batch = _batch(line)
            known = self.feed.logs.get(name)
            held = (known.channel.version, known.channel.head) if known is not None else (0, "")
            version, head = at.get(name, held)
            if batch.epoch == self.feed.epoch and batch.to_version <= version:
                continue  # read with the channel already
            if batch.epoch != self.feed.epoch or (batch.from_version, batch.prev) != (version, head):
                raise _Broken
            at[name] = (batch.to_version, payload_hash(split_line(line)[2]))
            made.append((batch, line))
        if rows:
            self._line_id = rows[-1][0]
        position = events[-1].id if events else self.position
        return Step(tuple(events), tuple(made), position, more=len(rows) == LINES_A_STEP)

    def _checkpoint_due(self, names: list[str]) -> None:
        """The publisher's: a relay writes a snapshot only when a box needs a file."""

    async def _checkpoint_old(self) -> None:
        """The publisher's, too."""

    async def claim(self, witness: str, since: list[Since], *, trusted: bool) -> bool:
        """Look again whether the box is ahead of the publisher, or only of this relay; then the publisher judges."""
        while await self.step():
            pass
        if self.feed.is_ahead(since):
            self._tell(witness, ",".join(f"{s.channel}:{s.epoch}:{s.version}:{s.head}" for s in since))
        return False

    async def raise_epoch(self, seen: int = 0) -> bool:
        """Never: the publisher alone does."""
        return False


def _carried(channel: str) -> bool:
    return channel == BASE or channel.startswith(BASE + "@")


def _batch(line: bytes) -> Batch:
    """Errors: _Broken."""
    try:
        message = decode_feed(split_line(line)[2])
    except ProtocolError:
        raise _Broken from None
    if not isinstance(message, Batch):
        raise _Broken
    return message
