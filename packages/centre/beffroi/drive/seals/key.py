"""The key by which a collectivité signs its seals: made from its naming key, so it lies nowhere else and never changes.

Rule:    whoever can open the collectivité's files can sign, and nobody else; it ends with the collectivité's keys. The
         audit log names its public half with each seal, and packages carry it (``manifest.PUBLIC``).
Process: drive-keeper.
Source:  docs/internals/drive-seals.md; docs/decisions/0081-seals-in-the-store.md.
"""

from __future__ import annotations

from blake3 import blake3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from beffroi.drive.store.keys import Keys


def signing_key(keys: Keys) -> Ed25519PrivateKey:
    """Errors: those of Keys."""
    return Ed25519PrivateKey.from_private_bytes(
        blake3(b"beffroi drive 1 key of seals", key=keys.naming()).digest()
    )


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """32 bytes."""
    return key.public_key().public_bytes_raw()


def public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
