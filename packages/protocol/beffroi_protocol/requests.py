"""Requests of a box, signed by its own key over a nonce of the centre.

Purpose: no password and no client certificate whose dates a wrong clock could break.
Format:  headers ``X-Beffroi-Box``, ``X-Beffroi-Nonce``, ``X-Beffroi-Signature``; the Ed25519 signature covers
         ``beffroi/request/1`` LF box id LF method LF path-with-query LF nonce LF hex SHA-256 of the body.
         The centre gives a nonce at ``GET /v1/nonce`` and with each answer (``X-Beffroi-Nonce``); a nonce
         serves once and lives 60 s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from beffroi_protocol.errors import MessageMalformed, SignatureInvalid
from beffroi_protocol.signing import b64, unb64

BOX_HEADER = "X-Beffroi-Box"
NONCE_HEADER = "X-Beffroi-Nonce"
SIGNATURE_HEADER = "X-Beffroi-Signature"
FACTS_HEADER = "X-Beffroi-Facts"
"""Of the answer on which a box follows: up to which number the centre has the box's posts (``facts.FactsTaken``)."""


def _signed_bytes(box_id: str, method: str, path: str, nonce: str, body: bytes) -> bytes:
    digest = hashlib.sha256(body).hexdigest()
    return "\n".join(("beffroi/request/1", box_id, method, path, nonce, digest)).encode()


def sign_request(
    key: Ed25519PrivateKey, *, box_id: str, method: str, path: str, nonce: str, body: bytes
) -> dict[str, str]:
    """Return the headers that authenticate one request."""
    signature = key.sign(_signed_bytes(box_id, method, path, nonce, body))
    return {BOX_HEADER: box_id, NONCE_HEADER: nonce, SIGNATURE_HEADER: b64(signature)}


def verify_request(
    public_key: bytes, headers: Mapping[str, str], *, method: str, path: str, body: bytes
) -> None:
    """Check the signature; the caller checks and burns the nonce.

    Errors: MessageMalformed, SignatureInvalid.
    """
    try:
        box_id, nonce = headers[BOX_HEADER], headers[NONCE_HEADER]
        signature = unb64(headers[SIGNATURE_HEADER])
    except KeyError as error:
        raise MessageMalformed(f"header {error.args[0]} is missing") from None
    if any("\n" in part for part in (box_id, method, path, nonce)):
        raise MessageMalformed("a line feed in a signed part")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            signature, _signed_bytes(box_id, method, path, nonce, body)
        )
    except (InvalidSignature, ValueError):
        raise SignatureInvalid(box_id[:40]) from None
