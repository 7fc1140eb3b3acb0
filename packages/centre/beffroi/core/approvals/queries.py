"""Read requests for approval on someone's behalf."""

from __future__ import annotations

from django.db.models import QuerySet

from beffroi.core.approvals.models import Approval
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import existing


def visible_approvals(actor: Actor) -> QuerySet[Approval]:
    """Newest first; all for the Département, else those of the own collectivité for a référent."""
    return actor.led(Approval.objects.order_by("-requested_at"))


def waiting(verb: str) -> QuerySet[Approval]:
    """Requests that nobody answered yet, and that are not too old to be."""
    return Approval.objects.filter(verb=verb, state=Approval.State.REQUESTED, expires_at__gt=clock.now())


def access_approval(actor: Actor, approval_id: str) -> Approval:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_approvals(actor).filter(pk=approval_id).first(), "approval")
