"""One boîtier: its state, what it learned, what it refused, its settings with their history, and the words on them."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from beffroi_protocol.messages import Policy
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from beffroi.boxes import actions, diagnoses, fleet, queries
from beffroi.boxes.models import Box, BoxPolicy
from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, digits
from beffroi.lib.errors import Conflict, NotFound
from beffroi.portal import bypass_words, diagnosis, policies, verbs, words
from beffroi.portal.console.incidents import step_up
from beffroi.portal.pages import asks_part, for_administrators, page

HISTORY = 20
NOTICES = 20
PROLONGED_DAYS = 14
ANSWER_WITHIN_S = 60


@require_GET
@for_administrators
def box(request: HttpRequest, actor: Actor, box_id: str) -> HttpResponse:
    found, commune = _access(actor, box_id)
    row = next(one for one in fleet.fleet(actor, with_revoked=True) if one.box.id == found.id)
    flows = list(fleet.learned_flows(actor, commune.id))
    seen = list(fleet.bypasses(actor, commune.id))
    notices = queries.visible_notices(actor).filter(collectivite_id=commune.id)[:NOTICES]
    context = {
        "place": "boxes",
        "row": row,
        "box": found,
        "commune": commune,
        "proposals": [flow for flow in flows if flow.direction == "in" and flow.state == "open"],
        "answered": [flow for flow in flows if flow.direction == "in" and flow.state != "open"],
        "services": [flow for flow in flows if flow.direction == "out"],
        "bypasses": bypass_words.bypasses(seen),
        "observed": bypass_words.observed(seen),
        "notices": [{"at": one.at, "said": words.notice(one)} for one in notices],
        "history": history(fleet.policy_history(actor, commune.id)[: HISTORY + 1]),
        "prolonged_days": PROLONGED_DAYS,
    }
    return page(request, "console/box.html", context)


def history(rows: Any) -> list[dict[str, object]]:
    """Policies with what each changed, newest first; the oldest of ``rows`` only serves as the one before."""
    found = list(rows)
    who = cache(verbs.actor)
    shown = []
    for at, row in enumerate(found[:HISTORY]):
        before = found[at + 1] if at + 1 < len(found) else None
        shown.append(
            {
                "row": row,
                "who": who(
                    "administrator" if row.changed_by.startswith("adm_") else "system", row.changed_by
                ),
                "changes": policies.differences(_content(before), _content(row)) if before else [],
                "first": before is None,
                "current": at == 0,
            }
        )
    return shown


@require_http_methods(["GET", "POST"])
@for_administrators
def policy(request: HttpRequest, actor: Actor, box_id: str) -> HttpResponse:
    """Edit; see the difference; send it with a reason."""
    found, commune = _access(actor, box_id)
    current = queries.current_policy(actor, commune.id)
    if current is None:
        raise NotFound("policy")
    version, old = current
    context: dict[str, Any] = {"place": "boxes", "box": found, "commune": commune, "base": version}
    if request.method == "GET":
        form = policies.PolicyForm(initial=policies.PolicyForm.initial_of(old))
        return page(request, "console/box_policy.html", {**context, "form": form})
    form = policies.PolicyForm(request.POST)
    base = digits.number(request.POST.get("base", ""), 9) or 0
    if base != version:
        raise Conflict("the policy changed meanwhile")
    if not form.fits(old) or "edit" in request.POST:
        return page(request, "console/box_policy.html", {**context, "form": form})
    new = form.policy(old)
    changes = policies.differences(old, new)
    reason = request.POST.get("reason", "").strip()
    if "send" in request.POST and reason and changes:
        actions.set_policy(actor=actor, collectivite=commune, policy=new, reason=reason, base_version=version)
        return HttpResponseRedirect(reverse("box", args=[found.id]))
    context |= {
        "changes": changes,
        "typed": [(name, value) for name in form.fields for value in request.POST.getlist(name)],
        "closes": new.observe_until != old.observe_until and not new.observe_until,
        "reason_error": _("Écrivez une raison.") if "send" in request.POST and not reason else "",
    }
    return page(request, "console/box_policy_send.html", context)


@require_POST
@for_administrators
def restore(request: HttpRequest, actor: Actor, box_id: str) -> HttpResponse:
    """One press: the policy of an earlier version again. With another relay of copiers in it, after a present code."""
    found, commune = _access(actor, box_id)
    version = digits.number(request.POST.get("version", ""), 9) or 0
    if _brings_back_a_relay(actor, commune.id, version):
        error = step_up(request, actor) if "code" in request.POST else ""
        if error or "code" not in request.POST:
            context = {"place": "boxes", "box": found, "commune": commune, "version": version, "error": error}
            return page(request, "console/box_restore.html", context, status=403 if error else 200)
    reason = _("Retour aux réglages n° %(version)s") % {"version": version}
    fleet.restore_policy(actor=actor, collectivite=commune, version=version, reason=reason)
    return HttpResponseRedirect(reverse("box", args=[found.id]) + "#reglages")


def _brings_back_a_relay(actor: Actor, collectivite_id: str, version: int) -> bool:
    wanted = fleet.policy_history(actor, collectivite_id).filter(policy_version=version).first()
    current = queries.current_policy(actor, collectivite_id)
    relay = _content(wanted).relay if wanted else None
    return relay is not None and current is not None and relay != current[1].relay


@require_POST
@for_administrators
def observe(request: HttpRequest, actor: Actor, box_id: str) -> HttpResponse:
    """Prolong observation, or end it now."""
    found, commune = _access(actor, box_id)
    more = request.POST.get("word") != "end"
    fleet.observe(
        actor=actor,
        collectivite=commune,
        days=PROLONGED_DAYS if more else 0,
        reason=_("Observation prolongée") if more else _("Fin de l’observation"),
    )
    return HttpResponseRedirect(reverse("box", args=[found.id]) + "#observation")


@require_POST
@for_administrators
def flow(request: HttpRequest, actor: Actor, box_id: str) -> HttpResponse:
    """Answer a proposal: accept makes it a rule, ignore leaves it to default deny."""
    found, commune = _access(actor, box_id)
    flow_id = digits.number(request.POST.get("flow", "")) or 0
    if request.POST.get("word") == "accept":
        fleet.accept_flow(
            actor=actor,
            collectivite=commune,
            flow_id=flow_id,
            label=request.POST.get("label", "").strip()[:80],
            reason=_("Ouverture proposée par le boîtier, acceptée"),
        )
    else:
        fleet.ignore_flow(actor=actor, collectivite=commune, flow_id=flow_id)
    return HttpResponseRedirect(reverse("box", args=[found.id]) + "#propositions")


@require_http_methods(["GET", "POST"])
@for_administrators
def diagnose(request: HttpRequest, actor: Actor, box_id: str) -> HttpResponse:
    """Ask a boîtier how it is; show the last answer, which comes within seconds where it is connected."""
    found, commune = _access(actor, box_id)
    if request.method == "POST":
        diagnoses.ask(actor=actor, box=found)
        return HttpResponseRedirect(reverse("box_diagnose", args=[found.id]))
    last = diagnoses.latest(found)
    waited_s = (clock.now() - last.asked_at).total_seconds() if last else 0
    context = {
        "place": "boxes",
        "box": found,
        "commune": commune,
        "last": last,
        "waiting": last is not None and last.answered_at is None and waited_s < ANSWER_WITHIN_S,
        "findings": diagnosis.findings(last.report) if last else [],
        "facts": diagnosis.facts(last.report) if last else [],
    }
    part = asks_part(request, "answer")
    return page(request, "console/parts/diagnosis.html" if part else "console/box_diagnosis.html", context)


def _access(actor: Actor, box_id: str) -> tuple[Box, Collectivite]:
    found = queries.access_box(actor, box_id)
    return found, communes.access_collectivite(actor, found.collectivite_id)


def _content(row: BoxPolicy) -> Policy:
    return msgspec.convert(row.policy, Policy)
