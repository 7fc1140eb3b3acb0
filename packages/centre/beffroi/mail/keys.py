"""Keys in envelopes: master key -> key of a collectivité -> key of a mailbox.

Purpose: erasing a collectivité's key makes all its mailboxes unreadable, wherever copies lie.
Process: worker and web (provisioning); the master key is STATE/secrets/commune-master.key.
Fails:   closed (KeyUnreadable).
Format:  ``lib.envelopes``.
"""

from __future__ import annotations

import hashlib
import secrets

from django.db import transaction

from beffroi.lib import envelopes
from beffroi.lib.config import Config
from beffroi.mail.models import CommuneKey


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
            pk=collectivite_id,
            defaults={"wrapped": envelopes.wrap(master, secrets.token_bytes(32), collectivite_id)},
        )
    return envelopes.unwrap(master, row.wrapped, collectivite_id)


def fingerprint(config: Config, collectivite_id: str) -> str:
    """What a certificate says of the key; "" where there is none, or it does not open."""
    try:
        row = CommuneKey.objects.get(pk=collectivite_id)
        key = envelopes.unwrap(_master(config), row.wrapped, collectivite_id)
    except (CommuneKey.DoesNotExist, envelopes.KeyUnreadable):
        return ""
    return hashlib.sha256(b"beffroi/commune-key-fingerprint/1\n" + key).hexdigest()[:32]


def destroy(collectivite_id: str) -> None:
    """For good, in the caller's transaction. An empty row stays, so that no new one is made in its place."""
    CommuneKey.objects.update_or_create(pk=collectivite_id, defaults={"wrapped": ""})
