"""The référent hands a rescue code to a person of the collectivité who lost every second factor."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from beffroi.core.identity import queries
from beffroi.core.identity import rescue as codes
from beffroi.core.identity.actor import Actor
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import step_up


@require_http_methods(["GET", "POST"])
@for_agents
def rescue(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Whom to help; then the code, once, on a page to print."""
    step_up.require(request)
    context: dict[str, Any] = {"place": "access", "people": codes.candidates(actor)}
    if request.method == "GET":
        return page(request, "portal/rescue.html", context)
    made = codes.make(actor=actor, person_id=request.POST.get("person_id", ""))
    name = queries.person_name(made.record.person_id)
    return page(request, "portal/rescue_shown.html", {**context, "made": made, "name": name})
