"""Scellements, for the Département: what is sealed in each commune, in numbers, and what a verification found damaged.

Rule:    of what drive-keeper wrote (``drive.seals.overview``): the console opens no drive and shows no name of a file.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.drive.seals import overview
from beffroi.drive.seals.overview import Sums
from beffroi.lib import clock
from beffroi.portal import words
from beffroi.portal.pages import for_administrators, page


@require_GET
@for_administrators
def seals(request: HttpRequest, actor: Actor) -> HttpResponse:
    known = overview.read(settings.BEFFROI)
    names = communes.visible_names(actor)
    rows = [_row(one, names[one], known[one]) for one in known.keys() & names.keys()]
    rows.sort(key=lambda row: (not row["sums"].damaged, row["commune"]))
    shown = [row["sums"] for row in rows]
    context = {
        "place": "incidents",
        "rows": rows,
        "folders": sum(one.folders for one in shown),
        "files": sum(one.files for one in shown),
        "size": words.size(sum(one.size_bytes for one in shown)),
        "damaged": sum(one.damaged for one in shown),
        "held_up": sum(one.held_up for one in shown),
        "unstamped": sum(one.unstamped for one in shown),
    }
    return page(request, "console/seals.html", context)


def _row(collectivite_id: str, name: str, sums: Sums) -> dict[str, Any]:
    return {
        "id": collectivite_id,
        "commune": name,
        "sums": sums,
        "size": words.size(sums.size_bytes),
        "checked": clock.moment(sums.checked_s),
        "oldest": clock.moment(sums.oldest_s) if sums.oldest_s < sums.checked_s else None,
        "since": clock.moment(sums.since_s),
    }
