"""Where a body is cut, what its chunks are called, and what its checksums are.

Process: every one that takes files in. No I/O.
Hostile: the body's length as its sender declared it: it chooses between two ways of cutting, nothing else.
Source:  docs/internals/drive-format.md; FastCDC, https://ieeexplore.ieee.org/document/9055082
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property

from blake3 import blake3
from pyfastcdc import FastCDC

CHUNK_BYTES = 4 << 20
"""No chunk is longer."""
INLINE_BYTES = 64 << 10
"""A chunk of up to that stays with the metadata: one commit takes it, no file of its own."""
WHOLE_BYTES = 256 << 10
"""A body of up to that is one chunk; no chunk but the last of a body is shorter."""
FIXED_FROM_BYTES = 64 << 20
"""A longer body is cut at fixed places: videos and archives do not change in their middle."""
_AVERAGE_BYTES = 1 << 20
ID_BYTES = 32


def chunk_id(naming_key: bytes, data: bytes | bytearray | memoryview) -> bytes:
    """Name of a chunk: 32 bytes of BLAKE3 under the collectivité's key. The same content has another name elsewhere."""
    return blake3(data, key=naming_key).digest()


class Chunker:
    """Cuts one body into chunks, whatever the pieces in which it comes.

    Holds at most CHUNK_BYTES and one piece. ``expected_bytes``: length of the body where it is known. Where it is not,
    the body is cut by content until FIXED_FROM_BYTES, at fixed places from there on. ``seed``: asked at the first cut.
    """

    def __init__(self, seed: Callable[[], int], expected_bytes: int | None = None) -> None:
        self._seed = seed
        self._by_content = expected_bytes is None or expected_bytes <= FIXED_FROM_BYTES
        self._held = bytearray()
        self._cut_bytes = 0

    def feed(self, piece: bytes | bytearray | memoryview) -> list[bytes | bytearray]:
        """Take the next piece of the body; return the chunks that are whole now, in order."""
        chunks = []
        if self._is_cut_by_content:
            self._held += piece
            while len(self._held) >= CHUNK_BYTES:
                # So much is what the cutter needs to see to cut once, for good.
                chunks.append(self._next())
            return chunks
        left = memoryview(piece)
        while left:
            missing_bytes = CHUNK_BYTES - len(self._held)
            self._held += left[:missing_bytes]
            left = left[missing_bytes:]
            if len(self._held) == CHUNK_BYTES:
                chunks.append(self._next())
        return chunks

    def close(self) -> list[bytes | bytearray]:
        """The body ends here; return its last chunks, none for an empty one."""
        return list(self._rest())

    def _rest(self) -> Iterator[bytes | bytearray]:
        if not self._cut_bytes and 0 < len(self._held) <= WHOLE_BYTES:
            yield self._all()
        while self._held:
            yield self._next()

    @property
    def _is_cut_by_content(self) -> bool:
        return self._by_content and self._cut_bytes < FIXED_FROM_BYTES

    @cached_property
    def _cutter(self) -> FastCDC:
        return FastCDC(_AVERAGE_BYTES, min_size=WHOLE_BYTES, max_size=CHUNK_BYTES, seed=self._seed())

    def _next(self) -> bytes | bytearray:
        length = min(len(self._held), CHUNK_BYTES)
        if self._is_cut_by_content:
            with memoryview(self._held)[:length] as seen:
                length = next(iter(self._cutter.cut_buf(seen))).length
        if length == len(self._held):
            return self._all()
        with memoryview(self._held) as held:
            chunk = bytes(held[:length])
        del self._held[:length]
        self._cut_bytes += length
        return chunk

    def _all(self) -> bytearray:
        """All that is held, without a copy."""
        chunk, self._held = self._held, bytearray()
        self._cut_bytes += len(chunk)
        return chunk


class Digests:
    """Checksums of a whole body, in its order: SHA-1, which sync clients compare, and SHA-256, which doors block by."""

    def __init__(self) -> None:
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._sha1.update(data)
        self._sha256.update(data)

    @property
    def sha1(self) -> bytes:
        return self._sha1.digest()

    @property
    def sha256(self) -> bytes:
        return self._sha256.digest()
