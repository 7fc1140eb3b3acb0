"""A domain's DKIM key in tests: what the projection takes, and what a receiver makes of a signature."""

from __future__ import annotations

import base64

import dkim
from beffroi.mail.signing import SigningKey
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


class DomainKey:
    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)

    def signs(self, domain: str, selector: str = "s1") -> SigningKey:
        private = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return SigningKey(domain, selector, private.decode())

    def signed(self, message: bytes, domain: str) -> bytes:
        """With the signature of its author."""
        private = self.signs(domain).private or ""
        return bytes(dkim.sign(message, b"s1", domain.encode(), private.encode())) + message

    def verifies(self, message: bytes) -> bool:
        """Whether a receiver who finds this key under any name accepts the signature."""
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

        def record(name: bytes, timeout: int = 5) -> bytes:
            return b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)

        return bool(dkim.verify(message, dnsfunc=record))
