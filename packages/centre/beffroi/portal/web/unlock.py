"""Débloquer une heure et signaler: from the boîtier's block page to a local exception, after sign-in.

Input:  hostile: a token that a browser brings. It names a boîtier of the person's own commune, whose key signed it, and
        gives no right: the policy of the boîtiers and the rules of exceptions decide.
Access: another commune's boîtier is "no such page".
"""

from __future__ import annotations

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Indicator, normalise
from beffroi_protocol.signing import unb64
from beffroi_protocol.unlock import Unlock, read_token, verify_token
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from beffroi.boxes import queries as boxes
from beffroi.core.decisions import appeals, queries
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.portal import explaining, why
from beffroi.portal.pages import for_agents, page, typed
from beffroi.portal.web.blocks import NO_WORDS, PLACE, let_through, liftable, may_unlock


class LinkTooOld(Conflict):
    """This link of the boîtier is too old, or was changed on its way."""

    code = "unlock.link_too_old"


@require_http_methods(["GET", "POST"])
@for_agents
def unlock(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is blocked and why; let it through for an hour, and tell the Département. Errors: NotFound, LinkTooOld."""
    token = (request.POST if request.method == "POST" else request.GET).get("jeton", "")
    told = _told(actor, token)
    indicator = normalise(told.indicator.kind, told.indicator.value)
    decision = _decision(actor, told.entry_id)
    error = missing = ""
    if request.method == "POST":
        try:
            error = _open(actor, indicator, decision, typed(request, "text"))
        except Invalid:
            missing = str(NO_WORDS)
        if not error and not missing:
            return HttpResponseRedirect(reverse("unlock") + "?" + urlencode({"jeton": token}))
    own = queries.visible_exceptions(actor).filter(state="active")
    listed = None if decision else why.explain(actor, indicator)
    lifted = (decision is None or liftable(decision)) and (listed is None or listed.lifted)
    context = PLACE | {
        "token": token,
        "value": indicator.value,
        "one": explaining.explain(actor, decision.id) if decision else None,
        "source": "" if decision else told.entry_id,
        "why": listed,
        "departement_only": not lifted,
        "may_unlock": may_unlock(actor),
        "exception": own.filter(kind=indicator.kind.value, value=indicator.value).first(),
        "minutes": settings.BEFFROI.exception_person_s // 60,
        "error": error,
        "missing": missing,
        "text": request.POST.get("text", ""),
    }
    return page(request, "portal/unlock.html", context, status=400 if error or missing else 200)


def _told(actor: Actor, token: str) -> Unlock:
    """What a boîtier of the person's commune said. Errors: NotFound, LinkTooOld."""
    try:
        claim, _payload, _signature = read_token(token)
        normalise(claim.indicator.kind, claim.indicator.value)
    except ProtocolError:
        raise NotFound("unlock") from None
    box = boxes.access_box(actor, claim.box_id)
    if box.state != box.State.ACTIVE or box.collectivite_id != actor.collectivite_id:
        raise NotFound("unlock")
    try:
        return verify_token(token, unb64(box.public_key), now=clock.epoch_s())
    except ProtocolError:
        raise LinkTooOld("unlock") from None


def _decision(actor: Actor, entry_id: str) -> Decision | None:
    """None when the entry is a bulk list, or the decision is not one that applies here."""
    return queries.applying_decisions(actor).filter(pk=entry_id).first()


def _open(actor: Actor, indicator: Indicator, decision: Decision | None, text: str) -> str:
    """Let it through and contest it; return what stood against it. Errors: NotAllowed, Conflict, Invalid (no words)."""
    if not may_unlock(actor):
        raise NotAllowed("let something through")
    if error := let_through(actor, indicator, decision.id if decision else "", text):
        return error
    try:
        if decision is not None:
            appeals.appeal(actor=actor, decision_id=decision.id, text=text)
        else:
            appeals.appeal_entry(actor=actor, indicator=indicator, text=text)
    except Conflict:
        pass  # it ended meanwhile, or the commune contests fifty others: the exception says enough
    return ""
