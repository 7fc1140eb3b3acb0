"""Ouvertures: who asks to come in to a town hall from the internet; the Département opens until a day, or says why not.

Access: administrators; opening asks for a present code.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from beffroi.boxes import asking, openings
from beffroi.boxes.models import OpeningRequest
from beffroi.core.communes import queries as communes
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid
from beffroi.portal import opening_words
from beffroi.portal.console.incidents import step_up
from beffroi.portal.numbered import numbered
from beffroi.portal.opening_form import UntilForm
from beffroi.portal.pages import for_administrators, page

MAX_SHOWN = 200
_State = OpeningRequest.State


@require_GET
@for_administrators
def asked(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _list(request, actor)


@require_POST
@for_administrators
def accept(request: HttpRequest, actor: Actor, request_id: str) -> HttpResponse:
    """Errors: NotFound, Conflict (it was answered)."""
    found = openings.access_request(actor, request_id)
    form = UntilForm(request.POST)
    if not form.is_valid():
        return _list(request, actor, failed=found.id, errors={"until": str(form.errors["until"][0])})
    if wrong := step_up(request, actor):
        return _list(request, actor, failed=found.id, errors={"code": wrong}, status=403)
    try:
        openings.accept(actor=actor, request=found, until=form.cleaned_data["until"])
    except openings.PortTaken:
        taken = _("Ce port mène déjà à un appareil de cette mairie, ou sert de piège à son boîtier.")
        return _list(request, actor, failed=found.id, errors={"until": taken})
    messages.success(request, _("C’est ouvert dès que le boîtier a pris ses nouveaux réglages."))
    return HttpResponseRedirect(reverse("openings"))


@require_POST
@for_administrators
def decline(request: HttpRequest, actor: Actor, request_id: str) -> HttpResponse:
    """Errors: NotFound, Conflict (it was answered)."""
    found = openings.access_request(actor, request_id)
    try:
        openings.decline(actor=actor, request=found, reason=request.POST.get("reason", ""))
    except Invalid:
        said = _("Dites en une phrase pourquoi : la commune la lira.")
        return _list(request, actor, failed=found.id, errors={"reason": said})
    messages.success(request, _("C’est noté : la commune lit votre raison."))
    return HttpResponseRedirect(reverse("openings"))


@require_POST
@for_administrators
def close(request: HttpRequest, actor: Actor, request_id: str) -> HttpResponse:
    """Errors: NotFound, Conflict (it is not open)."""
    openings.close(actor=actor, request=openings.access_request(actor, request_id))
    messages.success(request, _("C’est refermé : plus personne n’entre par là."))
    return HttpResponseRedirect(reverse("openings"))


def _list(
    request: HttpRequest,
    actor: Actor,
    *,
    failed: str = "",
    errors: dict[str, str] | None = None,
    status: int = 400,
) -> HttpResponse:
    names = communes.visible_names(actor)

    def shown(row: OpeningRequest) -> dict[str, object]:
        at_fault = row.id == failed
        until = request.POST.get("until", "") if at_fault else ""
        return opening_words.request(row) | {
            "commune": names.get(row.collectivite_id, ""),
            "by": identity.person_name(row.asked_by) or _("Une personne partie"),
            "until": until or f"{timezone.localtime(row.until):%Y-%m-%d}",
            "errors": errors if at_fault else {},
            "reason": request.POST.get("reason", "")[: asking.MAX_TEXT_CHARS] if at_fault else "",
        }

    rows = openings.visible_requests(actor)
    in_force = rows.filter(state=_State.ACCEPTED).order_by("until", "id")
    pages = numbered(list(in_force), request.GET.get("page", ""), {})
    context = {
        "place": "boxes",
        "rows": [shown(one) for one in openings.waiting(actor)[:MAX_SHOWN]],
        "list": pages,
        "open": [shown(one) for one in pages.rows],
        "answered": [shown(one) for one in rows.exclude(state__in=(_State.ASKED, _State.ACCEPTED))[:20]],
    }
    return page(request, "console/openings.html", context, status=status if failed else 200)
