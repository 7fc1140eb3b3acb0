"""Time-based one-time codes. Pure. Source: RFC 6238 (SHA-1, 30 s, 6 digits), RFC 4226 section 5.3."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from urllib.parse import quote, urlencode

PERIOD_S = 30
DIGITS = 6
TOLERANCE_STEPS = 1


def new_secret() -> str:
    """Return 160 random bits in base32, as authenticator programs take them."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def code_at(secret: str, epoch_s: float) -> str:
    """The code that an authenticator shows at this time."""
    return _code(base64.b32decode(secret), int(epoch_s) // PERIOD_S)


def matching_step(secret: str, code: str, *, epoch_s: float, after_step: int) -> int | None:
    """Return the time step whose code this is, if it is later than ``after_step`` (a code opens once), else None."""
    given = code.replace(" ", "")
    if len(given) != DIGITS or not (given.isascii() and given.isdigit()):
        return None
    key, present = base64.b32decode(secret), int(epoch_s) // PERIOD_S
    found = None
    for step in range(present - TOLERANCE_STEPS, present + TOLERANCE_STEPS + 1):
        if hmac.compare_digest(_code(key, step), given) and step > after_step:
            found = step
    return found


def provisioning_uri(secret: str, *, account: str, issuer: str) -> str:
    """The ``otpauth:`` address that programs of codes take."""
    label = quote(f"{issuer}:{account}")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': issuer})}"


def _code(key: bytes, step: int) -> str:
    digest = hmac.new(key, step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"
