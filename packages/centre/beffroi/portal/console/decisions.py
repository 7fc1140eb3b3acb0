"""One decision with its reasons, those that wait for a person, appeals, and what is never decided again."""

from __future__ import annotations

from functools import cache

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from beffroi.core.communes import queries as communes
from beffroi.core.decisions import (
    appeals,
    by_hand,
    exceptions,
    never_again,
    queries,
    rules,
    sparing,
    staging,
)
from beffroi.core.decisions.models import Appeal, Decision
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid, existing
from beffroi.portal import explaining, why
from beffroi.portal.console.by_hand import pending
from beffroi.portal.pages import asks_part, for_administrators, page, typed

LISTED = 100
PLACE = {"place": "campaigns"}


@require_GET
@for_administrators
def waiting(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Everything about decisions that needs a person, and what a person should know of."""
    names = communes.visible_names(actor)
    review = [_line(one) for one in queries.review_queue(actor)[:LISTED]]
    spared = [
        {"row": one, "why": explaining.SPARED.get(one.reason, "")}
        for one in queries.spared_entries(actor)[:LISTED]
    ]
    contested = list(queries.visible_appeals(actor).filter(state=Appeal.State.OPEN)[:LISTED])
    titles = explaining.titles_of(actor, contested)
    context = PLACE | {
        "review": review,
        "appeals": [
            {"appeal": a, "owner": names.get(a.collectivite_id, ""), "title": titles[a.id]}
            for a in contested
            if a.id in titles
        ],
        "staged": [_line(one) for one in queries.staged(actor)[:LISTED]],
        "exceptions": [
            {"row": one, "owner": names.get(one.collectivite_id, "")}
            for one in queries.visible_exceptions(actor).filter(state="active")[:LISTED]
        ],
        "spared": spared,
        "by_hand": (asked := pending()),
        "total": len(review) + len(contested) + len(spared) + len(asked),
    }
    part = asks_part(request, "list")
    return page(request, "console/parts/waiting.html" if part else "console/waiting.html", context)


def _line(decision: Decision) -> dict[str, object]:
    why = str(explaining.REVIEWS.get(decision.review_reason, ""))
    return {"decision": decision, "title": explaining.title_of(decision), "why": why}


@require_GET
@for_administrators
def decision(request: HttpRequest, actor: Actor, decision_id: str) -> HttpResponse:
    found = explaining.explain(actor, decision_id)
    context = PLACE | {
        "one": found,
        "why": by_hand.why_of(found.decision.id),
        "may_block": not found.open and found.decision.indicator.kind in rules.BY_HAND,
        "may_let_pass": _liftable(found),
        "console": True,
    }
    part = asks_part(request, "one")
    return page(request, "console/parts/decision.html" if part else "console/decision.html", context)


def _liftable(found: explaining.Explanation) -> bool:
    """Whether one commune may be let through: it is refused now, no command server, and can be asked for by value."""
    one = found.decision
    refused = rules.exception_refused([queries.held_of(one)], departement=True)
    return found.blocking and not refused and why.read(one.value) == one.indicator


@require_GET
@for_administrators
def decision_json(request: HttpRequest, actor: Actor, decision_id: str) -> HttpResponse:
    return JsonResponse(explaining.as_json(explaining.explain(actor, decision_id)))


@require_http_methods(["GET", "POST"])
@for_administrators
def undo(request: HttpRequest, actor: Actor, decision_id: str) -> HttpResponse:
    """State the consequences, then end it; with ``never``, for good."""
    found = queries.access_decision(actor, decision_id)
    error = ""
    if request.method == "POST":
        reason = request.POST.get("reason", "")
        try:
            if request.POST.get("never"):
                never_again.never_again(actor=actor, indicator=found.indicator, reason=reason)
            else:
                by_hand.undo(actor=actor, decision=found, why=reason)
            return HttpResponseRedirect(reverse("decision", args=[found.id]))
        except Invalid:
            error = _("Écrivez une raison : elle reste avec « plus jamais ».")
    context = PLACE | {"one": explaining.explain(actor, decision_id), "error": error}
    return page(request, "console/decision_undo.html", context, status=400 if error else 200)


@require_http_methods(["GET", "POST"])
@for_administrators
def approve(request: HttpRequest, actor: Actor, decision_id: str) -> HttpResponse:
    found = queries.access_decision(actor, decision_id)
    if request.method == "POST":
        staging.approve(actor=actor, decision=found)
        return HttpResponseRedirect(reverse("decision", args=[found.id]))
    return page(
        request, "console/decision_approve.html", PLACE | {"one": explaining.explain(actor, decision_id)}
    )


@require_http_methods(["GET", "POST"])
@for_administrators
def appeal(request: HttpRequest, actor: Actor, appeal_id: str) -> HttpResponse:
    found = queries.access_appeal(actor, appeal_id)
    error = ""
    if request.method == "POST":
        try:
            word = request.POST.get("word")
            appeals.answer(
                actor=actor, appeal_id=found.id, accept=word == "accept", text=typed(request, "text")
            )
            return HttpResponseRedirect(reverse("waiting"))
        except Invalid:
            error = _("Écrivez une réponse : la commune la lira.")
    context = PLACE | {
        "appeal": found,
        "title": explaining.titles_of(actor, [found]).get(found.id, ""),
        "why": why.explain(actor, found.indicator) if found.indicator is not None else None,
        "days": why.DAYS,
        "console": True,
        "author": identity.person_name(found.created_by),
        "added": [(identity.person_name(one.created_by), one) for one in queries.additions_to(actor, found)],
        "owner": communes.access_collectivite(actor, found.collectivite_id).name,
        "error": error,
    }
    return page(request, "console/appeal.html", context, status=400 if error else 200)


@require_POST
@for_administrators
def end_exception(request: HttpRequest, actor: Actor, exception_id: str) -> HttpResponse:
    exceptions.end(actor=actor, exception_id=exception_id)
    return HttpResponseRedirect(reverse("waiting"))


@require_POST
@for_administrators
def spared(request: HttpRequest, actor: Actor, entry_id: str) -> HttpResponse:
    """An entry of lists that passes until somebody looked: it passes for good, or is refused again."""
    found = existing(queries.spared_entries(actor).filter(pk=entry_id).first(), "entry")
    if request.POST.get("word") == "keep":
        never_again.never_again(
            actor=actor, indicator=found.indicator, reason=_("Des communes s’en servent.")
        )
    else:
        never_again.take_back(
            actor=actor, never_again_id=found.id, reason=_("Bloqué de nouveau après examen.")
        )
    return HttpResponseRedirect(reverse("waiting"))


@require_http_methods(["GET", "POST"])
@for_administrators
def never(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is never decided again; each can be taken back, with a reason."""
    error = ""
    if request.method == "POST":
        try:
            never_again.take_back(
                actor=actor,
                never_again_id=request.POST.get("entry", ""),
                reason=request.POST.get("reason", ""),
            )
            return HttpResponseRedirect(reverse("never_again"))
        except Invalid:
            error = _("Écrivez pourquoi cela peut de nouveau être bloqué.")
    who = cache(_who)
    rows = [{"row": one, "who": who(one.created_by)} for one in queries.never_again_entries(actor)[:LISTED]]
    context = PLACE | {"rows": rows, "error": error, "asked": request.POST.get("entry", "")}
    return page(request, "console/never_again.html", context, status=400 if error else 200)


def _who(administrator_id: str) -> str:
    if administrator_id == sparing.ACTOR.id:
        return _("le centre, en attendant un avis")
    return identity.administrator_name(administrator_id) or _("un ancien administrateur")
