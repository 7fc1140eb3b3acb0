"""Withdrawals that wait for two administrators, and decisions that could not be carried out in every mailbox."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals import queries as approval_queries
from beffroi.core.approvals.models import Approval
from beffroi.core.decisions import queries as decisions
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict
from beffroi.mail import actions, queries, unfinished
from beffroi.portal import words
from beffroi.portal.pages import for_administrators, page


@dataclass(frozen=True)
class Waiting:
    """One withdrawal. ``turn``: "ask" (nobody asked yet), "answer" (another administrator asked), "wait" (this one)."""

    job: queries.WaitingWithdrawal
    title: str
    evidence: str
    turn: str
    approval: Approval | None


@dataclass(frozen=True)
class Unfinished:
    """What of one decision could not be withdrawn, or given back (``back``)."""

    left: unfinished.Unfinished
    title: str
    back: bool


@require_GET
@for_administrators
def withdrawals(request: HttpRequest, actor: Actor) -> HttpResponse:
    rows = [_waiting(actor, one) for one in queries.waiting_withdrawals(actor)]
    told = unfinished.read(settings.BEFFROI)
    found = decisions.visible_decisions(actor).in_bulk([one.decision_id for one in told.left + told.kept])
    left = [
        Unfinished(one, words.decision_title(of.kind, of.value, of.action), one in told.kept)
        for one in told.left + told.kept
        if (of := found.get(one.decision_id))
    ]
    return page(request, "console/withdrawals.html", {"place": "overview", "rows": rows, "unfinished": left})


@require_http_methods(["GET", "POST"])
@for_administrators
def withdrawal(request: HttpRequest, actor: Actor, job_id: str) -> HttpResponse:
    """Read it, then ask, grant or refuse. Errors: NotFound; SamePerson or Conflict when somebody was faster."""
    one = _waiting(actor, queries.access_waiting(actor, job_id))
    if request.method == "GET":
        return page(request, "console/withdrawal.html", {"place": "overview", "one": one})
    word = request.POST.get("word", "")
    if word == "ask":
        actions.request_remediation(actor=actor, job=one.job.job)
    elif one.approval is not None and word == "grant":
        approvals.approve(actor=actor, approval=one.approval)
    elif one.approval is not None and word == "refuse":
        approvals.refuse(actor=actor, approval=one.approval)
    else:
        raise Conflict("this withdrawal was not asked for")
    return HttpResponseRedirect(reverse("withdrawals"))


def _waiting(actor: Actor, job: queries.WaitingWithdrawal) -> Waiting:
    decision = decisions.access_decision(actor, job.job.decision_id)
    approval = None
    if job.job.approval_id:
        found = approval_queries.access_approval(actor, job.job.approval_id)
        approval = found if found.state == Approval.State.REQUESTED else None
    turn = "ask" if approval is None else "wait" if approval.requested_by == actor.id else "answer"
    title = words.decision_title(decision.kind, decision.value, decision.action)
    return Waiting(job, title, words.evidence(decision.evidence), turn, approval)
