"""How a box asks for the right to send mail of its relay, and what it gets.

Format:  base64url(payload) "." base64url(Ed25519 signature over ``beffroi/mail-token/1`` LF payload); payload: JSON.
Input:   hostile; short, checked before it is read. It lives ``LATE_S`` by the box's trusted time: whoever could send it
         again within that time gets the same right, which is to send for a minute as the relay's mailbox.
Source:  docs/decisions/0045-relay-on-the-boitier.md.
"""

from __future__ import annotations

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from beffroi_protocol.errors import MessageMalformed, SignatureInvalid
from beffroi_protocol.messages import Name, Seconds
from beffroi_protocol.signing import b64, unb64

LATE_S = 300
EARLY_S = 600
"""A box's time may run ahead of the centre's by this much."""
MAX_REQUEST_CHARS = 1024
_ROLE = b"beffroi/mail-token/1\n"


class MailTokenRequest(msgspec.Struct, frozen=True):
    """``at``: epoch seconds."""

    v: int
    box_id: Name
    at: Seconds


class MailToken(msgspec.Struct, frozen=True):
    """``token``: a bearer token of user ``login``: for ``life_s`` seconds it sends as ``sender``, and opens nothing."""

    v: int
    sender: str
    login: str
    token: str
    life_s: int


def make_request(key: Ed25519PrivateKey, request: MailTokenRequest) -> str:
    payload = msgspec.json.encode(request)
    return f"{b64(payload)}.{b64(key.sign(_ROLE + payload))}"


def read_request(text: str) -> tuple[MailTokenRequest, bytes, bytes]:
    """Return (request, payload, signature), not verified yet: the request names the box whose key verifies it.

    Errors: MessageMalformed.
    """
    if len(text) > MAX_REQUEST_CHARS or text.count(".") != 1:
        raise MessageMalformed("not a request")
    payload, signature = map(unb64, text.split("."))
    try:
        request = msgspec.json.decode(payload, type=MailTokenRequest)
    except (msgspec.MsgspecError, ValueError):
        raise MessageMalformed("not a request") from None
    if request.v != 1:
        raise MessageMalformed("another version")
    return request, payload, signature


def verify_request(text: str, public_key: bytes, *, now: int) -> MailTokenRequest:
    """Errors: MessageMalformed (also too old or too early), SignatureInvalid."""
    request, payload, signature = read_request(text)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _ROLE + payload)
    except (InvalidSignature, ValueError):
        raise SignatureInvalid(request.box_id[:40]) from None
    if not request.at - EARLY_S <= now <= request.at + LATE_S:
        raise MessageMalformed("the request is too old")
    return request
