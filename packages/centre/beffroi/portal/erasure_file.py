"""The record of an erased mailbox: what a page shows, and the same as a signed ZIP that is checked without this centre.

In French, whatever the reader's language: it goes to the Archives départementales. It holds counts and hashes, nothing
of a mail.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import translation

from beffroi.core.communes import queries as communes
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.mail.closing import queries
from beffroi.mail.closing.models import Erasure
from beffroi.mail.models import Mailbox
from beffroi.portal import signed_file
from beffroi.portal.incident_file import moment

README = (
    """Attestation d'effacement d'une boîte aux lettres

attestation.html   à lire et à imprimer
attestation.json   le même contenu, pour un logiciel
"""
    + signed_file.VERIFY
    + """
Empreinte de l'inventaire : SHA-256 des lignes « identifiant taille », une par courriel des dossiers, triées ;
l'identifiant est celui que le serveur de courrier donnait à chaque courriel.
"""
)


def content(actor: Actor, erasure: Erasure) -> dict[str, Any]:
    """What page and data say. The caller got the erasure by ``access_erasure``. Errors: Conflict (not done)."""
    if erasure.state != Erasure.State.DONE or erasure.done_at is None or erasure.begun_at is None:
        raise Conflict("this mailbox is not erased")
    mailbox = Mailbox.objects.get(pk=erasure.mailbox_id)
    owner = communes.access_collectivite(actor, erasure.collectivite_id)
    assert mailbox.closed_at is not None and erasure.granted_at is not None
    return {
        "erasure_id": erasure.id,
        "collectivite": communes.called_then(owner, erasure.done_at),
        "departement": settings.BEFFROI.departement_name,
        "mailbox": {"id": mailbox.id, "address": mailbox.address, "closed_at": moment(mailbox.closed_at)},
        "asked": {"at": moment(erasure.created_at), "by": identity.person_name(erasure.asked_by) or "—"},
        "granted": {"at": moment(erasure.granted_at), "by": decided_by(erasure), "visa": erasure.visa},
        "key_destroyed_at": moment(erasure.begun_at),
        "files_removed_at": moment(erasure.done_at),
        "removed": {
            "mails": erasure.mails,
            "personal": erasure.private,
            "set_aside_or_deleted_before": erasure.hidden,
            "size_bytes": erasure.size_bytes,
            "inventory_sha256": erasure.inventory_sha256,
        },
        "exports": [
            {
                "at": moment(one.ready_at),
                "mails": one.done,
                "sha256": one.sha256,
                "manifest_sha256": one.manifest_sha256,
                "downloads": one.downloads,
            }
            for one in queries.exports(mailbox)
            if one.ready_at is not None
        ],
        "backup_days": settings.BEFFROI.backup_keep_days,
    }


def make(actor: Actor, erasure: Erasure) -> bytes:
    """The ZIP. Errors: Conflict (not done), SettingInvalid (no key)."""
    with translation.override("fr"):
        data = content(actor, erasure)
    return signed_file.pack(
        "mailbox-erasure/1",
        {"erasure_id": erasure.id},
        data,
        name="attestation",
        read_me=README,
        at=clock.now(),
        template="file/erasure.html",
    )


def decided_by(erasure: Erasure) -> str:
    """Name of the administrator; for pages that already checked access."""
    return identity.administrator_name(erasure.decided_by) or "Le Département"
