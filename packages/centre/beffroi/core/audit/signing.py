"""Signed statements about the audit chain. Pure, but for the two files of the key.

Purpose: a checkpoint says that the chain up to a position was whole when it was signed; a prune, that what stands
         before a position was taken away on purpose; an export, where a file of the log ends.
Format:  Ed25519 over ``beffroi/audit/1`` LF and the canonical JSON of [kind, position, hash, count, at]; ``at`` in
         microseconds since 1970. A key of its own; besides, only files of incidents and erasures
         (portal/signed_file.py), which begin otherwise.
Fails:   closed: a statement that verifies with no trusted key is worth nothing.
Source:  docs/internals/data.md, secrets.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.signing import b64, unb64
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from beffroi.core.audit import chain
from beffroi.lib.config import Config, SettingInvalid

KEY, PUBLIC = "audit.key", "audit.pub"
_ROLE = b"beffroi/audit/1\n"


@dataclass(frozen=True)
class Statement:
    """``count``: entries since the checkpoint before, entries taken away, or entries in the file."""

    kind: Literal["checkpoint", "prune", "export"]
    position: int
    hash: str
    count: int
    at_us: int

    @property
    def signed_bytes(self) -> bytes:
        fields: list[object] = [self.kind, self.position, self.hash, self.count, self.at_us]
        return _ROLE + chain.canonical(fields).encode()


def sign(key: Ed25519PrivateKey, statement: Statement) -> str:
    return b64(key.sign(statement.signed_bytes))


def signed_by(keys: Sequence[bytes], statement: Statement, signature: str) -> bytes | None:
    """The key that signed this, or None."""
    try:
        given = unb64(signature)
    except (ProtocolError, UnicodeError):
        return None
    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(given, statement.signed_bytes)
        except (InvalidSignature, ValueError):
            continue
        return key
    return None


def private_key(config: Config) -> Ed25519PrivateKey:
    """Errors: SettingInvalid."""
    try:
        return Ed25519PrivateKey.from_private_bytes(unb64(config.secret(KEY).decode("ascii")))
    except (ProtocolError, ValueError):
        raise SettingInvalid(f"secrets/{KEY}", config.state, "not a private key") from None


def public_keys(text: bytes) -> list[bytes]:
    """Keys of a file, one a line: the present one, then former ones. What is none is left out."""
    found = []
    for line in text.split():
        try:
            found.append(unb64(line.decode("ascii")))
        except (ProtocolError, UnicodeError):
            continue
    return [key for key in found if len(key) == 32]


def trusted_keys(config: Config) -> list[bytes]:
    """What this centre trusts: STATE/secrets/audit.pub, which only root can write. Empty before the first start."""
    try:
        return public_keys(config.secret(PUBLIC))
    except SettingInvalid:
        return []
