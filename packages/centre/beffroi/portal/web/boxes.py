"""The commune's own boîtiers, to read only: state, observation, who goes round them, and why their settings changed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.boxes import fleet
from beffroi.core.identity.actor import Actor
from beffroi.portal import places, words
from beffroi.portal.pages import for_agents, page

CHANGES = 10


@require_GET
@for_agents
def boxes(request: HttpRequest, actor: Actor) -> HttpResponse:
    owner = actor.collectivite_id or ""
    rows = fleet.fleet(actor)
    flows = fleet.learned_flows(actor, owner)
    context = {
        "place": "home",
        "lines": places.own_boxes(actor),
        "serials": [row.box.serial for row in rows],
        "observe_until": max(
            (row.observe_until for row in rows if row.observe_until and "observing" in row.flags),
            default=None,
        ),
        "waiting": flows.filter(direction="in", state="open").count(),
        "bypasses": [words.bypass(one.kind, one.count, one.last_at) for one in fleet.bypasses(actor, owner)],
        "changes": fleet.policy_history(actor, owner)[:CHANGES],
    }
    return page(request, "portal/boxes.html", context)
