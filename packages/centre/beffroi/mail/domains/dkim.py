"""DKIM key pairs: 2048-bit RSA, the only kind that every receiver verifies (RFC 8301 and its reception in 2025)."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from beffroi.lib import pem

KEY_BITS = 2048
SELECTORS = ("beffroi1", "beffroi2")
"""One signs, the other is published and waits, or was used until some days ago."""


@dataclass(frozen=True)
class KeyPair:
    """``private``: PEM (PKCS #8); ``public``: base64 of the DER, as DNS shows it."""

    private: bytes
    public: str


def new_pair() -> KeyPair:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    private = pem.of_key(key)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(private, base64.b64encode(public).decode())
