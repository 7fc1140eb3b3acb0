"""A chunk as it lies on the disk: compressed where that pays, encrypted in frames that open alone.

Process: every one that opens files. No I/O but what the caller's ``fetch`` does.
Hostile: what is stored. It may be cut, lengthened, exchanged, renamed or changed in any bit.
Fails:   closed (ObjectDamaged, with the chunk's name; KeysMissing, KeysErased).
Source:  docs/internals/drive-format.md is the table of every byte; NIST SP 800-38D.
"""

from __future__ import annotations

import secrets
import struct
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, Self

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from beffroi.drive.store.chunking import CHUNK_BYTES
from beffroi.lib.errors import BeffroiError

type Bytes = bytes | bytearray | memoryview

FRAME_BYTES = 256 << 10
_TAG_BYTES = _SALT_BYTES = 16
_MAGIC, _VERSION = b"BfDO", 1
_AES_256_GCM, _FRAME_POWER = 1, 18
_PLAIN, _ZSTD = 0, 1
_HEADER = struct.Struct(">4sBBBBIII16s")
HEADER_BYTES = _HEADER.size
MOST_SEALED_BYTES = HEADER_BYTES + CHUNK_BYTES + CHUNK_BYTES // FRAME_BYTES * _TAG_BYTES
_OBJECT_KEY = b"beffroi drive 1 key of an object\0"
_SMALLEST_BYTES, _SAMPLE_BYTES, _SAMPLES = 512, 4096, 3
_PAYS = 7 / 8

_contexts = threading.local()  # zstd's contexts serve one thread at a time, and cost more than a small chunk


class ObjectDamaged(BeffroiError):
    """Chunk {} is not what was sealed under this name; bring it back from a backup or a replica."""

    code = "drive.object_damaged"

    def __init__(self, chunk_id: bytes) -> None:
        super().__init__(chunk_id.hex())
        self.chunk_id = chunk_id


class DataKeys(Protocol):
    """What of ``keys.Keys`` is needed here."""

    collectivite_id: str

    def current(self) -> tuple[int, bytes]: ...
    def generation(self, number: int) -> bytes | None: ...


class Header(NamedTuple):
    """First bytes of a sealed chunk. All of it goes into the object's key: no bit of it can be changed."""

    generation: int
    compressed: bool
    plain_bytes: int
    payload_bytes: int
    raw: bytes

    @classmethod
    def read(cls, chunk_id: bytes, raw: bytes) -> Self:
        """Errors: ObjectDamaged."""
        if len(raw) != HEADER_BYTES:
            raise ObjectDamaged(chunk_id)
        magic, version, algorithm, compression, power, generation, plain, payload, _salt = _HEADER.unpack(raw)
        known = (magic, version, algorithm, power) == (_MAGIC, _VERSION, _AES_256_GCM, _FRAME_POWER)
        fits = 0 < payload <= plain <= CHUNK_BYTES and (compression == _ZSTD or payload == plain)
        if not known or not fits or compression not in (_PLAIN, _ZSTD):
            raise ObjectDamaged(chunk_id)
        return cls(generation, compression == _ZSTD, plain, payload, raw)

    @property
    def frames(self) -> int:
        return -(-self.payload_bytes // FRAME_BYTES)

    @property
    def sealed_bytes(self) -> int:
        """Length of the whole object."""
        return HEADER_BYTES + self.payload_bytes + self.frames * _TAG_BYTES


class Sealer:
    """Seals and opens chunks of one collectivité. Any thread may call any method."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys
        self._owner = keys.collectivite_id.encode()

    def seal(self, chunk_id: bytes, data: Bytes, room: memoryview | None = None) -> memoryview:
        """``data``: 1 to CHUNK_BYTES bytes. ``room``: where to seal it, MOST_SEALED_BYTES; None for new memory.

        Errors: those of the keys."""
        assert 0 < len(data) <= CHUNK_BYTES
        payload, compression = _compressed(data)
        generation, key = self._keys.current()
        fixed = (_MAGIC, _VERSION, _AES_256_GCM, compression, _FRAME_POWER)
        raw = _HEADER.pack(*fixed, generation, len(data), len(payload), secrets.token_bytes(_SALT_BYTES))
        header = Header(generation, compression == _ZSTD, len(data), len(payload), raw)
        sealed = (room or memoryview(bytearray(header.sealed_bytes)))[: header.sealed_bytes]
        sealed[:HEADER_BYTES] = raw
        cipher = self._cipher(chunk_id, header, key)
        with memoryview(payload) as plain:
            for frame in range(header.frames):
                piece = plain[frame * FRAME_BYTES : (frame + 1) * FRAME_BYTES]
                at = HEADER_BYTES + frame * (FRAME_BYTES + _TAG_BYTES)
                into = sealed[at : at + len(piece) + _TAG_BYTES]
                cipher.encrypt_into(_nonce(frame), piece, self._bound_to(chunk_id, header, frame), into)
        return sealed

    def open(self, chunk_id: bytes, sealed: Bytes) -> memoryview:
        """The chunk, whole. Errors: ObjectDamaged, those of the keys."""
        return memoryview(_joined(self.opened(chunk_id, sealed)))

    def opened(self, chunk_id: bytes, sealed: Bytes, room: memoryview | None = None) -> list[Bytes]:
        """The chunk in pieces: as its frames hold it, or whole where it is compressed.

        ``room``: CHUNK_BYTES, where it may lie whole instead of in new memory. Errors: as ``open``."""
        with memoryview(sealed) as seen:
            header = Header.read(chunk_id, bytes(seen[:HEADER_BYTES]))
            if len(seen) != header.sealed_bytes:
                raise ObjectDamaged(chunk_id)
            payload = self._frames(chunk_id, header, range(header.frames), seen[HEADER_BYTES:], room)
        if header.compressed:
            return [_decompressed(chunk_id, _joined(payload), header.plain_bytes)]
        return payload

    def open_range(
        self, chunk_id: bytes, fetch: Callable[[int, int], Bytes], start: int, end: int
    ) -> memoryview:
        """Bytes ``start`` to ``end`` (exclusive) of the chunk, from as few frames as hold them.

        ``fetch(start, end)``: those bytes of the sealed object, fewer where it ends before. A compressed chunk is
        fetched and opened whole. What lies beyond the frames that were needed is not looked at.
        Errors: ObjectDamaged (a range beyond the chunk's end is one, too); those of the keys and of ``fetch``.
        """
        assert 0 <= start < end
        header = Header.read(chunk_id, bytes(fetch(0, HEADER_BYTES)))
        if end > header.plain_bytes:
            raise ObjectDamaged(chunk_id)
        if header.compressed:
            return self.open(chunk_id, fetch(0, header.sealed_bytes))[start:end]
        first, after = start // FRAME_BYTES, -(-end // FRAME_BYTES)
        step = FRAME_BYTES + _TAG_BYTES
        span = (HEADER_BYTES + first * step, min(HEADER_BYTES + after * step, header.sealed_bytes))
        sealed = fetch(*span)
        if len(sealed) != span[1] - span[0]:
            raise ObjectDamaged(chunk_id)
        plain = memoryview(_joined(self._frames(chunk_id, header, range(first, after), sealed)))
        return plain[start - first * FRAME_BYTES : end - first * FRAME_BYTES]

    def reseal(self, chunk_id: bytes, sealed: Bytes) -> memoryview | None:
        """The same chunk under the generation of today; None where it is already. Errors: as ``open``."""
        header = Header.read(chunk_id, bytes(sealed[:HEADER_BYTES]))
        if header.generation == self._keys.current()[0]:
            return None
        return self.seal(chunk_id, self.open(chunk_id, sealed))

    def _frames(
        self, chunk_id: bytes, header: Header, frames: range, sealed: Bytes, room: memoryview | None = None
    ) -> list[Bytes]:
        """Plain bytes of the frames that ``sealed`` holds, and nothing else: each in memory of its own, or one after
        the other in ``room``."""
        key = self._keys.generation(header.generation)
        if key is None:
            raise ObjectDamaged(chunk_id)
        cipher = self._cipher(chunk_id, header, key)
        step, opened, filled = FRAME_BYTES + _TAG_BYTES, list[Bytes](), 0
        try:
            with memoryview(sealed) as seen:
                for at, frame in enumerate(frames):
                    nonce, bound = _nonce(frame), self._bound_to(chunk_id, header, frame)
                    piece = seen[at * step :][:step]
                    if room is None:
                        opened.append(cipher.decrypt(nonce, piece, bound))
                    else:
                        into = room[filled : filled + len(piece) - _TAG_BYTES]
                        filled += cipher.decrypt_into(nonce, piece, bound, into)
        except InvalidTag:
            raise ObjectDamaged(chunk_id) from None
        return opened if room is None else [room[:filled]]

    def _cipher(self, chunk_id: bytes, header: Header, data_key: bytes) -> AESGCM:
        # A key for this object alone: its salt is drawn at each sealing, so that nonces may count from 0.
        said = blake3(_OBJECT_KEY + header.raw + chunk_id + self._owner, key=data_key)
        return AESGCM(said.digest())

    def _bound_to(self, chunk_id: bytes, header: Header, frame: int) -> bytes:
        last = frame == header.frames - 1
        return chunk_id + frame.to_bytes(4) + bytes((last,)) + self._owner


def _joined(pieces: Sequence[Bytes]) -> Bytes:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _nonce(frame: int) -> bytes:
    return frame.to_bytes(12)


def _compressed(data: Bytes) -> tuple[Bytes, int]:
    """What is to be encrypted, and whether it is compressed: only where an eighth is saved.

    Of a long chunk three pieces (begin, middle, end) are tried first: photos and archives cost a hundredth then.
    """
    if len(data) < _SMALLEST_BYTES:
        return data, _PLAIN
    if len(data) > 4 * _SAMPLE_BYTES * _SAMPLES:
        step = (len(data) - _SAMPLE_BYTES) // (_SAMPLES - 1)
        sample = b"".join(data[n * step : n * step + _SAMPLE_BYTES] for n in range(_SAMPLES))
        if len(_compressor().compress(sample)) > len(sample) * _PAYS:
            return data, _PLAIN
    small = _compressor().compress(data)
    return (small, _ZSTD) if len(small) <= len(data) * _PAYS else (data, _PLAIN)


def _decompressed(chunk_id: bytes, payload: Bytes, plain_bytes: int) -> bytes:
    # What arrives here was sealed by us: the limits only keep a mistake of ours from taking the memory.
    try:
        plain = _decompressor().decompress(payload, max_output_size=plain_bytes)
    except zstandard.ZstdError:
        raise ObjectDamaged(chunk_id) from None
    if len(plain) != plain_bytes:
        raise ObjectDamaged(chunk_id)
    return plain


def _compressor() -> zstandard.ZstdCompressor:
    if not hasattr(_contexts, "compressor"):
        _contexts.compressor = zstandard.ZstdCompressor(
            level=1, write_checksum=False, write_content_size=True
        )
    found: zstandard.ZstdCompressor = _contexts.compressor
    return found


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_contexts, "decompressor"):
        _contexts.decompressor = zstandard.ZstdDecompressor()
    found: zstandard.ZstdDecompressor = _contexts.decompressor
    return found
