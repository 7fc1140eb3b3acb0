"""The key pair of a mailbox, as Dovecot takes it from the userdb entry.

Purpose: one pair for all folders, so that Dovecot moves a mail by reference; mail_crypt copies by content between
         folders with keys of their own.
Format:  a secret is the 32 bytes of an X25519 private key (RFC 7748); Dovecot reads both halves as base64 of PEM
         (RFC 8410).
Source:  doc.dovecot.org, mail_crypt plugin, "global keys"; docs/decisions/0059-one-key-pair-a-mailbox.md.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from beffroi.lib import pem

SECRET_BYTES = 32


@dataclass(frozen=True)
class KeyPair:
    """Both halves as one line of text each."""

    private: str = field(repr=False)
    public: str


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def of_secret(secret: bytes) -> KeyPair:
    """Errors: ValueError for anything but 32 bytes."""
    private = X25519PrivateKey.from_private_bytes(secret)
    return KeyPair(
        _line(pem.of_key(private)),
        _line(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
    )


def _line(pem: bytes) -> str:
    return base64.b64encode(pem).decode("ascii")
