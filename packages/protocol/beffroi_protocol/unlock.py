"""The box's word that something is blocked there, carried by a person's browser to the portal.

Purpose: "débloquer 1 h et signaler": the portal learns which entry of which box it is about, without asking the box.
         It gives no right: a person signs in, and the portal decides.
Format:  base64url(payload) "." base64url(Ed25519 signature over ``beffroi/unlock/1`` LF payload); payload: JSON.
Input:   hostile; short, checked before it is read. Lives ``LIFE_S`` seconds by the box's trusted time.
"""

from __future__ import annotations

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from beffroi_protocol.errors import MessageMalformed, SignatureInvalid
from beffroi_protocol.indicators import Indicator
from beffroi_protocol.messages import Name, Seconds
from beffroi_protocol.signing import b64, unb64

LIFE_S = 1800
EARLY_S = 600
"""A box's time may run ahead of the centre's by this much."""
MAX_TOKEN_CHARS = 2048
_ROLE = b"beffroi/unlock/1\n"


class Unlock(msgspec.Struct, frozen=True):
    """``indicator``: what the entry blocks; ``entry_id``: decision or list; ``at``: epoch seconds."""

    v: int
    box_id: Name
    entry_id: Name
    indicator: Indicator
    at: Seconds


def make_token(key: Ed25519PrivateKey, unlock: Unlock) -> str:
    payload = msgspec.json.encode(unlock)
    return f"{b64(payload)}.{b64(key.sign(_ROLE + payload))}"


def read_token(token: str) -> tuple[Unlock, bytes, bytes]:
    """Return (claim, payload, signature), not verified yet: the claim names the box whose key verifies it.

    Errors: MessageMalformed.
    """
    if len(token) > MAX_TOKEN_CHARS or token.count(".") != 1:
        raise MessageMalformed("not a token")
    first, second = token.split(".")
    payload, signature = unb64(first), unb64(second)
    try:
        unlock = msgspec.json.decode(payload, type=Unlock)
    except (msgspec.MsgspecError, ValueError):
        raise MessageMalformed("not a token") from None
    if unlock.v != 1:
        raise MessageMalformed("another version")
    return unlock, payload, signature


def verify_token(token: str, public_key: bytes, *, now: int) -> Unlock:
    """Errors: MessageMalformed (also too old or too early), SignatureInvalid."""
    unlock, payload, signature = read_token(token)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _ROLE + payload)
    except (InvalidSignature, ValueError):
        raise SignatureInvalid(unlock.box_id[:40]) from None
    if not unlock.at - EARLY_S <= now <= unlock.at + LIFE_S:
        raise MessageMalformed("the token is too old")
    return unlock
