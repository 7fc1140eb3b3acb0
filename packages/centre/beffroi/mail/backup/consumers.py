"""The rows without which a backup opens nowhere, as a file for the keeper: STATE/backup-rows/rows.json. And what
follows when the database itself was restored.

Process: sources (rows), worker. Keys are in the file as they are in the database: wrapped by the collectivité's, and
         that by commune-master.key, which is in no backup.
"""

from __future__ import annotations

import json
import logging

from django.conf import settings
from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.events import Event, consumer, periodic
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import durable
from beffroi.mail import app_passwords, projections
from beffroi.mail.backup.database.tables import RESTORED
from beffroi.mail.engines import layout
from beffroi.mail.models import CommuneKey, Mailbox

log = logging.getLogger("beffroi.mail.backup")
SYSTEM = Actor.system("database.restore")
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


@consumer(name="database.restored", kinds=(RESTORED,))
def record(event: Event) -> None:
    told = event.payload
    audit.record(
        SYSTEM,
        "database:restore_undone" if told["is_undone"] else "database:restored",
        str(told["snapshot"]),
        collectivite_id=None,
        details={"as_of_s": told["as_of_s"]},
    )


@consumer(name="mail.database_restored", kinds=(RESTORED,), atomic=False)
def project_all(event: Event) -> None:
    """The engines know what was true before, or on another machine nothing: each mailbox is told anew, and what the
    database does not know opens nothing any more."""
    config = settings.BEFFROI
    if not layout.Paths(config.state).auth.exists():  # no engine was ever prepared here
        return
    mailboxes, known = projections.known(config)
    rows = {one.id: one for one in Mailbox.objects.order_by("id")}
    for mailbox_id, address in mailboxes.items():
        if address == config.probe_address or address.endswith(projections.CLOSED_NAME):
            continue
        if mailbox_id not in rows or rows[mailbox_id].address != address:
            projections.remove_mailbox(config, mailbox_id=mailbox_id, address=address)
    app_passwords.put(known)
    for one in rows.values():
        if one.closed_at is None and not one.crypt_key:
            log.error("%s is open, and no key of it is left: nothing of it opens", one.id)
            continue
        with transaction.atomic():
            kind = "mail:mailbox_created" if one.closed_at is None else "mail:mailbox_closed"
            publish(kind, {"mailbox_id": one.id}, collectivite_id=one.collectivite_id)
