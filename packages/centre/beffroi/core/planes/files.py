"""Files named by the digest of their content: the bulk lists of STATE/lists, the snapshots of STATE/feed.

Purpose: one way to name them and to compress them, for the core and for the planes (written by ``lib.durable``).
Process: cli and worker write lists; stream writes snapshots and serves both.
Format:  zlib; the digest and the size are those of the uncompressed content.
Fails:   zlib.error for content that is damaged.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

_PIECE_BYTES = 256 * 1024
_LEVEL = 6


def list_file(state: Path, sha256: str) -> Path:
    """The compressed content of a bulk list."""
    return state / "lists" / f"{sha256}.zlib"


def software_file(state: Path, sha256: str) -> Path:
    """The compressed package of a release for boxes."""
    return state / "software" / f"{sha256}.zlib"


def compressed(content: bytes) -> Iterator[bytes]:
    packer = zlib.compressobj(_LEVEL)
    for start in range(0, len(content), _PIECE_BYTES):
        yield packer.compress(content[start : start + _PIECE_BYTES])
    yield packer.flush()


def decompressed(pieces: Iterable[bytes], *, limit_bytes: int) -> Iterator[bytes]:
    """Yield the content in pieces of at most 256 KiB. Errors: zlib.error (damaged, cut off, or over the limit)."""
    opener, size_bytes = zlib.decompressobj(), 0
    for packed in pieces:
        rest = packed
        while rest:
            piece = opener.decompress(rest, _PIECE_BYTES)
            rest = opener.unconsumed_tail
            size_bytes += len(piece)
            if size_bytes > limit_bytes:
                raise zlib.error("longer than announced")
            if piece:
                yield piece
    if not opener.eof:
        raise zlib.error("cut off")
