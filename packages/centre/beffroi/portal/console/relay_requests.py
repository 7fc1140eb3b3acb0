"""Relais demandés: what référents ask for their copiers; the Département sets it up, or says why not.

Access: administrators. Accepting is to save the settings of the relay, on the page of a boîtier (console.relay).
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from beffroi.boxes import asking, queries, relay_requests
from beffroi.boxes.models import Box
from beffroi.core.communes import queries as communes
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid
from beffroi.portal import relay_words
from beffroi.portal.pages import for_administrators, page

MAX_SHOWN = 200


@require_GET
@for_administrators
def asked(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _list(request, actor)


@require_POST
@for_administrators
def decline(request: HttpRequest, actor: Actor, request_id: str) -> HttpResponse:
    """Errors: NotFound, Conflict (it was answered)."""
    found = relay_requests.access_request(actor, request_id)
    try:
        relay_requests.decline(actor=actor, request=found, reason=request.POST.get("reason", ""))
    except Invalid:
        said = _("Dites en une phrase pourquoi : la commune la lira.")
        return _list(request, actor, failed=found.id, errors={"reason": said})
    messages.success(request, _("C’est noté : la commune lit votre raison."))
    return HttpResponseRedirect(reverse("relay_requests"))


def _list(
    request: HttpRequest, actor: Actor, *, failed: str = "", errors: dict[str, str] | None = None
) -> HttpResponse:
    rows = list(relay_requests.waiting(actor)[:MAX_SHOWN])
    names = communes.visible_names(actor)
    serving = dict(
        queries.visible_boxes(actor).filter(state=Box.State.ACTIVE).values_list("collectivite_id", "id")
    )
    persons = {one.asked_by: identity.person_name(one.asked_by) for one in rows}
    shown = [
        relay_words.request(one)
        | {
            "commune": names.get(one.collectivite_id, ""),
            "by": persons[one.asked_by] or _("Une personne partie"),
            "box_id": serving.get(one.collectivite_id, ""),
            "errors": errors if one.id == failed else {},
            "reason": request.POST.get("reason", "")[: asking.MAX_TEXT_CHARS] if one.id == failed else "",
        }
        for one in rows
    ]
    answered = relay_requests.visible_requests(actor).exclude(state="asked")[:20]
    context = {
        "place": "boxes",
        "rows": shown,
        "answered": [
            relay_words.request(one) | {"commune": names.get(one.collectivite_id, "")} for one in answered
        ],
    }
    return page(request, "console/relay_requests.html", context, status=400 if failed else 200)
