"""The commune's own mail domains, to read only, for its référent: records, state, what to ask the provider."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotAllowed
from beffroi.portal import domain_view
from beffroi.portal.pages import for_agents, page


@require_GET
@for_agents
def domains(request: HttpRequest, actor: Actor) -> HttpResponse:
    if actor.role != "referent":
        raise NotAllowed("domains are the référent's")
    shown = [domain_view.context(one) for one in communes.visible_domains(actor)]
    return page(request, "portal/domains.html", {"place": "mail", "shown": shown})
