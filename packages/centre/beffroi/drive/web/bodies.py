"""What the handlers ask of the store of contents: take a body in, give a range of one out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol

from beffroi.drive.store.model import Content


class Bodies(Protocol):
    """The contents of one collectivité."""

    async def receive(self, pieces: AsyncIterator[bytes], expected_bytes: int | None) -> Content:
        """Seal and store a body; nothing of it is visible before its content is committed.

        ``expected_bytes``: its length where the client said it. Errors: those of ``pieces``, StoreFull, Unavailable.
        """

    def read(self, manifest: bytes, start: int, end: int) -> AsyncGenerator[bytes]:
        """Bytes ``start`` to ``end`` (exclusive), in pieces, each proved. Errors: Unavailable, those of the store."""


type BodiesOf = Callable[[str], Bodies]
"""By the collectivité's identifier."""
