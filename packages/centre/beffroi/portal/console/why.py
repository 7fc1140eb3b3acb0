"""Why is this blocked? A search, its answer as a page and JSON, and "let it pass everywhere" with its undoing."""

from __future__ import annotations

from beffroi_protocol.indicators import Indicator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.decisions import never_again
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid, NotFound
from beffroi.portal import why as answers
from beffroi.portal.pages import for_administrators, page

PLACE = {"place": "campaigns"}


@require_http_methods(["GET", "POST"])
@for_administrators
def why(request: HttpRequest, actor: Actor) -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    q = given.get("q", "").strip()[: answers.MAX_CHARS]
    asked = answers.read(q)
    found = answers.explain(actor, asked) if asked is not None else None
    error = ""
    if request.method == "POST" and found is not None:
        try:
            _act(request, actor, found)
            return HttpResponseRedirect(f"{reverse('why')}?{urlencode({'q': q})}")
        except Invalid:
            error = _("Écrivez une raison : elle reste avec « plus jamais ».")
    context = PLACE | {"q": q, "why": found, "error": error, "console": True, "days": answers.DAYS}
    return page(request, "console/why.html", context, status=400 if error else 200)


def _act(request: HttpRequest, actor: Actor, found: answers.Why) -> None:
    """Errors: Invalid (no reason), NotFound (it is none of the choices)."""
    reason = request.POST.get("reason", "")
    if request.POST.get("word") == "back":
        if found.spared is None:
            raise NotFound("entry")
        never_again.take_back(actor=actor, never_again_id=found.spared.id, reason=reason)
        return
    never_again.never_again(actor=actor, indicator=_chosen(request, found), reason=reason)


def _chosen(request: HttpRequest, found: answers.Why) -> Indicator:
    wanted = request.POST.get("entry", "")
    for one in found.choices:
        if f"{one.kind.value} {one.value}" == wanted:
            return one
    raise NotFound("entry")


@require_GET
@for_administrators
def why_json(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotFound (it is no indicator)."""
    asked = answers.read(request.GET.get("q", ""))
    if asked is None:
        raise NotFound("indicator")
    return JsonResponse(answers.as_json(answers.explain(actor, asked), departement=True))
