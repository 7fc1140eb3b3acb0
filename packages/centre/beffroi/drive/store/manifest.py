"""What a body consists of: its chunks in their order. Pure; docs/internals/drive-format.md describes the bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from beffroi.drive.store.chunking import CHUNK_BYTES, ID_BYTES
from beffroi.lib.errors import BeffroiError

_VERSION = 1
_ENTRY_BYTES = ID_BYTES + 4


class ManifestBroken(BeffroiError):
    """The list of what a file is made of cannot be read; restore it from a backup."""

    code = "drive.manifest_broken"


class Chunk(NamedTuple):
    id: bytes
    length: int


@dataclass(frozen=True)
class Manifest:
    """The chunks of a body, in its order."""

    chunks: tuple[Chunk, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(one.length for one in self.chunks)

    def pack(self) -> bytes:
        """A version byte, then 36 bytes a chunk; nothing at all for an empty body."""
        entries = b"".join(one.id + one.length.to_bytes(4) for one in self.chunks)
        return bytes((_VERSION,)) + entries if entries else b""

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Errors: ManifestBroken."""
        if data and (data[0] != _VERSION or len(data) == 1 or (len(data) - 1) % _ENTRY_BYTES):
            raise ManifestBroken
        chunks = []
        for at in range(1, len(data), _ENTRY_BYTES):
            length = int.from_bytes(data[at + ID_BYTES : at + _ENTRY_BYTES])
            if not 0 < length <= CHUNK_BYTES:
                raise ManifestBroken
            chunks.append(Chunk(data[at : at + ID_BYTES], length))
        return cls(tuple(chunks))

    @classmethod
    def join(cls, parts: Iterable[Manifest]) -> Self:
        """The body that these make one after the other; no byte is read."""
        return cls(tuple(chunk for part in parts for chunk in part.chunks))
