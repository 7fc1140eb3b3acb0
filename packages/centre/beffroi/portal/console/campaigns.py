"""Décisions et campagnes: evidence in words, and the three words of the Département: confirm, dismiss, undo."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.decisions import queries as decisions
from beffroi.core.identity.actor import Actor
from beffroi.portal.console import evidence
from beffroi.portal.pages import asks_part, for_administrators, page
from beffroi.watch import actions
from beffroi.watch import queries as watch

LISTED = 100


@require_GET
@for_administrators
def campaigns(request: HttpRequest, actor: Actor) -> HttpResponse:
    found = [evidence.summary(actor, one) for one in watch.campaigns(actor, limit=LISTED)]
    groups = [
        {"title": title, "rows": [one for one in found if one["campaign"].state in states]}
        for title, states in (
            (_("À décider"), ("open",)),
            (_("Bloquées"), ("decided",)),
            (_("Closes"), ("revoked", "dismissed")),
        )
    ]
    context = {
        "place": "campaigns",
        "groups": groups,
        "waiting": len(groups[0]["rows"]),
        "any": bool(found),
        "undecided": decisions.undecided_count(actor),
        "lists": decisions.lists_in_force(actor),
    }
    part = asks_part(request, "list")
    return page(request, "console/parts/campaigns.html" if part else "console/campaigns.html", context)


@require_GET
@for_administrators
def campaign(request: HttpRequest, actor: Actor, campaign_id: str) -> HttpResponse:
    context = {"place": "campaigns", "dossier": evidence.dossier(actor, campaign_id)}
    part = asks_part(request, "dossier")
    return page(request, "console/parts/dossier.html" if part else "console/campaign.html", context)


def _word(template: str, act: Callable[..., object]) -> Callable[..., HttpResponse]:
    """A page that states the consequences, then does it and shows the campaign again."""

    @require_http_methods(["GET", "POST"])
    @for_administrators
    def view(request: HttpRequest, actor: Actor, campaign_id: str) -> HttpResponse:
        found = watch.access_campaign(actor, campaign_id)
        if request.method == "POST":
            act(actor=actor, campaign=found)
            return HttpResponseRedirect(reverse("campaign", args=[campaign_id]))
        context = {"place": "campaigns", "dossier": evidence.dossier(actor, campaign_id)}
        active = decisions.decisions_of_campaign(actor, campaign_id).filter(state="active").count()
        return page(request, template, {**context, "active": active})

    return view


@require_http_methods(["GET", "POST"])
@for_administrators
def confirm(request: HttpRequest, actor: Actor, campaign_id: str) -> HttpResponse:
    """As the others; an address that serves a member too needs a tick of its own."""
    found = watch.access_campaign(actor, campaign_id)
    if request.method == "POST":
        also = request.POST.get("also_shared") == "yes"
        actions.confirm_campaign(actor=actor, campaign=found, also_shared=also)
        return HttpResponseRedirect(reverse("campaign", args=[campaign_id]))
    context = {"place": "campaigns", "dossier": evidence.dossier(actor, campaign_id)}
    shared = sorted(watch.shared_of(found).items())
    return page(request, "console/campaign_confirm.html", {**context, "shared": shared})


dismiss = _word("console/campaign_dismiss.html", actions.dismiss_campaign)
undo = _word("console/campaign_undo.html", actions.undo_campaign)
