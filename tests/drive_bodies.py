"""Contents of the drive in plain files, for tests of what stands above the sealed store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from beffroi.drive.store import refs
from beffroi.drive.store.model import EMPTY, Content

PIECE_BYTES = 256 * 1024


class PlainBodies:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    async def receive(self, pieces: AsyncIterator[bytes], expected_bytes: int | None) -> Content:
        partial = self._directory / f"{os.urandom(8).hex()}.partial"
        sha1, sha256 = hashlib.sha1(), hashlib.sha256()
        try:
            with partial.open("wb") as file:
                async for piece in pieces:
                    file.write(piece)
                    sha1.update(piece)
                    sha256.update(piece)
                size_bytes = file.tell()
                file.flush()
                os.fsync(file.fileno())
            if not size_bytes:
                return EMPTY
            partial.rename(self._directory / sha256.hexdigest())
        finally:
            partial.unlink(missing_ok=True)
        manifest = refs.pack([(sha256.digest(), size_bytes)])
        return Content(size_bytes, sha1.hexdigest(), sha256.hexdigest(), manifest)

    async def read(self, manifest: bytes, start: int, end: int) -> AsyncGenerator[bytes]:
        for chunk_id, _ in refs.unpack(manifest):
            with (self._directory / chunk_id.hex()).open("rb") as file:
                file.seek(start)
                while start < end and (piece := file.read(min(PIECE_BYTES, end - start))):
                    start += len(piece)
                    yield piece
