"""A key in an envelope: wrapped by another key for one owner.

Process: any that holds the outer key.
Fails:   closed (KeyUnreadable).
Format:  ``1.`` + base64url of nonce (12) and AES-256-GCM of the key; associated data = the owner's identifier, so a
         wrapped key cannot be moved to another owner.
"""

from __future__ import annotations

import os

from beffroi_protocol.errors import MessageMalformed
from beffroi_protocol.signing import b64, unb64
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from beffroi.lib.errors import BeffroiError

_NONCE_BYTES = 12


class KeyUnreadable(BeffroiError):
    """The key of {} does not open; restore secrets/commune-master.key."""

    code = "key.unreadable"


def wrap(outer: bytes, inner: bytes, owner_id: str) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return "1." + b64(nonce + AESGCM(outer).encrypt(nonce, inner, owner_id.encode()))


def unwrap(outer: bytes, wrapped: str, owner_id: str) -> bytes:
    """Errors: KeyUnreadable."""
    version, _, text = wrapped.partition(".")
    try:
        data = unb64(text)
        if version != "1":
            raise KeyUnreadable(owner_id)
        return AESGCM(outer).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], owner_id.encode())
    except (InvalidTag, MessageMalformed, ValueError):
        raise KeyUnreadable(owner_id) from None
