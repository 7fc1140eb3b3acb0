"""Bodies on their way: no longer than they may be, and what they hold once they are stored.

Process: drive. Hostile: how much comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from beffroi.drive.store.chunking import Digests
from beffroi.drive.web.bodies import Bodies, Kept
from beffroi.lib.errors import TooLarge


async def at_most(pieces: AsyncIterator[bytes], most_bytes: int) -> AsyncIterator[bytes]:
    """Errors: TooLarge."""
    size_bytes = 0
    async for piece in pieces:
        size_bytes += len(piece)
        if size_bytes > most_bytes:
            raise TooLarge(most_bytes)
        yield piece


async def read_back(bodies: Bodies, kept: Kept, size_bytes: int) -> tuple[str, str]:
    """SHA-1 and SHA-256 of what is stored, in hex. Errors: those of ``Bodies.read``."""
    digests = Digests()
    async for piece in bodies.read(kept, 0, size_bytes):
        await asyncio.to_thread(
            digests.update, piece
        )  # milliseconds each, and of a long file thousands of them
    return digests.sha1.hex(), digests.sha256.hex()
