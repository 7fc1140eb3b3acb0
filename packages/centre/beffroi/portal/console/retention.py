"""Conservation: what the daily purge deleted and how long things are kept; erasures that wait for a second person."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals import queries as approval_queries
from beffroi.core.approvals.models import Approval
from beffroi.core.identity import erasure
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.core.retention import queries
from beffroi.lib import clock_steps
from beffroi.lib.errors import Conflict, existing
from beffroi.portal import retention_words
from beffroi.portal.console.incidents import step_up
from beffroi.portal.pages import for_administrators, page


@require_GET
@for_administrators
def retention(request: HttpRequest, actor: Actor) -> HttpResponse:
    found = queries.report(actor)
    context = {
        "place": "journal",
        "report": found,
        "clock_step": clock_steps.step_s(settings.BEFFROI),
        "rows": retention_words.rows(found),
        "total": sum(one.deleted for one in found.counts),
        "log_days": settings.BEFFROI.log_days,
        "erasures": [_waiting(actor, one) for one in erasure.waiting().order_by("requested_at")],
    }
    return page(request, "console/retention.html", context)


@require_http_methods(["GET", "POST"])
@for_administrators
def erase(request: HttpRequest, actor: Actor, approval_id: str) -> HttpResponse:
    """Read the request; another administrator grants it with a present code, anyone of them refuses it.

    Errors: NotFound; SamePerson or Conflict when somebody was faster.
    """
    found = approval_queries.access_approval(actor, approval_id)
    one = existing(erasure.waiting().filter(pk=found.pk).first(), "erasure")
    word = request.POST.get("word", "")
    error = step_up(request, actor) if word == "grant" else ""
    if request.method == "POST" and not error:
        if word == "grant":
            approvals.approve(actor=actor, approval=one)
        elif word == "refuse":
            approvals.refuse(actor=actor, approval=one)
        else:
            raise Conflict("neither granted nor refused")
        return HttpResponseRedirect(reverse("retention"))
    context = {"place": "journal", "one": _waiting(actor, one), "error": error}
    return page(request, "console/erasure.html", context, status=403 if error else 200)


def _waiting(actor: Actor, approval: Approval) -> dict[str, Any]:
    person = identity.access_person(actor, approval.subject_id)
    members = Membership.objects.filter(person=person).select_related("collectivite")
    return {
        "approval": approval,
        "person": person,
        "communes": sorted({one.collectivite.name for one in members}),
        "reason": erasure.reason_of(approval),
        "mine": approval.requested_by == actor.id,
    }
