"""What boxes send: acknowledgements and facts.

Process: stream.
Input:   hostile boxes: every post is signed, sized and rated; numbers are bounded; a fact's identifier counts
         only within its box, so that no box can take another's.
Fails:   a fact is answered with 200 only after its commit; a lost answer is harmless, since the box repeats
         and the identifier makes one of two.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.facts import Fact, FactBatch
from beffroi_protocol.indicators import Indicator, normalise
from beffroi_protocol.messages import Ack, AckBatch, decode, encode
from beffroi_protocol.table import overlay

from beffroi.lib.errors import Invalid
from beffroi.stream.answers import TooMany
from beffroi.stream.limits import RateLimit
from beffroi.stream.store import BoxRow, FactRow, Store

log = logging.getLogger("beffroi.stream")

ACK_WINDOW_S = 0.03
"""Acknowledgements of hundreds of boxes arrive together: one commit for all of such a window."""
MAX_ACKS = 8
MAX_FACTS = 500
MAX_FACT_ID = 64
MAX_NUMBER = 2**53
POSTS_BURST, POSTS_PER_S = 60.0, 2.0
FACTS_BURST, FACTS_PER_S = 2000.0, 20.0

Enforced = Callable[[BoxRow, Ack], None]


class Acks:
    """Collects acknowledgements and commits them together. ``on_enforced`` is called after the commit."""

    def __init__(
        self, run: Callable[[Callable[[], object]], Awaitable[object]], store: Store, on_enforced: Enforced
    ) -> None:
        self._run = run
        self._store = store
        self._on_enforced = on_enforced
        self._limit = RateLimit(burst=120.0, per_s=4.0)
        self._waiting: list[tuple[BoxRow, AckBatch]] = []
        self._flushed: asyncio.Task[None] | None = None

    async def take(self, box: BoxRow, body: bytes) -> None:
        """Return after the commit.

        Errors: TooMany, Invalid, MessageMalformed, VersionUnknown, Unavailable.
        """
        if not self._limit.take(box.id, 1, now_s=asyncio.get_running_loop().time()):
            raise TooMany
        batch = decode(body, AckBatch)
        own = ("box", overlay("box", box.collectivite_id))
        if len(batch.acks) > MAX_ACKS or not all(_sound(ack, own) for ack in batch.acks):
            raise Invalid("acks")
        if not 0 <= batch.policy_version < 2**31 or len(batch.agent_version) > 40:
            raise Invalid("acks")
        self._waiting.append((box, batch))
        if self._flushed is None:
            self._flushed = asyncio.create_task(self._flush())
        await asyncio.shield(self._flushed)

    async def _flush(self) -> None:
        await asyncio.sleep(ACK_WINDOW_S)
        taken, self._waiting, self._flushed = self._waiting, [], None
        acks = [(box.id, ack) for box, batch in taken for ack in batch.acks]
        boxes = {box.id: (batch.policy_version, batch.agent_version) for box, batch in taken}
        await self._run(lambda: self._store.put_acks(acks, boxes))
        for box, batch in taken:
            for ack in batch.acks:
                self._on_enforced(box, ack)

    async def close(self) -> None:
        if self._flushed is not None:
            with contextlib.suppress(Exception):
                await self._flushed


def _sound(ack: Ack, own: tuple[str, ...]) -> bool:
    numbers = (ack.version, ack.enforced_at_ms)
    return ack.channel in own and 0 <= ack.epoch < 2**31 and all(0 <= n < MAX_NUMBER for n in numbers)


class Facts:
    """Stores facts durably, once each."""

    def __init__(self, run: Callable[[Callable[[], object]], Awaitable[object]], store: Store) -> None:
        self._run = run
        self._store = store
        self._posts = RateLimit(burst=POSTS_BURST, per_s=POSTS_PER_S)
        self._facts = RateLimit(burst=FACTS_BURST, per_s=FACTS_PER_S)

    async def take(self, box: BoxRow, body: bytes) -> int:
        """Return how many facts are stored. Errors: TooMany, Invalid, MessageMalformed, VersionUnknown,
        IndicatorInvalid, Unavailable."""
        now_s = asyncio.get_running_loop().time()
        if not self._posts.take(box.id, 1, now_s=now_s):
            raise TooMany
        batch = decode(body, FactBatch)
        if len(batch.facts) > MAX_FACTS:
            raise Invalid("facts")
        rows = [_row(box, fact) for fact in batch.facts]
        if not self._facts.take(box.id, len(rows), now_s=now_s):
            raise TooMany
        await self._run(lambda: self._store.put_facts(box, rows))
        return len(rows)


def _row(box: BoxRow, fact: Fact) -> FactRow:
    """Check a fact and key it to its box. Errors: Invalid, IndicatorInvalid."""
    if not fact.id or len(fact.id) > MAX_FACT_ID or not fact.id.isascii() or not fact.id.isprintable():
        raise Invalid("fact id")
    for name in fact.__struct_fields__:
        _check_value(getattr(fact, name))
    kind = str(fact.__struct_config__.tag)
    return FactRow(f"{box.id}:{fact.id}", kind, encode(fact).decode())


def _check_value(value: object) -> None:
    match value:
        case Indicator():
            if normalise(value.kind, value.value) != value:
                raise IndicatorInvalid(value.kind, "not in canonical spelling")
        case int() if not 0 <= value < MAX_NUMBER:
            raise Invalid("number")
        case str() if len(value) > 200:
            raise Invalid("text")
        case tuple():
            if len(value) > 50:
                raise Invalid("list")
            for item in value:
                _check_value(item)
        case dict() if len(value) > 50 or any(len(k) > 60 or len(v) > 500 for k, v in value.items()):
            raise Invalid("evidence")
