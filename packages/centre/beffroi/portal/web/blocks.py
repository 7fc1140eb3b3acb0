"""Blocages: what applies to the person's commune, with a search; contest one, let it through for an hour.

Input:  hostile; decisions and exceptions come from queries on the person's behalf.
Rule:   the policy of the commune's boîtiers says whether its people may let something through at all.
"""

from __future__ import annotations

from beffroi_protocol.indicators import Indicator, Kind
from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from beffroi.boxes import queries as boxes
from beffroi.core.decisions import appeals, exceptions, queries, rules
from beffroi.core.decisions.exceptions import ExceptionRefused
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from beffroi.portal import explaining, why
from beffroi.portal.pages import for_agents, page, sought, typed

LISTED = 50
MAX_QUERY_CHARS = 200
PLACE = {"place": "blocks"}
NO_WORDS = gettext_lazy("Écrivez quelques mots : le Département les lira.")


@require_GET
@for_agents
def blocks(request: HttpRequest, actor: Actor) -> HttpResponse:
    q = sought(request, MAX_QUERY_CHARS)
    asked = why.read(q)
    answer = why.explain(actor, asked) if asked is not None else None
    above = [one.id for one, _ in answer.decisions] if answer else []
    rows = queries.applying_decisions(actor).filter(Q(value__icontains=q) | Q(pk__in=above))
    found = list(rows[: LISTED + 1])
    context = PLACE | {
        "q": q,
        "rows": [{"decision": one, "title": explaining.title_of(one)} for one in found[:LISTED]],
        "more": len(found) > LISTED,
        "why": answer,
        "exceptions": queries.visible_exceptions(actor).filter(state="active"),
        "appeals": _appeals(actor),
    }
    return page(request, "portal/blocks.html", context)


def _appeals(actor: Actor) -> list[dict[str, object]]:
    rows = list(queries.visible_appeals(actor)[:10])
    titles = explaining.titles_of(actor, rows)
    return [{"appeal": a, "title": titles[a.id]} for a in rows if a.id in titles]


@require_http_methods(["GET", "POST"])
@for_agents
def block(request: HttpRequest, actor: Actor, decision_id: str) -> HttpResponse:
    """Read it; contest it, or let it through. Errors: NotFound, Conflict."""
    error = missing = ""
    if request.method == "POST":
        try:
            error = _act(request, actor, decision_id)
        except Invalid:
            missing = str(NO_WORDS)
        if not error and not missing:
            return HttpResponseRedirect(reverse("block", args=[decision_id]))
    found = explaining.explain(actor, decision_id)
    own = queries.visible_exceptions(actor).filter(state="active")
    context = PLACE | {
        "one": found,
        "may_ask": why.read(found.decision.value) == found.decision.indicator,
        "departement_only": found.blocking and not liftable(found.decision),
        "may_unlock": found.blocking and liftable(found.decision) and may_unlock(actor),
        "exception": own.filter(kind=found.decision.kind, value=found.decision.value).first(),
        "contested": any(one.state == "open" for _owner, one in found.appeals),
        "error": error,
        "missing": missing,
        "text": request.POST.get("text", ""),
        "minutes": settings.BEFFROI.exception_person_s // 60,
    }
    return page(request, "portal/block.html", context, status=400 if error or missing else 200)


def _act(request: HttpRequest, actor: Actor, decision_id: str) -> str:
    """Do what was pressed; return what stood against it."""
    text = typed(request, "text")
    if request.POST.get("word") == "contest":
        appeals.appeal(actor=actor, decision_id=decision_id, text=text)
        return ""
    if not may_unlock(actor):
        raise NotAllowed("let something through")
    decision = queries.access_decision(actor, decision_id)
    if decision.state not in ("active", "canary"):
        raise Conflict("the decision ended")
    return let_through(actor, decision.indicator, decision.id, text)


def let_through(actor: Actor, indicator: Indicator, decision_id: str, text: str) -> str:
    """Open it for the person's commune, for a while; return what stood against it. Errors: Invalid."""
    try:
        exceptions.allow_locally(
            actor=actor,
            collectivite_id=actor.collectivite_id or "",
            indicator=indicator,
            ttl_s=settings.BEFFROI.exception_person_s,
            reason=text[:500],
            decision_id=decision_id,
        )
    except ExceptionRefused:
        return _(
            "C’est une attaque reconnue : seul le Département peut la débloquer. Contestez, il vous répondra."
        )
    return ""


@require_POST
@for_agents
def end_exception(request: HttpRequest, actor: Actor, exception_id: str) -> HttpResponse:
    exceptions.end(actor=actor, exception_id=exception_id)
    return HttpResponseRedirect(reverse("blocks"))


def liftable(decision: Decision) -> bool:
    """Whether a commune may let through what this decision blocks, as far as the decision alone tells."""
    refused = rules.exception_refused([queries.held_of(decision)], departement=False)
    return not refused and decision.kind != Kind.CIDR


def may_unlock(actor: Actor) -> bool:
    """What the policy of the commune's boîtiers says; without boîtiers, what a new policy would say."""
    found = boxes.current_policy(actor, actor.collectivite_id or "")
    return found is None or found[1].unlock
