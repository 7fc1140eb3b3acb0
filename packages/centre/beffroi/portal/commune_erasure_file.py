"""The certificate of an erased collectivité: what a page shows, and the same as a signed ZIP that is checked without
this centre.

In French, whatever the reader's language: it goes to the commune and to the Archives départementales. It holds counts,
addresses of mailboxes and hashes; nothing of a mail or a file.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import translation

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import CollectiviteCode
from beffroi.core.identity.actor import Actor
from beffroi.leaving import erasing
from beffroi.leaving.models import CommuneErasure, Leaving
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.portal import signed_file
from beffroi.portal.incident_file import moment
from beffroi.portal.leaving_words import REMAINS

README = (
    """Attestation d'effacement d'une collectivité

attestation.html   à lire et à imprimer
attestation.json   le même contenu, pour un logiciel
"""
    + signed_file.VERIFY
    + """
Empreinte d'inventaire d'une boîte : SHA-256 des lignes « identifiant taille », une par courriel des dossiers, triées.
Empreinte d'une clé : elle la désigne et ne permet pas de la retrouver.
"""
)


def content(actor: Actor, erasure: CommuneErasure) -> dict[str, Any]:
    """What page and data say. The caller got the erasure by ``queries``. Errors: Conflict (not done)."""
    if erasure.state != CommuneErasure.State.DONE or erasure.done_at is None or erasure.begun_at is None:
        raise Conflict("this collectivité is not erased")
    owner = communes.access_collectivite(actor, erasure.collectivite_id)
    leaving = Leaving.objects.filter(collectivite_id=owner.id, state=Leaving.State.LEFT).first()
    codes = CollectiviteCode.objects.filter(collectivite_id=owner.id).order_by("since")
    removed = erasing.removed(erasure)
    assert erasure.granted_at is not None
    boxes = removed.get("mailboxes", [])
    for one in boxes:
        at = one["key_destroyed_at"]
        one["key_destroyed_at"] = moment(datetime.fromisoformat(at)) if at else None
    return {
        "erasure_id": erasure.id,
        "collectivite": {
            "name": owner.name,
            "id": owner.id,
            **{one.scheme: one.value for one in codes},
        },
        "departement": settings.BEFFROI.departement_name,
        "left_on": leaving.leaves_on.strftime("%d/%m/%Y") if leaving else "",
        "wish": leaving.reason if leaving else "",
        "asked": {"at": moment(erasure.created_at), "by": erasure.asked_name},
        "granted": {"at": moment(erasure.granted_at), "by": erasure.granted_name, "visa": erasure.visa},
        "begun_at": moment(erasure.begun_at),
        "done_at": moment(erasure.done_at),
        "exports": [
            one | {"at": moment(datetime.fromisoformat(one["at"]))} for one in removed.get("exports", [])
        ],
        "since_export": removed.get("since_export", {}),
        "removed": {
            "mailboxes": boxes,
            "mails": sum(one["mails"] for one in boxes),
            "mail_bytes": sum(one["size_bytes"] for one in boxes),
            "drive": removed.get("drive", {}),
            "domains": removed.get("domains", []),
            "rows": removed.get("rows", {}),
            "rows_total": sum(removed.get("rows", {}).values()),
            "persons": removed.get("persons", 0),
            "persons_kept_for_an_incident_elsewhere": removed.get("persons_held", 0),
            "key": removed.get("key", ""),
        },
        "remains": [{"what": str(what), "why": str(why)} for what, why in REMAINS],
        "backup_days": settings.BEFFROI.backup_keep_days,
    }


def make(actor: Actor, erasure: CommuneErasure) -> bytes:
    """The ZIP. Errors: Conflict (not done), SettingInvalid (no key)."""
    with translation.override("fr"):
        data = content(actor, erasure)
    return signed_file.pack(
        "commune-erasure/1",
        {"erasure_id": erasure.id},
        data,
        name="attestation",
        read_me=README,
        at=clock.now(),
        template="file/commune_erasure.html",
    )
