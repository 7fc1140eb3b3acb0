"""Pourquoi est-ce bloqué ? What a person of a commune may know of an entry of a list, and do about it: contest it, let
it through for an hour.

Input:  hostile; lists, decisions and exceptions come from queries on the person's behalf.
Rule:   the policy of the commune's boîtiers and the rules of exceptions say what may be let through.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.boxes import queries as boxes
from beffroi.core.decisions import appeals
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.portal import why as answers
from beffroi.portal.pages import for_agents, page, typed
from beffroi.portal.web.blocks import NO_WORDS, PLACE, let_through, may_unlock


@require_http_methods(["GET", "POST"])
@for_agents
def why(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotFound (it is no indicator), NotAllowed, Conflict (nothing refuses it)."""
    found = _found(request, actor)
    error = missing = ""
    if request.method == "POST":
        try:
            error = _act(request, actor, found)
        except Invalid:
            missing = str(NO_WORDS)
        if not error and not missing:
            return HttpResponseRedirect(f"{reverse('why')}?{urlencode({'q': found.asked.value})}")
    opened = next((one.row for one in found.exceptions), None) if found.opened else None
    context = PLACE | {
        "why": found,
        "days": answers.DAYS,
        "may_contest": found.contestable and not any(one.row.state == "open" for one in found.appeals),
        "may_unlock": found.blocked and found.lifted and may_unlock(actor),
        "exception": opened,
        "box": boxes.visible_boxes(actor).exists(),
        "minutes": settings.BEFFROI.exception_person_s // 60,
        "error": error,
        "missing": missing,
        "text": request.POST.get("text", ""),
    }
    return page(request, "portal/why.html", context, status=400 if error or missing else 200)


def _act(request: HttpRequest, actor: Actor, found: answers.Why) -> str:
    """Do what was pressed; return what stood against it."""
    text = typed(request, "text")
    if request.POST.get("word") == "contest":
        appeals.appeal_entry(actor=actor, indicator=found.asked, text=text)
        return ""
    if not may_unlock(actor):
        raise NotAllowed("let something through")
    if not found.blocked:
        raise Conflict("nothing refuses it")
    return let_through(actor, found.asked, "", text)


@require_GET
@for_agents
def why_json(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotFound (it is no indicator)."""
    return JsonResponse(answers.as_json(_found(request, actor), departement=False))


def _found(request: HttpRequest, actor: Actor) -> answers.Why:
    given = request.POST if request.method == "POST" else request.GET
    asked = answers.read(given.get("q", ""))
    if asked is None:
        raise NotFound("indicator")
    return answers.explain(actor, asked)
