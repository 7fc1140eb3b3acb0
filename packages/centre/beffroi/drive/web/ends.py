"""The two ends of a body that comes, so that it can be said what it is before it is kept. Pure.

Hostile: every byte. Nothing is opened: kinds are told by how they begin and end (``guard.kinds``, ``scan.kinds``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from beffroi.drive.guard import kinds
from beffroi.drive.guard.formats import armour
from beffroi.drive.guard.reading import EDGE_BYTES, Limits, Reader, Spent
from beffroi.lib.errors import TooLarge
from beffroi.scan import kinds as scan

_HEAD_BYTES = 2 * EDGE_BYTES
_LIMITS = Limits(read_bytes=2 * _HEAD_BYTES)
"""A file that is read whole is one that the head holds."""
_NEVER = frozenset({scan.PROGRAM, scan.DISGUISED, scan.SHORTCUT, scan.DISK_IMAGE})


@dataclass
class Ends:
    """A Readable of what is kept; in between there is nothing."""

    size_bytes: int = 0
    _head: bytes = field(default=b"", init=False)
    _tail: bytes = field(default=b"", init=False)

    async def of(self, pieces: AsyncIterator[bytes], most_bytes: int) -> AsyncIterator[bytes]:
        """The pieces, unchanged. Errors: TooLarge."""
        async for piece in pieces:
            self.size_bytes += len(piece)
            if self.size_bytes > most_bytes:
                raise TooLarge(most_bytes)
            self._head += piece[: _HEAD_BYTES - len(self._head)]
            self._tail = (self._tail + piece)[-EDGE_BYTES:]
            yield piece

    def read(self, offset: int, length: int, /) -> bytes:
        if offset + length <= len(self._head) or self.size_bytes == len(self._head):
            return self._head[offset : offset + length]
        at = offset - (self.size_bytes - len(self._tail))
        return self._tail[at : at + length] if at >= 0 else b""

    def is_refused(self, name: str, types: str) -> bool:
        """Whether it is something that runs; or, where a link takes some types alone, not what its name says."""
        extension, before = scan.extensions(name)
        detected = scan.detect(self._head)
        if scan.found([scan.File(extension, before, detected)]) & _NEVER or scan.hides(name):
            return True
        promised = kinds.by_name(name)
        if not types or not promised:
            return False
        try:
            found = kinds.by_content(Reader(self, self.size_bytes, _LIMITS))
        except Spent:
            return True
        if found == armour.KIND:
            found = "text"  # a list of numbers, too, is one
        return kinds.family(found) != kinds.family(promised)
