"""Keys in envelopes: master key -> key of a collectivité -> key of a mailbox.

Purpose: erasing a collectivité's key makes all its mailboxes unreadable, wherever copies lie.
Process: worker and web (provisioning); the master key is STATE/secrets/commune-master.key.
Fails:   closed (KeyUnreadable).
Format:  ``1.`` + base64url of nonce (12) and AES-256-GCM of the key; associated data = the owner's identifier, so a
         wrapped key cannot be moved to another owner.
"""

from __future__ import annotations

import hashlib
import os
import secrets

from beffroi_protocol.errors import MessageMalformed
from beffroi_protocol.signing import b64, unb64
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import transaction

from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.mail.models import CommuneKey

_NONCE_BYTES = 12


class KeyUnreadable(BeffroiError):
    """The key of {} does not open; restore secrets/commune-master.key."""

    code = "mail.key_unreadable"


def wrap(outer: bytes, inner: bytes, owner_id: str) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return "1." + b64(nonce + AESGCM(outer).encrypt(nonce, inner, owner_id.encode()))


def unwrap(outer: bytes, wrapped: str, owner_id: str) -> bytes:
    """Errors: KeyUnreadable."""
    version, _, text = wrapped.partition(".")
    try:
        data = unb64(text)
        if version != "1":
            raise KeyUnreadable(owner_id)
        return AESGCM(outer).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], owner_id.encode())
    except (InvalidTag, MessageMalformed, ValueError):
        raise KeyUnreadable(owner_id) from None


def _master(config: Config) -> bytes:
    # Whatever its spelling on disk (hex, base64url, raw), the file's bytes give one 256-bit key.
    return hashlib.sha256(b"beffroi/commune-master/1\n" + config.secret("commune-master.key")).digest()


@transaction.atomic
def commune_key(config: Config, collectivite_id: str) -> bytes:
    """The key of a collectivité, made at its first mailbox. Errors: KeyUnreadable, SettingInvalid."""
    master = _master(config)
    row = CommuneKey.objects.filter(pk=collectivite_id).first()
    if row is None:
        row, _ = CommuneKey.objects.get_or_create(
            pk=collectivite_id, defaults={"wrapped": wrap(master, secrets.token_bytes(32), collectivite_id)}
        )
    return unwrap(master, row.wrapped, collectivite_id)
