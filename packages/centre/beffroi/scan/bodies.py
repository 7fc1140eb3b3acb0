"""What is looked at: bytes that are held, or a content that is too long for that and is read by position. Pure.

Purpose: one look for both. Of a long content two windows are held at most, whatever its length.
Hostile: every byte, not the length: that is the word of who asks.
Fails:   closed: what cannot be had of a long content ends the look (``worker.Handed``).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

WINDOW_BYTES = 32 * 1024 * 1024
OVERLAP_BYTES = 1024 * 1024
"""What a rule looks for may lie across two windows, as far as it is no longer than this."""
_HEAD_BYTES, _TAIL_BYTES = 4 * 1024 * 1024, 128 * 1024
_BLOCK_BYTES = 256 * 1024


class Long(io.RawIOBase):
    """``ask``: (offset, length) → exactly these bytes, within the content.

    What is read as a stream is asked for in blocks, and the last one is kept: readers of PDF go backwards, in small
    steps.
    """

    def __init__(self, size_bytes: int, ask: Callable[[int, int], bytes]) -> None:
        self.size_bytes = size_bytes
        self._ask, self._at = ask, 0
        self._block_at, self._block = 0, b""

    def at(self, offset: int, length: int) -> bytes:
        """Fewer bytes at the end alone. Errors: those of ``ask``."""
        length = min(length, self.size_bytes - offset)
        return self._ask(offset, length) if length > 0 and offset >= 0 else b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size_bytes}[whence]
        if start + offset < 0:
            raise ValueError("before the beginning")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        start = self._at - self._at % _BLOCK_BYTES
        if start != self._block_at or not self._block:
            self._block = self.at(start, _BLOCK_BYTES)
            self._block_at = start
        data = self._block[self._at - start :][: len(view)]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


type Body = bytes | Long


def length(body: Body) -> int:
    return len(body) if isinstance(body, bytes) else body.size_bytes


def ends(body: Body) -> bytes:
    """All of it, or its beginning and its end: enough to tell what it is (``kinds.detect``)."""
    if isinstance(body, bytes):
        return body
    if body.size_bytes <= _HEAD_BYTES + _TAIL_BYTES:
        return body.at(0, body.size_bytes)
    return body.at(0, _HEAD_BYTES) + body.at(body.size_bytes - _TAIL_BYTES, _TAIL_BYTES)


def head(body: Body) -> bytes:
    """All of it, or its beginning."""
    return body if isinstance(body, bytes) else body.at(0, _HEAD_BYTES)


def part(body: Body, start: int, length: int) -> bytes:
    """Fewer bytes at the end alone."""
    return body[start : start + length] if isinstance(body, bytes) else body.at(start, length)


def behind(body: Body, start: int) -> Body:
    """What begins there."""
    if isinstance(body, bytes):
        return body[start:]
    return Long(body.size_bytes - start, lambda offset, length: body.at(start + offset, length))


def windows(body: Body) -> Iterator[bytes]:
    """All of it; of a long one window by window, each full, so that what a rule says of a file's length holds."""
    if isinstance(body, bytes):
        yield body
        return
    last = max(0, body.size_bytes - WINDOW_BYTES)
    for start in range(0, last, WINDOW_BYTES - OVERLAP_BYTES):
        yield body.at(start, WINDOW_BYTES)
    yield body.at(last, WINDOW_BYTES)


def stream(body: Body) -> BinaryIO:
    if isinstance(body, bytes):
        return io.BytesIO(body)
    body.seek(0)
    return cast(BinaryIO, io.BufferedReader(body))
