"""Qui envoie en notre nom: what other servers report about a domain, a word on each source, a stricter rule."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict, Invalid
from beffroi.mail.domains import queries as domains
from beffroi.mail.reports import actions, queries
from beffroi.portal import sender_view, sender_words
from beffroi.portal.pages import for_administrators, page


@require_http_methods(["GET", "POST"])
@for_administrators
def senders(request: HttpRequest, actor: Actor, domain_id: str) -> HttpResponse:
    """Errors: NotFound, Invalid."""
    one = domains.access_domain(actor, domain_id)
    problem = ""
    if request.method == "POST":
        if request.POST.get("act") == "tighten":
            try:
                actions.tighten(actor=actor, domain=one)
            except Conflict:
                problem = _("Les rapports ont changé : la règle reste la même. Voyez ce qui est à régler.")
        elif not sender_view.said(request, actor, one):
            raise Invalid("act")
        if not problem:
            return HttpResponseRedirect(reverse("mail_domain_senders", args=[one.id]))
    refusals = [(sender_words.REFUSED.get(code, code), n) for code, n in queries.refusals(actor)]
    context = {
        "place": "communes",
        **sender_view.context(one),
        "problem": problem,
        "may_tighten": True,
        "collectivite_name": communes.access_collectivite(actor, one.collectivite_id).name,
        "refusals": refusals,
    }
    return page(request, "console/senders.html", context, status=409 if problem else 200)
