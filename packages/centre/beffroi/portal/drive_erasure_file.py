"""The certificate of an erased Coffre as a signed ZIP that is checked without this centre. In French, whoever reads it.

It holds fingerprints of keys, moments and names of administrators; nothing of a file.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from django.conf import settings
from django.http import HttpResponse

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import keys
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.portal import signed_file
from beffroi.portal.pages import as_file

README = (
    """Attestation d'effacement du Coffre d'une collectivité

attestation.json   clés détruites (numéro, empreinte, date), moment, qui a demandé et qui a accordé

Les clés détruites ouvraient tous les fichiers, les métadonnées sauvegardées et les versions de cette collectivité.
Ce qui reste ailleurs est dit dans la documentation (docs/fr/dpo.md, « Effacer le Coffre d'une collectivité »).
"""
    + signed_file.VERIFY
)


def answer(actor: Actor, collectivite: Collectivite) -> HttpResponse:
    """Errors: Conflict (not erased), SettingInvalid (no key)."""
    found = keys.certificate(settings.BEFFROI, collectivite.id)
    if found is None:
        raise Conflict("these files are not erased")
    owner = communes.access_collectivite(actor, collectivite.id)
    data = msgspec.to_builtins(found) | {
        "collectivite": communes.called_then(owner, datetime.fromisoformat(found.erased_at)),
        "departement": settings.BEFFROI.departement_name,
        "asked_and_granted_by": [identity.administrator_name(one) or "—" for one in found.erased_by.split()],
        "backup_days": settings.BEFFROI.backup_keep_days,
    }
    packed = signed_file.pack(
        "drive-erasure/1",
        {"collectivite_id": collectivite.id},
        data,
        name="attestation",
        read_me=README,
        at=clock.now(),
    )
    return as_file(packed, "application/zip", f"attestation-coffre-{collectivite.id[-6:]}.zip")
