"""A WebAuthn key in software, with buttons that a real one lacks: another origin, no question to its owner."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_encode

_PRESENT, _VERIFIED, _ATTESTED = 1, 4, 64


class SoftwareKey:
    """One credential. ``options``: the JSON that the server gave; answers are the JSON that a browser sends."""

    def __init__(self, *, rp_id: str = "localhost", origin: str = "https://localhost:8443") -> None:
        self.rp_id, self.origin = rp_id, origin
        self.id = secrets.token_bytes(16)
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.handle = ""

    def create(self, options: dict[str, Any], *, verified: bool = True, alone: bool = True) -> dict[str, Any]:
        asked = options["publicKey"]
        self.handle = asked["user"]["id"]
        public = cbor.encode(ES256.from_cryptography_key(self.private.public_key()))
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        data = self._data(verified, _ATTESTED) + attested
        response = {
            "clientDataJSON": websafe_encode(self._client("webauthn.create", asked["challenge"])),
            "attestationObject": websafe_encode(
                cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
            ),
        }
        return self._credential(response, {"credProps": {"rk": alone}})

    def get(
        self, options: dict[str, Any], *, verified: bool = True, handle: str | None = None
    ) -> dict[str, Any]:
        client = self._client("webauthn.get", options["publicKey"]["challenge"])
        data = self._data(verified)
        signature = self.private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": websafe_encode(client),
            "authenticatorData": websafe_encode(data),
            "signature": websafe_encode(signature),
            "userHandle": self.handle if handle is None else handle,
        }
        return self._credential(response, {})

    def _data(self, verified: bool, more: int = 0) -> bytes:
        flags = _PRESENT | (_VERIFIED if verified else 0) | more
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + bytes(4)

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _credential(self, response: dict[str, str], extensions: dict[str, Any]) -> dict[str, Any]:
        name = websafe_encode(self.id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": extensions,
        }
