"""Nonces: stamped by HMAC, valid 60 s, good for one request.

Purpose: a captured request of a box cannot be sent again.
Input:   hostile. Issuing costs no memory; a used nonce is remembered until it would be too old anyway, and
         only after the signature over it was verified, so strangers cannot fill the memory.
Fails:   closed: when too many are remembered, requests are refused for some seconds. No box can bring that about: one
         that was stolen and asks from many addresses, each within what the front door grants, has its own share.
Time:    of the machine's start, which nobody sets: a clock set back would else make every nonce one of the future, and
         keep all used ones in memory until it comes there again.
Format:  base64url of 4 bytes issue time (seconds, big endian), 12 random bytes, 16 bytes HMAC-SHA-256.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import Counter, deque

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.signing import b64, unb64

from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Unavailable

LIFE_S = 60
MAX_USED = 200_000
MAX_USED_A_BOX = 1200
"""20 requests a second, for a minute: a box that brings what it gathered in a long outage makes fewer."""


class NonceRefused(BeffroiError):
    """The nonce is unknown, too old, or was used before; ask for a new one."""

    code = "request.nonce_refused"
    http_status = 401
    retryable = True


class TooManyRequests(BeffroiError):
    """This box sends too many requests; wait a minute."""

    code = "box.too_many_requests"
    http_status = 429
    retryable = True


class Nonces:
    def __init__(self) -> None:
        # A key that dies with the process is enough: a nonce of before a restart is asked for again.
        self._key = secrets.token_bytes(32)
        self._used: set[bytes] = set()
        self._order: deque[tuple[int, bytes, str]] = deque()
        self._by_owner: Counter[str] = Counter()

    def issue(self) -> str:
        body = _now_s().to_bytes(4, "big") + secrets.token_bytes(12)
        return b64(body + self._mac(body))

    def check(self, nonce: str, owner: str) -> bytes:
        """Return the nonce's bytes when it is ours, young and unused; ``owner`` says who it is, and only what that one
        proved to have sent counts. Errors: NonceRefused, TooManyRequests."""
        self._forget_old()
        if self._by_owner[owner] >= MAX_USED_A_BOX:
            raise TooManyRequests
        try:
            raw = unb64(nonce) if len(nonce) <= 64 else b""
        except ProtocolError:
            raw = b""
        body, mac = raw[:16], raw[16:]
        if len(raw) != 32 or not hmac.compare_digest(mac, self._mac(body)):
            raise NonceRefused
        age_s = _now_s() - int.from_bytes(body[:4], "big")
        if not 0 <= age_s <= LIFE_S or body in self._used:
            raise NonceRefused
        return body

    def burn(self, body: bytes, owner: str) -> None:
        """Remember a nonce as used by who proved to be ``owner``. Errors: NonceRefused (used meanwhile), Unavailable
        (memory full)."""
        self._forget_old()
        if body in self._used:
            raise NonceRefused
        if len(self._used) >= MAX_USED:
            raise Unavailable("The feed")
        self._used.add(body)
        self._order.append((_now_s(), body, owner))
        self._by_owner[owner] += 1

    def _forget_old(self) -> None:
        now = _now_s()
        while self._order and self._order[0][0] < now - LIFE_S - 1:
            _, body, owner = self._order.popleft()
            self._used.discard(body)
            self._by_owner[owner] -= 1
            if not self._by_owner[owner]:
                del self._by_owner[owner]

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, b"beffroi/nonce/1\n" + body, hashlib.sha256)[:16]


def _now_s() -> int:
    return int(clock.steady_s())
