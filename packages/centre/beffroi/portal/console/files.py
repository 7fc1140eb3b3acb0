"""Coffre, for the Département: contents that are held and devices that were stopped, by commune. Hashes and numbers,
never a file's name: the console opens no drive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.communes import queries as communes
from beffroi.core.decisions import queries as decisions
from beffroi.core.identity.actor import Actor
from beffroi.incidents import queries
from beffroi.incidents.models import Incident, IncidentEntry, IncidentFile
from beffroi.portal import incident_words
from beffroi.portal.pages import for_administrators, page

MOST_ROWS = 100


@require_GET
@for_administrators
def files(request: HttpRequest, actor: Actor) -> HttpResponse:
    names = communes.visible_names(actor)
    frozen = queries.frozen_files(actor, limit=MOST_ROWS)
    held = {
        one.id: one
        for one in decisions.visible_decisions(actor).filter(pk__in={row.decision_id for row in frozen})
    }
    context = {
        "place": "incidents",
        "contents": _rows(queries.of_files(actor, limit=MOST_ROWS), names),
        "devices": _rows(queries.of_devices(actor, limit=MOST_ROWS), names),
        "frozen": [
            {
                "one": one,
                "commune": names.get(one.collectivite_id, ""),
                "decision": held.get(one.decision_id),
            }
            for one in frozen
        ],
    }
    return page(request, "console/files.html", context)


def _rows(incidents: Sequence[Incident], names: Mapping[str, str]) -> list[dict[str, object]]:
    """``said``: what was found first. ``sha256``: one of its contents, "" where it is about none; ``others``: how many
    more there are. ``answers``: what people of the commune did about it, in words."""
    entries: dict[str, list[IncidentEntry]] = defaultdict(list)
    for entry in IncidentEntry.objects.filter(
        incident__in=incidents, code__in=("happened", "review_asked", "file_released")
    ).order_by("at", "id"):
        entries[entry.incident_id].append(entry)
    contents = dict(
        IncidentFile.objects.filter(incident__in=incidents).values_list("incident").annotate(Max("sha256"))
    )
    counts = queries.counts_of_files(incidents)
    return [
        {
            "incident": one,
            "sha256": contents.get(one.id, ""),
            "others": counts.get(one.id, 1) - 1,
            "commune": names.get(one.collectivite_id, ""),
            "said": next((_words(one, entry) for entry in entries[one.id] if entry.code == "happened"), ""),
            "answers": list(
                dict.fromkeys(_words(one, entry) for entry in entries[one.id] if entry.code != "happened")
            ),
        }
        for one in incidents
    ]


def _words(incident: Incident, entry: IncidentEntry) -> str:
    return incident_words.entry(incident.kind, entry.code, entry.data)
