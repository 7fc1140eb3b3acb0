"""Notre boîtier: a référent asks that somebody may come in from the internet, takes it back, or closes what is open.

Input:   hostile: every field. Changes are POSTs with a token of the session.
Access:  référents; the request is their collectivité's.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from beffroi.boxes import openings
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict, NotFound
from beffroi.portal.opening_form import OpeningForm
from beffroi.portal.pages import for_agents, page


@require_http_methods(["GET", "POST"])
@for_agents
def ask(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotFound for who is no référent."""
    if actor.role != "referent":
        raise NotFound("page")
    form = OpeningForm(request.POST) if request.method == "POST" else OpeningForm()
    if form.is_bound and form.is_valid():
        typed = form.cleaned_data
        try:
            openings.ask(
                actor=actor,
                at=typed["machine"],
                protocol=typed["protocol"],
                port=typed["port"],
                sources=typed["sources"],
                purpose=typed["purpose"],
                until=typed["until"],
            )
        except Conflict:
            form.add_error(None, _not_now(actor))
        else:
            messages.success(request, _("La demande est partie. La réponse du Département se lira ici."))
            return _back()
    context = {"place": "home", "form": form}
    return page(request, "portal/opening_request.html", context, status=400 if form.errors else 200)


@require_POST
@for_agents
def withdraw(request: HttpRequest, actor: Actor, request_id: str) -> HttpResponse:
    """Errors: NotFound, Conflict (it was answered)."""
    openings.withdraw(actor=actor, request=openings.access_request(actor, request_id))
    messages.success(request, _("La demande est retirée."))
    return _back()


@require_POST
@for_agents
def close(request: HttpRequest, actor: Actor, request_id: str) -> HttpResponse:
    """Errors: NotFound, Conflict (it is not open)."""
    openings.close(actor=actor, request=openings.access_request(actor, request_id))
    messages.success(request, _("C’est refermé : plus personne n’entre par là."))
    return _back()


def _not_now(actor: Actor) -> str:
    if openings.waiting(actor).count() >= openings.MAX_WAITING:
        return _("%(most)s demandes attendent déjà : attendez une réponse, ou retirez-en une.") % {
            "most": openings.MAX_WAITING
        }
    return _("Aucun boîtier n’est en service chez vous : rien ne peut encore être ouvert.")


def _back() -> HttpResponse:
    return HttpResponseRedirect(reverse("own_boxes") + "#h-openings")
