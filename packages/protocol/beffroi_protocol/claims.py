"""A box's signed word of a moment, in a line of text: what ``unlock`` and ``mail_token`` say.

Format:  base64url(payload) "." base64url(Ed25519 signature over the role's line, payload); payload: JSON.
Input:   hostile; short, checked before it is read. It lives ``late_s`` seconds by the box's trusted time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from beffroi_protocol.errors import UNDECODABLE, MessageMalformed, SignatureInvalid
from beffroi_protocol.signing import b64, unb64

EARLY_S = 600
"""A box's time may run ahead of the centre's by this much."""


class Claim(Protocol):
    """A struct of msgspec. ``at``: epoch seconds."""

    @property
    def v(self) -> int: ...
    @property
    def box_id(self) -> str: ...
    @property
    def at(self) -> int: ...


@dataclass(frozen=True)
class Form[C: Claim]:
    """One kind of claim. ``role``: no signature for one kind is good for another."""

    of: type[C]
    role: str
    late_s: int
    max_chars: int

    def make(self, key: Ed25519PrivateKey, claim: C) -> str:
        payload = msgspec.json.encode(claim)
        return f"{b64(payload)}.{b64(key.sign(self._line + payload))}"

    def read(self, text: str) -> tuple[C, bytes, bytes]:
        """Return (claim, payload, signature), not verified yet: the claim names the box whose key verifies it.

        Errors: MessageMalformed.
        """
        if len(text) > self.max_chars or text.count(".") != 1:
            raise MessageMalformed(f"no {self.role}")
        payload, signature = map(unb64, text.split("."))
        try:
            claim = msgspec.json.decode(payload, type=self.of)
        except UNDECODABLE:
            raise MessageMalformed(f"no {self.role}") from None
        if claim.v != 1:
            raise MessageMalformed("another version")
        return claim, payload, signature

    def verify(self, text: str, public_key: bytes, *, now: int) -> C:
        """``now``: epoch seconds. Errors: MessageMalformed (also too old or too early), SignatureInvalid."""
        claim, payload, signature = self.read(text)
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, self._line + payload)
        except (InvalidSignature, ValueError):
            raise SignatureInvalid(claim.box_id[:40]) from None
        if not claim.at - EARLY_S <= now <= claim.at + self.late_s:
            raise MessageMalformed("too old, or too early")
        return claim

    @property
    def _line(self) -> bytes:
        return f"beffroi/{self.role}\n".encode()
