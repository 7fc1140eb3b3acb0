"""Bodies on their way: no longer than they may be, and what they hold once they are stored.

Process: drive. Hostile: how much comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from beffroi.drive.store.chunking import Digests
from beffroi.drive.store.model import Content
from beffroi.drive.store.uploads import Joined
from beffroi.drive.web.bodies import Bodies
from beffroi.lib.errors import TooLarge


async def at_most(pieces: AsyncIterator[bytes], most_bytes: int) -> AsyncIterator[bytes]:
    """Errors: TooLarge."""
    size_bytes = 0
    async for piece in pieces:
        size_bytes += len(piece)
        if size_bytes > most_bytes:
            raise TooLarge(most_bytes)
        yield piece


async def read_back(bodies: Bodies, joined: Joined) -> Content:
    """What the parts of an upload are together. Errors: those of ``Bodies.read``, also of all that was read."""
    digests = Digests()
    async for piece in bodies.read(joined, 0, joined.size_bytes):
        # Milliseconds each, and of a long file thousands of them.
        await asyncio.to_thread(digests.update, piece)
    content = Content(joined.size_bytes, digests.sha1.hex(), digests.sha256.hex(), joined.manifest)
    bodies.require(content.sha256)
    return content
