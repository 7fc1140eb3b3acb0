"""The rows without which a backup opens nowhere, as a file for the keeper: STATE/backup-rows/rows.json.

Process: sources. Keys are in it as they are in the database: wrapped by the collectivité's, and that by
         commune-master.key, which is in no backup.
"""

from __future__ import annotations

import json

from django.conf import settings

from beffroi.core.events import periodic
from beffroi.lib import durable
from beffroi.mail.models import CommuneKey, Mailbox

_MAILBOX = ("id", "collectivite_id", "address", "person_id", "crypt_key", "closed_at")


@periodic("mail.backup_rows", every_s=600.0, group="sources")
def keep_rows() -> None:
    """Mailboxes, closed ones too, and the keys of their collectivités."""
    folder = settings.BEFFROI.state / "backup-rows"
    if not folder.is_dir():
        return  # a centre that was not prepared
    rows = {
        "mail_mailbox": list(Mailbox.objects.order_by("id").values(*_MAILBOX)),
        "mail_commune_key": list(CommuneKey.objects.order_by("pk").values("collectivite_id", "wrapped")),
    }
    text = json.dumps(rows, default=str, ensure_ascii=False, indent=0).encode()
    path = folder / "rows.json"
    if not path.exists() or path.read_bytes() != text:
        durable.write(path, (text,), mode=0o600)
