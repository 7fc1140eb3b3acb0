"""What ransomware does to bytes, in memory alone: patterns that were seen, without any program that does it to
files."""

from __future__ import annotations

import random
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_KIB = 1024


def _stream(data: bytes, seed: int) -> bytes:
    rng = random.Random(seed)
    return Cipher(algorithms.AES(rng.randbytes(32)), modes.CTR(rng.randbytes(16))).encryptor().update(data)


def full(data: bytes, seed: int = 0) -> bytes:
    return _stream(data, seed)


def full_with_footer(data: bytes, seed: int = 0) -> bytes:
    return _stream(data, seed) + random.Random(seed).randbytes(512)


def head(data: bytes, seed: int = 0, length: int = 4 * _KIB) -> bytes:
    return _stream(data[:length], seed) + data[length:]


def skip_head(data: bytes, seed: int = 0, length: int = 4 * _KIB) -> bytes:
    return data[:length] + _stream(data[length:], seed)


def alternate(data: bytes, seed: int = 0, block: int = 16, start: int = 0) -> bytes:
    """Every second block of ``block`` bytes, from ``start`` on."""
    hidden, out = _stream(data, seed), bytearray(data)
    for at in range(start, len(data), 2 * block):
        out[at : at + block] = hidden[at : at + block]
    return bytes(out)


PATTERNS: dict[str, Callable[[bytes, int], bytes]] = {
    "whole": full,
    "whole, key at the end": full_with_footer,
    "first 4 KiB": head,
    "all but the first 4 KiB": skip_head,
    "every second 16 bytes": alternate,
    "every second 4 KiB": lambda data, seed: alternate(data, seed, 4 * _KIB),
    "every second 64 KiB after 1 KiB": lambda data, seed: alternate(data, seed, 64 * _KIB, _KIB),
}
