"""The erasure of all files of a collectivité: asked for by one administrator, granted by another one.

Rule:    what is destroyed is the keys (``removal``); nobody can take it back. The certificate stays.
Process: console asks and grants; worker carries out, and finishes what was cut.
"""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.drive import removal
from beffroi.drive.store import keys
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed

VERB = "drive:erasure"
MAX_REASON = 300
SYSTEM = Actor.system("drive.erasure")


@transaction.atomic
def request(*, actor: Actor, collectivite: Collectivite, reason: str) -> Approval:
    """Ask another administrator to agree. Errors: NotAllowed, Invalid, Conflict (asked for before, or done)."""
    if actor.kind != "administrator":
        raise NotAllowed("ask for an erasure")
    said = " ".join(reason.split())
    if not said or len(said) > MAX_REASON or "\x00" in said:
        raise Invalid("reason")
    outbox.serialise()
    if keys.certificate(settings.BEFFROI, collectivite.id) or waiting(collectivite.id).exists():
        raise Conflict("the erasure of these files is asked for, or done")
    approval = approvals.request(
        actor=actor,
        verb=VERB,
        subject_id=collectivite.id,
        payload={"collectivite_id": collectivite.id, "reason": said},
    )
    _record(actor, "drive:erasure:asked", collectivite.id, approval_id=approval.id)
    return approval


@transaction.atomic
def grant(*, actor: Actor, approval: Approval) -> None:
    """Errors: NotAllowed, SamePerson, Conflict (decided or too old)."""
    _decides(actor, approval)
    approvals.approve(actor=actor, approval=approval)
    _record(actor, "drive:erasure:granted", approval.subject_id, approval_id=approval.id)


@transaction.atomic
def refuse(*, actor: Actor, approval: Approval) -> None:
    """Also by who asked. Errors: NotAllowed, Conflict."""
    _decides(actor, approval)
    approvals.refuse(actor=actor, approval=approval)
    _record(actor, "drive:erasure:refused", approval.subject_id, approval_id=approval.id)


def waiting(collectivite_id: str) -> QuerySet[Approval]:
    """The request that no second administrator answered yet."""
    return Approval.objects.filter(
        verb=VERB, subject_id=collectivite_id, state=Approval.State.REQUESTED, expires_at__gt=clock.now()
    )


def granted(collectivite_id: str) -> Approval | None:
    return Approval.objects.filter(
        verb=VERB, subject_id=collectivite_id, state=Approval.State.GRANTED
    ).first()


def carry_out(approval_id: str) -> None:
    """What two administrators agreed on. Errors: those of ``removal``; then it is tried again."""
    found = Approval.objects.get(pk=approval_id, verb=VERB, state=Approval.State.GRANTED)
    certificate = removal.destroy(
        settings.BEFFROI, found.subject_id, by=f"{found.requested_by} {found.decided_by}"
    )
    if not AuditEntry.objects.filter(verb="drive:erasure:done", object_id=found.subject_id).exists():
        _record(
            SYSTEM,
            "drive:erasure:done",
            found.subject_id,
            approval_id=found.id,
            keys=" ".join(one.fingerprint for one in certificate.keys),
        )


def finish() -> int:
    """Go on with erasures that were cut; return how many."""
    rows = Approval.objects.filter(verb=VERB, state=Approval.State.GRANTED)
    cut = [one for one in rows if not removal.is_whole(settings.BEFFROI, one.subject_id)]
    for one in cut:
        carry_out(one.id)
    return len(cut)


def _decides(actor: Actor, approval: Approval) -> None:
    if actor.kind != "administrator" or approval.verb != VERB:
        raise NotAllowed("decide about an erasure")


@transaction.atomic
def _record(actor: Actor, verb: str, collectivite_id: str, **details: str) -> None:
    audit.record(
        actor=actor, verb=verb, object_id=collectivite_id, collectivite_id=collectivite_id, details=details
    )
