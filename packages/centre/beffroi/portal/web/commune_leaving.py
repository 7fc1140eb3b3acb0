"""Départ de la collectivité: its référent says the day, takes it back, and asks that all of it is erased afterwards.

Access: the référent, of their own collectivité. Who grants is the Département, on the console.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity.actor import Actor
from beffroi.leaving import actions, erasures, queries
from beffroi.lib.errors import Conflict, NotFound
from beffroi.portal import leaving_words
from beffroi.portal.dates import date_format
from beffroi.portal.leaving_form import asked_from, known, planned_from, who
from beffroi.portal.pages import for_agents, memberships_of, page
from beffroi.portal.web import step_up

_TYPED = ("day", "reason")


def told(request: HttpRequest, actor: Actor) -> list[dict[str, str]]:
    """For the home: that the collectivité leaves, everybody reads, for their account closes; who leads, where to go;
    who works elsewhere, too, that another one of theirs does."""
    return [*_own(actor), *_others(request, actor)]


def _others(request: HttpRequest, actor: Actor) -> list[dict[str, str]]:
    named = {one.collectivite_id: one.collectivite.name for one in memberships_of(request, actor)}
    named.pop(actor.collectivite_id or "", None)
    return [
        {
            "title": _("%(name)s quitte ce service le %(on)s")
            % {"name": named[row.collectivite_id], "on": date_format(row.leaves_on, "j F Y")},
            "why": _(
                "Votre accès là-bas se fermera dans la nuit ; celui d’ici reste. Reprenez d’ici là ce qui vous y est"
                " personnel."
            ),
            "url": "membership_choose",
            "button": _("Changer de collectivité"),
        }
        for row in (queries.planned_of(named) if named else ())
    ]


def _own(actor: Actor) -> list[dict[str, str]]:
    row = queries.leaving_of(queries.SYSTEM, actor.collectivite_id or "")
    if row is None:
        return []
    on = {"on": date_format(row.leaves_on, "j F Y")}
    if actor.leads is None:
        return [
            {
                "title": _("La collectivité quitte ce service le %(on)s") % on,
                "why": _(
                    "Votre compte d’ici se fermera dans la nuit. Reprenez d’ici là ce qui vous est personnel."
                ),
                "url": "mail",
                "button": _("Ouvrir le courrier"),
            }
        ]
    return [
        {
            "title": _("La collectivité quitte le Département le %(on)s") % on,
            "why": _("Dites à chacun de reprendre ce qui lui est personnel, tant que son compte est ouvert."),
            "url": "departure_of_all",
            "button": _("Voir le départ"),
        }
    ]


@require_http_methods(["GET", "POST"])
@for_agents
def leaving(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show; POST ``word``: plan, take_back, ask, call_back. The first and the third after a step-up.

    Errors: NotFound, CommuneHeld, Conflict.
    """
    if actor.leads is None:
        raise NotFound("page")
    collectivite = communes.access_collectivite(actor, actor.leads)
    errors: dict[str, str] = {}
    if request.method == "POST":
        errors = _act(request, actor, collectivite)
        if not errors:
            return HttpResponseRedirect(reverse("departure_of_all"))
    row, erasure = queries.leaving_of(actor, collectivite.id), queries.erasure_of(actor, collectivite.id)
    context: dict[str, Any] = known(collectivite.id) | {
        "place": "persons",
        "errors": errors,
        "typed": {name: request.POST.get(name, "")[:500] for name in _TYPED},
        "leaving": leaving_words.leaving(row) if row else None,
        "said_by": who(row.said_by) if row else "",
        "continued_by": leaving_words.continued_by(row) if row else "",
        "erasure": leaving_words.erasure(erasure) if erasure else None,
        "call_back_h": erasures.CALL_BACK_H,
    }
    status = HTTPStatus.BAD_REQUEST if errors else HTTPStatus.OK
    return page(request, "portal/commune_leaving.html", context, status=status)


def _act(request: HttpRequest, actor: Actor, collectivite: Collectivite) -> dict[str, str]:
    """What is wrong, by field; nothing when it was done."""
    word = request.POST.get("word", "")
    if word in ("plan", "ask"):
        step_up.require(request)
        return (planned_from if word == "plan" else asked_from)(request, actor, collectivite)
    if word == "take_back":
        actions.take_back(actor=actor, leaving=queries.access_leaving(actor, collectivite.id))
        messages.success(request, _("Le départ n’est plus prévu : la collectivité reste."))
    elif word == "call_back":
        erasures.call_back(actor=actor, erasure=queries.access_erasure(actor, collectivite.id))
        messages.success(request, _("L’effacement est abandonné : rien n’a été effacé."))
    else:
        raise Conflict("nothing that is done here")
    return {}
