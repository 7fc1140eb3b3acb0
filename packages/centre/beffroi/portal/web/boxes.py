"""The commune's own boîtiers, to read only: state, observation, which machines to look at, why their
settings changed, what copiers sent through them, who comes in, and what a référent asked for them."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.boxes import fleet, openings, relay_requests
from beffroi.boxes import relay as relays
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.portal import bypass_words, opening_words, places, relay_words, words
from beffroi.portal.pages import for_agents, page

CHANGES = 10
PAST_OPENINGS = 10
RELAY_DAYS = 30


@require_GET
@for_agents
def boxes(request: HttpRequest, actor: Actor) -> HttpResponse:
    owner = actor.collectivite_id or ""
    rows = fleet.fleet(actor)
    flows = fleet.learned_flows(actor, owner)
    relay = relays.relay_of(actor, owner)
    since = (clock.now() - timedelta(days=RELAY_DAYS)).date()
    seen = list(fleet.bypasses(actor, owner))
    latest = relay_requests.visible_requests(actor).first()
    context = {
        "place": "home",
        "lines": [places.line(row) for row in rows],
        "serials": [row.box.serial for row in rows],
        "observe_until": max(
            (row.observe_until for row in rows if row.observe_until and "observing" in row.flags),
            default=None,
        ),
        "waiting": flows.filter(direction="in", state="open").count(),
        "bypasses": bypass_words.bypasses(seen),
        "observed": bypass_words.observed(seen),
        "relay": relay,
        "devices": relay_words.devices(relay, relays.relay_days(actor, owner, since=since)),
        "relay_size": words.size(relay.size_bytes) if relay else "",
        "days": RELAY_DAYS,
        "asked": relay_words.request(latest) if latest is not None else None,
        "openings": [
            opening_words.request(one) for one in openings.under_way_first(actor, past=PAST_OPENINGS)
        ],
        "manages": actor.role == "referent",
        "contact": settings.BEFFROI.incident_contact,
        "changes": fleet.policy_history(actor, owner)[:CHANGES],
    }
    return page(request, "portal/boxes.html", context)
