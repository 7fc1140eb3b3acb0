"""Journal: the audit log, and whether its chain holds. Verification runs when asked: it reads the whole chain."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.audit import queries as audit
from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.portal import verbs
from beffroi.portal.pages import for_administrators, page

PAGE_ENTRIES = 50


@require_GET
@for_administrators
def journal(request: HttpRequest, actor: Actor) -> HttpResponse:
    before = request.GET.get("avant", "")
    rows = audit.visible_entries(actor)
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(id__lt=int(before))
    found = list(rows[: PAGE_ENTRIES + 1])
    names = dict(communes.visible_collectivites(actor).values_list("id", "name"))
    context = {
        "place": "journal",
        "report": audit.verify(),
        "entries": [
            {
                "entry": one,
                "what": verbs.sentence(one.verb),
                "who": verbs.actor(one.actor_kind, one.actor_id),
                "commune": names.get(one.collectivite_id or "", ""),
                "details": json.loads(one.details),
                "sealed": getattr(one, "seal", None) is not None,
            }
            for one in found[:PAGE_ENTRIES]
        ],
        "older": found[PAGE_ENTRIES - 1].id if len(found) > PAGE_ENTRIES else None,
    }
    return page(request, "console/journal.html", context)
