"""The certificate of an erased Coffre as a signed ZIP that is checked without this centre. In French, whoever reads it.

It holds fingerprints of keys, moments and names of administrators; nothing of a file.
"""

from __future__ import annotations

import json

import msgspec
from django.conf import settings
from django.http import HttpResponse

from beffroi.core.audit import queries as audit
from beffroi.core.audit import signing
from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import keys
from beffroi.incidents import sealed
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.portal.pages import as_file

MARK = "drive-erasure/1"
README = """Attestation d'effacement du Coffre d'une collectivité

attestation.json   clés détruites (numéro, empreinte, date), moment, qui a demandé et qui a accordé

Les clés détruites ouvraient tous les fichiers, les métadonnées sauvegardées et les versions de cette collectivité.
Ce qui reste ailleurs est dit dans la documentation (docs/fr/dpo.md, « Effacer le Coffre d'une collectivité »).

Vérifier que rien n'a changé depuis :
  sha256sum -c empreintes.sha256
  openssl pkeyutl -verify -pubin -inkey cle-publique.pem -rawin -in manifeste.json -sigfile manifeste.sig
La clé publique est celle du journal du centre ; le Département la confirme par un autre moyen.
"""


def answer(actor: Actor, collectivite: Collectivite) -> HttpResponse:
    """Errors: Conflict (not erased), SettingInvalid (no key)."""
    found = keys.certificate(settings.BEFFROI, collectivite.id)
    if found is None:
        raise Conflict("these files are not erased")
    owner = communes.access_collectivite(actor, collectivite.id)
    data = msgspec.to_builtins(found) | {
        "collectivite": {"name": owner.name, "siren": communes.current_code(owner.id, "siren")},
        "departement": settings.BEFFROI.departement_name,
        "asked_and_granted_by": [identity.administrator_name(one) or "—" for one in found.erased_by.split()],
        "backup_days": settings.BEFFROI.backup_keep_days,
    }
    packed = sealed.pack(
        {
            "LISEZMOI.txt": README.encode(),
            "attestation.json": (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode(),
        },
        mark=MARK,
        subject={"collectivite_id": collectivite.id},
        at=clock.now(),
        audit_head=audit.head(),
        key=signing.private_key(settings.BEFFROI),
    )
    return as_file(packed, "application/zip", f"attestation-coffre-{collectivite.id[-6:]}.zip")
