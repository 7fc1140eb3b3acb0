"""What a look at a file may read, and the reader that holds it to that.

Process: whichever process looks; no privilege, no file of its own.
Hostile: every byte of the file, and the size that it is said to have.
Fails:   ``Spent`` past a limit, which ``structure.look`` turns into "sound as far as it was read". What the caller's
         own ``read`` raises (a store that cannot be read) passes: that says nothing about the file.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

EDGE_BYTES = 64 * 1024
"""Read at once at the beginning and at the end of a file."""


class Readable(Protocol):
    """Bytes of one version of a file, by position; fewer than ``length`` only at the end."""

    def read(self, offset: int, length: int, /) -> bytes: ...


@dataclass(frozen=True)
class InMemory:
    """A Readable of bytes."""

    data: bytes

    def read(self, offset: int, length: int, /) -> bytes:
        return self.data[offset : offset + length]


@dataclass(frozen=True)
class InFile:
    """A Readable of an open file, which nothing else moves meanwhile."""

    file: BinaryIO

    def read(self, offset: int, length: int, /) -> bytes:
        self.file.seek(offset)
        return self.file.read(length)


@dataclass(frozen=True)
class Limits:
    """Bounds of one look. ``steps``: members, chunks, objects, boxes, records that are looked at."""

    read_bytes: int = 4 * 1024 * 1024
    unpacked_bytes: int = 8 * 1024 * 1024
    steps: int = 4096


class Spent(Exception):
    """A limit is reached: what follows is not judged."""


@dataclass
class Reader:
    """A Readable within limits. A file up to ``whole_bytes`` is read once, at its first use, and kept.

    Shapes: ``at`` gives at most ``length`` bytes, fewer past the end; offsets below 0 and past the end give none.
    Errors: Spent.
    """

    data: Readable
    size_bytes: int
    limits: Limits = field(default_factory=Limits)
    read_bytes: int = 0
    unpacked_bytes: int = 0
    steps: int = 0
    _whole: bytes | None = None
    _edges: dict[int, bytes] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """All of the file may be read."""
        return self.size_bytes <= self.limits.read_bytes // 2

    def at(self, offset: int, length: int) -> bytes:
        if offset < 0 or length <= 0 or offset >= self.size_bytes:
            return b""
        length = min(length, self.size_bytes - offset)
        if self.is_whole:
            if self._whole is None:
                self._whole = self._read(0, self.size_bytes)
            return self._whole[offset : offset + length]
        for start, edge in self._edges.items():
            if start <= offset and offset + length <= start + len(edge):
                return edge[offset - start : offset - start + length]
        if offset + length <= EDGE_BYTES:
            self._edges[0] = self._read(0, EDGE_BYTES)
            return self._edges[0][offset : offset + length]
        last = self.size_bytes - EDGE_BYTES
        if offset >= last:
            self._edges[last] = self._read(last, EDGE_BYTES)
            return self._edges[last][offset - last : offset - last + length]
        return self._read(offset, length)

    def head(self, length: int) -> bytes:
        return self.at(0, length)

    def tail(self, length: int) -> bytes:
        return self.at(max(0, self.size_bytes - length), length)

    def step(self) -> None:
        """Count one member, chunk, object, box or record."""
        self.steps += 1
        if self.steps > self.limits.steps:
            raise Spent

    def inflate(self, data: bytes, *, raw: bool, most_bytes: int = 1024 * 1024) -> tuple[bytes, bool]:
        """What ``data`` unpacks to, up to ``most_bytes``, and whether the stream ended within it.

        Errors: zlib.error where it is no such stream; Spent.
        """
        unpacker = zlib.decompressobj(-15 if raw else 15)
        content = unpacker.decompress(
            data, min(most_bytes, self.limits.unpacked_bytes - self.unpacked_bytes + 1)
        )
        self.unpacked_bytes += len(content)
        if self.unpacked_bytes > self.limits.unpacked_bytes:
            raise Spent
        return content, unpacker.eof

    def _read(self, offset: int, length: int) -> bytes:
        if self.read_bytes + length > self.limits.read_bytes:
            raise Spent
        self.read_bytes += length
        return self.data.read(offset, length)


def spread(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers below ``count``, evenly, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({number * (count - 1) // (most - 1) for number in range(most)})
