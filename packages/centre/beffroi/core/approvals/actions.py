"""Two persons for one act: one requests, another one grants or refuses.

Whoever acts on the outcome consumes ``approval:granted`` and finds the frozen request in its payload: what is
done is what was approved, not what the rows say later.
Fails: closed; a request that nobody answers in time is void.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta

from django.db import transaction

from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Conflict, NotAllowed, NotFound

VALID_S = 7 * 86400
_HUMAN = ("person", "administrator")


class SamePerson(BeffroiError):
    """Another person than the one who asked must decide this."""

    code = "approval.same_person"
    http_status = 409


@transaction.atomic
def request(
    *,
    actor: Actor,
    verb: str,
    subject_id: str,
    payload: Mapping[str, object],
    collectivite_id: str | None = None,
    valid_s: int = VALID_S,
) -> Approval:
    """Ask for ``verb`` on ``subject_id``; ``payload``: identifiers and values, frozen from now on.

    Errors: NotFound for another collectivité, NotAllowed for those who are no person.
    """
    _a_person(actor)
    actor.require_sees(collectivite_id)
    now = clock.now()
    approval = Approval.objects.create(
        verb=verb,
        subject_id=subject_id,
        payload=json.dumps(payload, sort_keys=True),
        collectivite_id=collectivite_id,
        requested_by=actor.id,
        requested_at=now,
        expires_at=now + timedelta(seconds=valid_s),
    )
    _tell(actor, approval, "requested")
    return approval


@transaction.atomic
def approve(*, actor: Actor, approval: Approval) -> Approval:
    """Grant it. Errors: SamePerson, Conflict (decided or expired), NotFound, NotAllowed."""
    return _decide(actor, approval, Approval.State.GRANTED)


@transaction.atomic
def refuse(*, actor: Actor, approval: Approval) -> Approval:
    """Refuse it; the requester may withdraw the own request so. Errors: Conflict, NotFound, NotAllowed."""
    return _decide(actor, approval, Approval.State.REFUSED)


@transaction.atomic
def withdraw(*, actor: Actor, approval: Approval) -> Approval:
    """Take a granted request back that waits for its term; whoever carries it out sees that it has not begun.

    Errors: Conflict (not granted), NotFound, NotAllowed.
    """
    _a_person(actor)
    if not actor.may_see(approval.collectivite_id):
        raise NotFound("approval")
    granted = Approval.objects.filter(pk=approval.pk, state=Approval.State.GRANTED)
    if not granted.update(state=Approval.State.REFUSED, decided_by=actor.id, decided_at=clock.now()):
        raise Conflict("this request is not granted")
    approval.refresh_from_db()
    _tell(actor, approval, "withdrawn")
    return approval


def expire_due() -> int:
    """Void what nobody answered in time; return how many."""
    due = Approval.objects.filter(state=Approval.State.REQUESTED, expires_at__lte=clock.now())
    if not due.exists():
        return 0
    actor = Actor.system("approvals.expiry")
    with transaction.atomic():
        return sum(_finish(actor, one, Approval.State.EXPIRED) for one in list(due[:200]))


def _decide(actor: Actor, approval: Approval, state: Approval.State) -> Approval:
    _a_person(actor)
    if not actor.may_see(approval.collectivite_id):
        raise NotFound("approval")
    if state is Approval.State.GRANTED and approval.requested_by == actor.id:
        raise SamePerson
    if approval.expires_at <= clock.now() or not _finish(actor, approval, state):
        raise Conflict("this request is decided or too old")
    return approval


def _finish(actor: Actor, approval: Approval, state: Approval.State) -> bool:
    changed = Approval.objects.filter(pk=approval.pk, state=Approval.State.REQUESTED).update(
        state=state, decided_by=actor.id, decided_at=clock.now()
    )
    approval.refresh_from_db()
    if changed:
        _tell(actor, approval, str(state))
    return bool(changed)


def _tell(actor: Actor, approval: Approval, outcome: str) -> None:
    audit.record_of(
        actor, f"approval:{outcome}", approval, {"verb": approval.verb, "subject_id": approval.subject_id}
    )
    outbox.publish(
        f"approval:{outcome}",
        {
            "approval_id": approval.id,
            "verb": approval.verb,
            "subject_id": approval.subject_id,
            "payload": json.loads(approval.payload),
            "requested_by": approval.requested_by,
            "decided_by": approval.decided_by,
        },
        collectivite_id=approval.collectivite_id,
    )


def _a_person(actor: Actor) -> None:
    if actor.kind not in _HUMAN:
        raise NotAllowed("approve on behalf of a person")
