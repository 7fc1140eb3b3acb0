"""A stand-in for Ed25519 that costs a microsecond: a keyed hash whose key is the public key.

Whoever knows the public key could forge it, so it is worth something in a simulation only: nobody there tries.
"""

from __future__ import annotations

import hashlib
from typing import Self


class PublicKey:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    @classmethod
    def from_public_bytes(cls, raw: bytes) -> Self:
        if len(raw) != 32:
            raise ValueError("an Ed25519 key has 32 bytes")
        return cls(raw)

    def public_bytes_raw(self) -> bytes:
        return self._raw

    def sign(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, key=self._raw).digest()

    def fits(self, signature: bytes, data: bytes) -> bool:
        return signature == self.sign(data)


class PrivateKey:
    def __init__(self, raw: bytes) -> None:
        self._public = PublicKey(hashlib.sha256(b"public/" + raw).digest())

    def public_key(self) -> PublicKey:
        return self._public

    def sign(self, data: bytes) -> bytes:
        return self._public.sign(data)
