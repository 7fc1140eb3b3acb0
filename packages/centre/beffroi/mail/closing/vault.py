"""A file that lies encrypted on the disk: written once from begin to end, read in pieces.

Purpose: an export waits some days for its download; without its key, which the database keeps wrapped by the
         collectivité's, it says nothing to whoever has the disk. Deleting the key deletes it wherever copies lie.
Format:  pieces of ``PIECE_BYTES`` (the last one shorter), each AES-256-GCM (tag of 16 bytes behind), nonce = number of
         the piece; associated data = mark, identifier, and whether it is the last. A key is used for one file alone.
Process: a child of worker writes; web reads.
Fails:   closed: FileDamaged for a piece that was changed, moved, or is missing at the end.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from beffroi.lib.errors import Conflict

PIECE_BYTES = 1024 * 1024
KEY_BYTES = 32
_TAG_BYTES = 16
_MARK = b"beffroi/export/1\n"


class Sink(Protocol):
    """What can be written to, and has no way back."""

    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class FileDamaged(Conflict):
    """The file of this export is damaged or gone; make a new export."""

    code = "mail.export_damaged"


class SealedWriter(io.RawIOBase):
    """Encrypts what is written to it. ``finish`` ends it; without it, a reader takes the file for damaged.

    ``size_bytes``, ``sha256``: of what was written, in clear.
    """

    def __init__(self, out: Sink, key: bytes, name: str) -> None:
        super().__init__()
        self._out, self._cipher, self._name = out, AESGCM(key), name
        self._buffer, self._number = bytearray(), 0
        self.size_bytes = 0
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self._hash.update(data)
        self.size_bytes += len(data)
        self._buffer += data
        # One byte more than a piece: what is left may be the last.
        while len(self._buffer) > PIECE_BYTES:
            self._piece(bytes(self._buffer[:PIECE_BYTES]), last=False)
            del self._buffer[:PIECE_BYTES]
        return len(data)

    def finish(self) -> None:
        self._piece(bytes(self._buffer), last=True)
        self._buffer.clear()

    def _piece(self, data: bytes, *, last: bool) -> None:
        told = _told(self._name, last=last)
        self._out.write(self._cipher.encrypt(self._number.to_bytes(12), data, told))
        self._number += 1


def read(path: Path, key: bytes, name: str) -> Iterator[bytes]:
    """What was written, piece by piece. Errors: FileDamaged, at the first piece that does not hold."""
    cipher, number = AESGCM(key), 0
    try:
        with path.open("rb") as file:
            piece = file.read(PIECE_BYTES + _TAG_BYTES)
            while True:
                following = file.read(PIECE_BYTES + _TAG_BYTES)
                yield cipher.decrypt(number.to_bytes(12), piece, _told(name, last=not following))
                if not following:
                    return
                piece, number = following, number + 1
    except (OSError, InvalidTag, ValueError):
        raise FileDamaged from None


def _told(name: str, *, last: bool) -> bytes:
    return _MARK + name.encode() + (b"\nlast" if last else b"\nmore")
