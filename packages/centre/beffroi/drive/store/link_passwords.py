"""Passwords of links: kept as their scrypt, which cannot be read back.

Hostile: what somebody types at a link.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

MIN_PASSWORD_CHARS = 8
MAX_PASSWORD_CHARS = 200
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}


def may_be(text: str) -> bool:
    """Of a link that is made. Blanks around it do not count: eight of them are anybody's guess."""
    return len(text.strip()) >= MIN_PASSWORD_CHARS and len(text) <= MAX_PASSWORD_CHARS


def hashed(password: str) -> str:
    """As a share keeps it: salt and digest in hexadecimal, a colon between."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}:{hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT).hex()}"


def fits(kept: str, given: str) -> bool:
    if len(given) > MAX_PASSWORD_CHARS:
        return False
    salt, _, wanted = kept.partition(":")
    found = hashlib.scrypt(given.encode("utf-8", "replace"), salt=bytes.fromhex(salt), **_SCRYPT)
    return hmac.compare_digest(found.hex(), wanted)
