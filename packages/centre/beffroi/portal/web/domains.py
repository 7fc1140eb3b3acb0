"""The commune's own mail domains for its référent: records, state, what to ask the provider, what it declared."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid, NotAllowed, NotFound
from beffroi.mail.domains import actions, queries
from beffroi.portal import domain_view, domain_words
from beffroi.portal.pages import for_agents, page


@require_GET
@for_agents
def domains(request: HttpRequest, actor: Actor) -> HttpResponse:
    if actor.role != "referent":
        raise NotAllowed("domains are the référent's")
    return _shown(request, actor)


@require_POST
@for_agents
def declare(request: HttpRequest, actor: Actor, domain_id: str) -> HttpResponse:
    """Errors: NotFound."""
    if actor.role != "referent":
        raise NotFound("domain")  # as for another commune's
    given = request.POST
    try:
        actions.declare(
            actor=actor,
            domain=queries.access_domain(actor, domain_id),
            site=given.get("declared_site", "")[:400],
            address=given.get("declared_address", "")[:400],
        )
    except Invalid:
        return _shown(request, actor, domain_words.declared_wrong(), refused=domain_id)
    return HttpResponseRedirect(reverse("own_domains"))


def _shown(request: HttpRequest, actor: Actor, problem: str = "", *, refused: str = "") -> HttpResponse:
    """``refused``: the domain of whose form nothing was taken."""
    shown = [
        domain_view.context(one) | (domain_view.written(request.POST) if one.pk == refused else {})
        for one in communes.visible_domains(actor)
    ]
    context = {"place": "mail", "shown": shown, "problem": problem}
    return page(request, "portal/domains.html", context, status=409 if refused else 200)
