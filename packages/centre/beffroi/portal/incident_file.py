"""The file of an incident for a complaint: one ZIP with a page to print, the same as data, and every piece of evidence.

In French, whatever the reader's language: it goes to a police force. It holds what belongs to this incident and
nothing of another collectivité; times stand in UTC and in local time.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone, translation

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.incidents import actions, queries
from beffroi.incidents.models import Incident
from beffroi.lib import clock
from beffroi.portal import incident_view, signed_file
from beffroi.portal import incident_words as words

README = (
    """Dossier d'incident pour dépôt de plainte (17Cyber, gendarmerie, police)

dossier.html      à lire et à imprimer
dossier.json      le même contenu, pour un logiciel
preuves/          chaque élément tel qu'il a été conservé, avec son empreinte SHA-256
"""
    + signed_file.VERIFY
)


def make(actor: Actor, incident: Incident) -> bytes:
    """Return the ZIP, and note in the incident and the audit log who took it.

    The caller got the incident by ``access_incident``. Errors: SettingInvalid (no key).
    """
    at = clock.now()
    with translation.override("fr"):
        data = content(actor, incident, at)
    packed = signed_file.pack(
        "incident-file/1",
        {"incident_id": incident.id},
        data,
        name="dossier",
        read_me=README,
        at=at,
        template="file/incident.html",
        evidence={
            f"preuves/{number:03d}-{one.source}.json": one.content.encode()
            for number, one in enumerate(queries.evidence(incident), 1)
        },
    )
    actions.record_export(actor=actor, incident=incident, sha256=hashlib.sha256(packed).hexdigest())
    return packed


def name_of(incident: Incident) -> str:
    return f"dossier-{incident.opened_at:%Y-%m-%d}-{incident.id[-6:]}.zip"


def content(actor: Actor, incident: Incident, at: datetime) -> dict[str, Any]:
    """What the page and the data say."""
    shown = incident_view.full(actor, incident)
    owner = communes.access_collectivite(actor, incident.collectivite_id)
    return {
        "incident_id": incident.id,
        "title": shown["title"],
        "sentence": shown["sentence"],
        "made_at": moment(at),
        "collectivite": {
            "name": owner.name,
            "insee": communes.current_code(owner.id, "insee"),
            "siren": communes.current_code(owner.id, "siren"),
            "domains": sorted(one.name for one in communes.visible_domains(actor).filter(collectivite=owner)),
        },
        "followed_by": f"Département {settings.BEFFROI.departement_name}",
        "severity": str(words.SEVERITIES[incident.severity][0]),
        "state": str(words.STATES[incident.state][0]),
        "close_reason": shown["reason"],
        "person": shown["person"],
        "occurred_at": moment(incident.occurred_at),
        "opened_at": moment(incident.opened_at),
        "tasks": [
            {
                "what": one.text,
                "due_at": moment(one.task.due_at) if one.task.due_at else None,
                "done_at": moment(one.task.done_at) if one.task.done_at and not one.task.why else None,
                "not_needed": one.task.why,
            }
            for one in (*shown["tasks"], *shown["departement_tasks"])
        ],
        "timeline": [
            {"at": moment(one.at), "what": one.text or "Note", "who": one.who, "said": one.said}
            for one in shown["lines"]
        ],
        "files": [
            {
                "sha256": one.sha256,
                "found": one.names or one.finding,
                "count": one.count,
                "at": moment(one.at),
                "held": one.is_held,
            }
            for one in queries.files(incident).reverse()
        ],
        "evidence": [
            {
                "file": f"preuves/{number:03d}-{row['one'].source}.json",
                "source": row["source"],
                "at": moment(row["one"].at),
                "captured_at": moment(row["one"].captured_at),
                "sha256": row["one"].sha256,
                "values": json.loads(row["one"].content),
            }
            for number, row in enumerate(shown["evidence"], 1)
        ],
    }


def moment(at: datetime) -> dict[str, str]:
    """The same time twice: UTC for a machine, and as the clock on the wall showed it."""
    local = timezone.localtime(at)
    return {
        "utc": at.astimezone(timezone.get_fixed_timezone(0)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "local": local.strftime("%d/%m/%Y %H:%M:%S (UTC%:z)"),
    }
