"""What boxes post: facts.

Process: stream.
Input:   hostile boxes: every post is signed, sized and rated; numbers are bounded; a fact's identifier counts
         only within its box, so that no box can take another's.
Fails:   a fact is answered with 200 only after its commit; a lost answer is harmless, since the box repeats
         and the identifier makes one of two. The answer says up to which of its posts all are here, so that a
         box notices a centre that was restored from a backup (decision 0050).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.facts import Fact, FactBatch, FactsTaken
from beffroi_protocol.indicators import Indicator, normalise
from beffroi_protocol.messages import MAX_POST_BYTES, decode, encode

from beffroi.lib.errors import Invalid
from beffroi.lib.limits import RateLimit
from beffroi.stream.answers import TooMany
from beffroi.stream.store import BoxRow, FactRow, Store

MAX_FACTS = 500
MAX_FACT_ID = 64
MAX_NUMBER = 2**53
POSTS_BURST, POSTS_PER_S = 60.0, 2.0
FACTS_BURST, FACTS_PER_S = 2000.0, 20.0
BYTES_BURST, BYTES_PER_S = 4.0 * MAX_POST_BYTES, 16.0 * 1024
"""Of bodies, inflated: a fact of an honest box has some hundred bytes, and each byte of a hostile one lies in the
database for weeks."""


class Facts:
    """Stores facts durably, once each."""

    def __init__(self, run: Callable[[Callable[[], int]], Awaitable[int]], store: Store) -> None:
        self._run = run
        self._store = store
        self._posts = RateLimit(burst=POSTS_BURST, per_s=POSTS_PER_S)
        self._facts = RateLimit(burst=FACTS_BURST, per_s=FACTS_PER_S)
        self._bytes = RateLimit(burst=BYTES_BURST, per_s=BYTES_PER_S)

    async def take(self, box: BoxRow, body: bytes) -> FactsTaken:
        """Return what the box is answered. Errors: TooMany, Invalid, MessageMalformed, VersionUnknown,
        IndicatorInvalid, Unavailable."""
        now_s = asyncio.get_running_loop().time()
        if not (
            self._posts.take(box.id, 1, now_s=now_s) and self._bytes.take(box.id, len(body), now_s=now_s)
        ):
            raise TooMany
        batch = decode(body, FactBatch)
        if len(batch.facts) > MAX_FACTS:
            raise Invalid("facts")
        rows = [_row(box, fact) for fact in batch.facts]
        if not self._facts.take(box.id, len(rows), now_s=now_s):
            raise TooMany
        told = await self._run(
            lambda: self._store.put_facts(box, rows, after=batch.after, number=batch.number)
        )
        return FactsTaken(len(rows), told)


def _row(box: BoxRow, fact: Fact) -> FactRow:
    """Check a fact and key it to its box. Errors: Invalid, IndicatorInvalid."""
    if not fact.id or len(fact.id) > MAX_FACT_ID or not fact.id.isascii() or not fact.id.isprintable():
        raise Invalid("fact id")
    for name in fact.__struct_fields__:
        _check_value(getattr(fact, name))
    kind = str(fact.__struct_config__.tag)
    # PostgreSQL keeps no null byte: who reads the fact would fail at it, and those of every box wait behind.
    return FactRow(f"{box.id}:{fact.id}", kind, encode(fact).decode().replace(r"\u0000", r"\ufffd"))


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
