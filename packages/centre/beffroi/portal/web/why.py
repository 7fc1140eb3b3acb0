"""Pourquoi est-ce bloqué ? What a person of a commune may know of an entry of a list: public facts and counts.

Input:  hostile; lists, decisions and exceptions come from queries on the person's behalf.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotFound
from beffroi.portal import why as answers
from beffroi.portal.pages import for_agents, page

PLACE = {"place": "blocks"}


@require_GET
@for_agents
def why(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotFound (it is no indicator)."""
    context = PLACE | {"why": _found(request, actor), "days": answers.DAYS}
    return page(request, "portal/why.html", context)


@require_GET
@for_agents
def why_json(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotFound (it is no indicator)."""
    response = JsonResponse(answers.as_json(_found(request, actor), departement=False))
    response["Cache-Control"] = "no-store, private"
    return response


def _found(request: HttpRequest, actor: Actor) -> answers.Why:
    asked = answers.read(request.GET.get("q", ""))
    if asked is None:
        raise NotFound("indicator")
    return answers.explain(actor, asked)
