"""Bloquer: an administrator blocks something by hand, after a look at what it would touch; wide ones need two."""

from __future__ import annotations

import json

from beffroi_protocol.indicators import Indicator, Kind
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals import queries as approval_queries
from beffroi.core.approvals.models import Approval
from beffroi.core.communes import queries as communes
from beffroi.core.decisions import by_hand, exceptions, rules
from beffroi.core.identity.actor import Actor
from beffroi.lib import digits
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.portal import touched, words
from beffroi.portal import why as answers
from beffroi.portal.pages import for_administrators, page

PLACE = {"place": "campaigns"}
HOUR_S = 3600
USUAL_S = 7 * 24 * HOUR_S
LIVES = (
    (24 * HOUR_S, gettext_lazy("24 heures")),
    (USUAL_S, gettext_lazy("7 jours")),
    (30 * 24 * HOUR_S, gettext_lazy("30 jours")),
    (90 * 24 * HOUR_S, gettext_lazy("90 jours")),
)
LET_PASS = ((HOUR_S, gettext_lazy("1 heure")), *LIVES)
OTHER = gettext_lazy("Autre")


@require_http_methods(["GET", "POST"])
@for_administrators
def block(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show what it would touch; then block it, or ask a second person. Errors: ProtectedIndicator, Conflict."""
    given = request.POST if request.method == "POST" else request.GET
    q = given.get("q", "").strip()[: answers.MAX_CHARS]
    asked = answers.read(q)
    if asked is not None and asked.kind not in rules.BY_HAND:
        asked = None
    error = ""
    if request.method == "POST":
        if asked is None:
            raise NotFound("indicator")
        try:
            done = by_hand.block(
                actor=actor,
                indicator=asked,
                reason=given.get("reason", ""),
                why=given.get("why", ""),
                ttl_s=digits.number(given.get("ttl", ""), 9) or 0,
                reach=touched.look(actor, asked).reach,
            )
        except Invalid as invalid:
            error = _error(invalid)
        else:
            if done.decision is not None:
                return HttpResponseRedirect(reverse("decision", args=[done.decision.id]))
            return HttpResponseRedirect(reverse("waiting"))
    context = PLACE | {
        "q": q,
        "preview": touched.look(actor, asked) if asked is not None else None,
        "reasons": [*((code, words.THREATS[code]) for code in by_hand.REASONS[:-1]), (by_hand.OTHER, OTHER)],
        "lives": LIVES,
        "days": touched.DAYS,
        "error": error,
        "why": given.get("why", ""),
        "reason": given.get("reason", ""),
        "ttl": given.get("ttl", str(USUAL_S)),
    }
    return page(request, "console/block_by_hand.html", context, status=400 if error else 200)


def _error(invalid: Invalid) -> str:
    if "indicator" in str(invalid):
        return _("Une plage va jusqu’à /24 (IPv4) ou /48 (IPv6), pas au-delà.")
    return _("Choisissez un motif et une durée, et écrivez pourquoi.")


@require_http_methods(["GET", "POST"])
@for_administrators
def answer(request: HttpRequest, actor: Actor, approval_id: str) -> HttpResponse:
    """The second person. Errors: NotFound, SamePerson, Conflict."""
    approval = approval_queries.access_approval(actor, approval_id)
    if approval.verb != by_hand.VERB:
        raise NotFound("approval")
    if request.method == "POST":
        word = request.POST.get("word")
        if word == "grant":
            approvals.approve(actor=actor, approval=approval)
        elif word == "refuse":
            approvals.refuse(actor=actor, approval=approval)
        else:
            raise Conflict("no such answer")
        return HttpResponseRedirect(reverse("waiting"))
    asked = json.loads(approval.payload)
    indicator = Indicator(Kind(asked["kind"]), asked["value"])
    context = PLACE | {
        "approval": approval,
        "open": approval.state == Approval.State.REQUESTED,
        "own": approval.requested_by == actor.id,
        "preview": touched.look(actor, indicator),
        "why": by_hand.why_of(approval.id),
        "reason": words.THREATS.get(asked["reason"], OTHER),
        "life_days": -(-asked["ttl_s"] // 86400),
        "days": touched.DAYS,
    }
    return page(request, "console/block_answer.html", context)


@require_http_methods(["GET", "POST"])
@for_administrators
def let_pass(request: HttpRequest, actor: Actor) -> HttpResponse:
    """For one commune alone, up to 90 days. Errors: NotFound, Conflict; what may not be said so on the page."""
    given = request.POST if request.method == "POST" else request.GET
    asked = answers.read(given.get("q", "").strip()[: answers.MAX_CHARS])
    if asked is None:
        raise NotFound("indicator")
    error = ""
    if request.method == "POST":
        commune = communes.access_collectivite(actor, given.get("commune", ""))
        try:
            exceptions.allow_locally(
                actor=actor,
                collectivite_id=commune.id,
                indicator=asked,
                ttl_s=digits.number(given.get("ttl", ""), 9) or 0,
                reason=given.get("reason", ""),
                decision_id=given.get("decision", ""),
            )
            return HttpResponseRedirect(reverse("waiting"))
        except Invalid:
            error = _("Choisissez une commune et une durée, et écrivez pourquoi.")
        except exceptions.ExceptionRefused:
            error = _(
                "Ceci ne se laisse pas passer localement : un serveur de commande de pirates, ou une plage trop large."
            )
    names = communes.visible_collectivites(actor).order_by("name").values_list("id", "name")
    found = answers.explain(actor, asked)
    context = PLACE | {
        "q": asked.value,
        "why": found,
        "communes": list(names),
        "commune": given.get("commune", ""),
        "ttl": given.get("ttl", ""),
        "lives": LET_PASS,
        "error": error,
        "reason": given.get("reason", ""),
        "decision": given.get("decision", ""),
    }
    return page(request, "console/let_pass.html", context, status=400 if error else 200)


def pending() -> list[dict[str, str]]:
    """Requests that wait, for the page of what is to be decided."""
    return [{"id": one.id, "value": json.loads(one.payload)["value"]} for one in by_hand.waiting()]
