"""Notre boîtier: a référent asks the Département for a relay for copiers, or takes the request back.

Input:   hostile: every field. Changes are POSTs with a token of the session.
Access:  référents; the request is their collectivité's.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from beffroi.boxes import relay as relays
from beffroi.boxes import relay_requests
from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotFound
from beffroi.mail import queries as mail
from beffroi.portal.pages import for_agents, page
from beffroi.portal.relay_form import RelayRequestForm


@require_http_methods(["GET", "POST"])
@for_agents
def ask(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotFound for who is no référent; Conflict (one waits already, no boîtier)."""
    if actor.role != "referent":
        raise NotFound("page")
    owner = actor.collectivite_id or ""
    senders = list(mail.functional_mailboxes(actor, owner).values_list("address", flat=True))
    if request.method == "POST":
        form = RelayRequestForm(request.POST, senders=senders)
        if form.is_valid():
            typed = form.cleaned_data
            relay_requests.ask(
                actor=actor,
                sender=typed["sender"],
                purpose=typed["purpose"],
                hour=typed["hour"],
                recipients=typed["recipients"],
            )
            messages.success(request, _("La demande est partie. La réponse du Département se lira ici."))
            return HttpResponseRedirect(reverse("own_boxes") + "#h-relay")
    else:
        own = [f"@{one.name}" for one in communes.visible_domains(actor)]
        form = RelayRequestForm(
            initial=RelayRequestForm.initial_of(relays.relay_of(actor, owner), own), senders=senders
        )
    context = {"place": "home", "form": form, "senders": senders}
    return page(request, "portal/relay_request.html", context, status=400 if form.errors else 200)


@require_POST
@for_agents
def withdraw(request: HttpRequest, actor: Actor, request_id: str) -> HttpResponse:
    """Errors: NotFound, Conflict (it was answered)."""
    relay_requests.withdraw(actor=actor, request=relay_requests.access_request(actor, request_id))
    messages.success(request, _("La demande est retirée."))
    return HttpResponseRedirect(reverse("own_boxes") + "#h-relay")
