"""Courrier: what is written to addresses of the own domain that do not exist. Refused, unless a référent receives it
for a time, to find the addresses that people really use.

Input:  hostile: every field. To receive it is a POST after a step-up: it opens the mailbox to everybody's guesses.
Access: the référent of the collectivité of the session; for everybody else there is no such page.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib import digits
from beffroi.lib.errors import Conflict, Invalid, NotFound, existing
from beffroi.mail.aliases import actions, queries
from beffroi.mail.models import Mailbox
from beffroi.mail.people import queries as people
from beffroi.portal.counts import Count
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import step_up
from beffroi.portal.web.aliases import named, trouble

SHOWN = 30


@require_http_methods(["GET", "POST"])
@for_agents
def unknown(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Each domain: refused or received until when, and which addresses were written to."""
    if not people.may_manage(actor):
        raise NotFound("page")
    if request.method == "POST":
        return _change(request, actor)
    running = {one.domain: one for one in queries.catch_alls(actor)}
    boxes = Mailbox.objects.in_bulk([one.mailbox_id for one in running.values()])
    domains: list[dict[str, Any]] = []
    for domain in communes.visible_domains(actor):
        row = running.get(domain.name)
        came = queries.came_through(row) if row else []
        domains.append(
            {
                "name": domain.name,
                "row": row,
                "mailbox": boxes.get(row.mailbox_id) if row else None,
                "came": [(address, address.rpartition("@")[0], n) for address, n in came[:SHOWN]],
                "more": max(0, len(came) - SHOWN),
            }
        )
    context = {
        "place": "mail",
        "domains": domains,
        "candidates": named(queries.candidates(actor, actor.collectivite_id or "")),
        "days": actions.CATCH_ALL_DAYS,
        "seen_days": queries.SEEN_DAYS,
    }
    return page(request, "portal/unknown_addresses.html", context)


def receive(request: HttpRequest, actor: Actor, domain: str, mailbox_id: str) -> None:
    """Begin it, for the days that the form names, and say so; the caller has asked for a step-up. Errors: NotFound."""
    try:
        actions.begin_catch_all(
            actor=actor,
            domain=domain,
            mailbox_id=mailbox_id,
            days=digits.number(request.POST.get("days", ""), 3) or 0,
        )
    except Invalid:
        messages.error(request, _("Choisissez de 1 à %(n)s jours.") % {"n": Count(actions.CATCH_ALL_DAYS)})
    else:
        messages.success(request, _("C’est noté : cela vaut dans une minute, et s’arrête tout seul."))


def _change(request: HttpRequest, actor: Actor) -> HttpResponse:
    domain, what = request.POST.get("domain", ""), request.POST.get("what", "")
    here = HttpResponseRedirect(reverse("unknown_addresses"))
    if domain not in {one.name for one in communes.visible_domains(actor)}:
        raise NotFound("domain")
    if what == "receive":
        step_up.require(request)
        receive(request, actor, domain, request.POST.get("mailbox", ""))
        return here
    row = existing(queries.catch_all(actor, domain), "catch-all")
    if what == "refuse":
        actions.end_catch_all(actor=actor, row=row)
        messages.success(request, _("Ces adresses sont de nouveau refusées."))
    elif what == "alias":
        try:
            made = actions.create(
                actor=actor,
                collectivite=communes.access_collectivite(actor, row.collectivite_id),
                address=f"{request.POST.get('local', '')}@{domain}",
                mailboxes=[row.mailbox_id],
            )
        except (Invalid, Conflict) as error:
            messages.error(request, trouble(error))
        else:
            messages.success(request, _("%(address)s est maintenant un alias.") % {"address": made.address})
    else:
        raise Invalid("what")
    return here
