"""How random a file looks, block by block: beginning, blocks spread over it, end.

A block's density is its size after zstd over its size before: 0 for zeros, about 0.5 for text, 1 for what was
encrypted, and 1 for most of what is compressed already. So density alone accuses nobody (a third of a town hall's
files are that dense); a density that rises where the version before had none is a sign.
"""

from __future__ import annotations

import msgspec
import zstandard

from beffroi.drive.guard.reading import Reader, spread

BLOCK_BYTES = 4096
BLOCKS = 16
"""Looked at in one file: the first, the last, and the others evenly between them."""
RANDOM = 1.0
"""From this density on, a block looks random."""
_LEAST_BYTES = 256  # below, the frame weighs as much as the content


class Noise(msgspec.Struct, frozen=True, array_like=True):
    """Densities from 0 to 1: of the first block, of the last, the mean; and the shares of blocks that look random, and
    that are blank."""

    head: float = 0.0
    tail: float = 0.0
    mean: float = 0.0
    random_share: float = 0.0
    blank_share: float = 0.0


def density(block: bytes, packer: zstandard.ZstdCompressor) -> float:
    """0 to 1; below _LEAST_BYTES nothing can be said, and it is 0."""
    if len(block) < _LEAST_BYTES:
        return 0.0
    return min(1.0, len(packer.compress(block)) / len(block))


def density_of(block: bytes) -> float:
    """``density`` of one block."""
    return density(block, zstandard.ZstdCompressor(level=1, write_checksum=False, write_content_size=False))


def measure(reader: Reader) -> Noise:
    """Errors: reading.Spent."""
    packer = zstandard.ZstdCompressor(level=1, write_checksum=False, write_content_size=False)
    count = max(1, reader.size_bytes // BLOCK_BYTES)  # a last block that is not full is left out
    blocks = [reader.at(number * BLOCK_BYTES, BLOCK_BYTES) for number in spread(count, BLOCKS)]
    found = [density(block, packer) for block in blocks]
    return Noise(
        head=round(found[0], 3),
        tail=round(found[-1], 3),
        mean=round(sum(found) / len(found), 3),
        random_share=round(sum(one >= RANDOM for one in found) / len(found), 3),
        blank_share=round(sum(not block.strip(b"\0") for block in blocks) / len(blocks), 3),
    )
