"""The session of the portal or console by which a grant lives, and what tells whether it is still that of then.

Rule:    a grant dies with its session, however that ends: signed out, timed out, another collectivité or password
         chosen, or all sessions of the person ended because something used them. No clock is asked which was first:
         ``mark`` is another one then.
Secrets: a session's key opens the portal, and others read grants: it stands there sealed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from binascii import Error as Base64Error
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from beffroi.core.planes.tokens import GrantRefused

_NONCE_BYTES = 12


class Session(NamedTuple):
    """``key``: its secret; ``mark``: of the person (``mark_of``) or administrator, as it began."""

    key: str
    mark: str

    def sealed(self, key: bytes) -> str:
        """``key``: that of the grant."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        data = nonce + AESGCM(_session_key(key)).encrypt(nonce, f"{self.key} {self.mark}".encode(), None)
        return base64.urlsafe_b64encode(data).decode()


def opened(key: bytes, text: str) -> Session:
    """Errors: GrantRefused."""
    try:
        data = base64.urlsafe_b64decode(text)
        found = AESGCM(_session_key(key)).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None)
    except (Base64Error, InvalidTag, ValueError):
        raise GrantRefused from None
    session_key, _, mark = found.decode().partition(" ")
    return Session(session_key, mark)


def mark_of(password: str, ended_at: datetime | None) -> str:
    """``password``: a salted hash, so its digest tells nobody anything, but that it is another one. ``ended_at``: when
    all sessions of the person were ended last."""
    ended = ended_at.astimezone(UTC).isoformat() if ended_at is not None else ""
    return hashlib.sha256(f"{password}\n{ended}".encode()).hexdigest()[:32]


def _session_key(key: bytes) -> bytes:
    return hmac.digest(key, b"beffroi: sessions in grants", "sha256")
