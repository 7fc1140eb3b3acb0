"""Who sends in the commune's own name, for its référent, who alone knows the town hall's programs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid, NotFound
from beffroi.mail.domains import queries as domains
from beffroi.portal import sender_view
from beffroi.portal.pages import for_agents, page


@require_http_methods(["GET", "POST"])
@for_agents
def senders(request: HttpRequest, actor: Actor, domain_id: str) -> HttpResponse:
    """Errors: NotFound, Invalid."""
    if actor.role != "referent":
        raise NotFound("domain")  # as for another commune's
    one = domains.access_domain(actor, domain_id)
    if request.method == "POST":
        if not sender_view.said(request, actor, one):
            raise Invalid("act")
        return HttpResponseRedirect(reverse("own_senders", args=[one.id]))
    return page(request, "portal/senders.html", {"place": "mail", **sender_view.context(one)})
