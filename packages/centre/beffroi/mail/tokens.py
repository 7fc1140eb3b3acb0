"""Short tokens that open one mailbox over IMAP, and send in its name over submission.

Purpose: the portal and nobody else signs them; Dovecot checks them with the public key, without a call.
Process: web and webmail (key in STATE/secrets/oauth.key).
Hostile: nothing; the address was checked by ``queries.access_mailbox`` before.
Fails:   closed: a token that is late, early, of another key or another mailbox is refused by Dovecot.
Source:  RFC 7519, RFC 7628; Dovecot "oauth2 local validation".
"""

from __future__ import annotations

import hashlib
import json

from beffroi_protocol.signing import b64
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from beffroi.lib import clock, durable, pem
from beffroi.lib.config import Config

AUTHORISED_PARTY = "beffroi"
KEY_NAME = "oauth.key"
LIFE_S = 60
SENDING_ONLY = "@relay"
"""End of a login that is no address: nobody's mailbox can have it as its name."""
_SKEW_S = 5
"""Dovecot's second may be the one before ours, where it began its round just before the second was over: a token of
now would be "issued in future"."""


def make_key(config: Config) -> None:
    """Make STATE/secrets/oauth.key when there is none."""
    path = config.secrets / KEY_NAME
    if path.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    durable.write(path, (pem.of_key(key),), mode=0o600)


def load_key(config: Config) -> ec.EllipticCurvePrivateKey:
    """Errors: SettingInvalid when there is no key."""
    key = load_pem_private_key(config.secret(KEY_NAME), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def key_id(key: ec.EllipticCurvePrivateKey) -> str:
    return hashlib.sha256(public_pem(key).encode()).hexdigest()[:16]


def mailbox_token(config: Config, address: str, *, life_s: int = LIFE_S) -> str:
    """Return a token that opens the mailbox ``address`` for ``life_s`` seconds."""
    return _token(config, address, life_s)


def sending_token(config: Config, address: str) -> tuple[str, str]:
    """Return (login, token): for LIFE_S seconds it sends in the name of ``address``, and opens no mailbox.

    Dovecot's userdb, which IMAP asks and submission does not, has no such user; Postfix lets it send as ``address``.
    """
    login = address + SENDING_ONLY
    return login, _token(config, login, LIFE_S)


def _token(config: Config, login: str, life_s: int) -> str:
    key = load_key(config)
    now = clock.epoch_s()
    header = {"typ": "JWT", "alg": "ES256", "kid": key_id(key)}
    claims = {
        "iss": "beffroi",
        "azp": AUTHORISED_PARTY,
        "aud": AUTHORISED_PARTY,
        "scope": "mail",
        "sub": login,
        "email": login,
        "iat": now - _SKEW_S,
        "nbf": now - _SKEW_S,
        "exp": now + life_s,
    }
    signed = ".".join(b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{b64(r.to_bytes(32) + s.to_bytes(32))}"
