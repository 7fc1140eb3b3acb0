"""The erasure of all of a collectivité that leaves: asked for, granted with the archives' visa, called back, refused.

Who may: its référent asks, before they leave; where it has none, an administrator. Another administrator grants with
         the reference of the visa. For CALL_BACK_H either side calls it back; then it begins, not before everything of
         the collectivité has ended, and nobody can.
Rule:    refused while an incident is open. Who asks and who grants each say that they know where no complete export is
         there, and where seals stand whose term is not over.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.erasures import SealsRunning
from beffroi.leaving import queries
from beffroi.leaving.models import CommuneErasure
from beffroi.lib import clock, reasons
from beffroi.lib.errors import Conflict, NotAllowed, NotFound
from beffroi.mail.closing import erasures as mailboxes
from beffroi.mail.noted import change

VERB = "communes:erasure"
CALL_BACK_H = mailboxes.CALL_BACK_H
_State = CommuneErasure.State


class NotLeaving(Conflict):
    """Say first on which day the collectivité leaves."""

    code = "communes.not_leaving"


class CommuneHeld(Conflict):
    """An incident of this collectivité is open: what it holds is evidence. Close it first."""

    code = "communes.erasure_held"


class NotExported(Conflict):
    """There is no complete export: make one, or say that nothing is to be kept."""

    code = "communes.not_exported"


@transaction.atomic
def ask(
    *, actor: Actor, collectivite: Collectivite, no_export: bool = False, ends_seals: bool = False
) -> CommuneErasure:
    """Errors: NotFound, NotAllowed, NotLeaving, CommuneHeld, NotExported, SealsRunning, Conflict (asked for before)."""
    owner = collectivite.id
    if actor.kind not in ("person", "administrator") or not actor.manages(owner):
        raise NotFound("collectivité")
    if actor.kind == "administrator" and queries.has_referent(owner):
        raise NotAllowed("ask for the erasure of a collectivité that has a référent")
    if queries.leaving_of(actor, owner) is None:
        raise NotLeaving
    known = _require_known(owner, no_export=no_export, ends_seals=ends_seals)
    made = CommuneErasure(
        collectivite_id=owner,
        asked_by=actor.id,
        asked_name=_name(actor),
        no_export=queries.complete_export(owner) is None,
    )
    approval = approvals.request(
        actor=actor,
        verb=VERB,
        subject_id=owner,
        payload={"collectivite_id": owner, "erasure_id": made.id},
        collectivite_id=owner,
        valid_s=mailboxes.VALID_S,
    )
    made.approval_id = approval.id
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        raise Conflict("this erasure is asked for, or done") from None
    record(actor, "asked", made, **known)
    return made


@transaction.atomic
def grant(
    *, actor: Actor, erasure: CommuneErasure, visa: str, no_export: bool = False, ends_seals: bool = False
) -> None:
    """Errors: NotAllowed, Invalid (visa), SamePerson, NotLeaving, CommuneHeld, NotExported, SealsRunning, Conflict."""
    actor.require_administrator("decide about an erasure")
    said = mailboxes.said_visa(visa)
    locked = CommuneErasure.objects.select_for_update().get(pk=erasure.pk)
    if locked.state != _State.ASKED:
        raise Conflict("this request does not wait any more")
    if queries.leaving_of(actor, locked.collectivite_id) is None:
        raise NotLeaving
    known = _require_known(locked.collectivite_id, no_export=no_export, ends_seals=ends_seals)
    approvals.approve(actor=actor, approval=Approval.objects.get(pk=locked.approval_id))
    now = clock.now()
    due = now + timedelta(hours=CALL_BACK_H)
    change(
        locked,
        state=_State.GRANTED,
        visa=said,
        granted_by=actor.id,
        granted_name=_name(actor),
        granted_at=now,
        due_at=due,
    )
    record(actor, "granted", locked, visa=said, **known)


@transaction.atomic
def refuse(*, actor: Actor, erasure: CommuneErasure, reason: str) -> None:
    """With a reason that the collectivité reads. Errors: NotAllowed, Invalid, Conflict."""
    actor.require_administrator("decide about an erasure")
    said = reasons.checked(reason, most_chars=mailboxes.MOST_OF_REFUSAL)
    _end(actor, erasure, _State.REFUSED, said)
    record(actor, "refused", erasure)


@transaction.atomic
def call_back(*, actor: Actor, erasure: CommuneErasure) -> None:
    """Nothing is erased: by either side, as long as it has not begun. Errors: NotFound, Conflict."""
    found = queries.access_erasure(actor, erasure.collectivite_id)
    if found.pk != erasure.pk:
        raise NotFound("erasure")
    _end(actor, found, _State.WITHDRAWN, "")
    record(actor, "withdrawn", found)


def end_open(*, actor: Actor, collectivite_id: str) -> None:
    """In the caller's transaction: the collectivité stays. Errors: Conflict (it has begun)."""
    for one in CommuneErasure.objects.filter(collectivite_id=collectivite_id, state__in=queries.OPEN):
        _end(actor, one, _State.WITHDRAWN, "")
        record(actor, "withdrawn", one)


@transaction.atomic
def expired(approval_id: str) -> None:
    """Nobody answered in time."""
    rows = CommuneErasure.objects.select_for_update().filter(approval_id=approval_id, state=_State.ASKED)
    if (row := rows.first()) is not None:
        change(row, state=_State.WITHDRAWN)


def _require_known(owner: str, *, no_export: bool, ends_seals: bool) -> dict[str, Any]:
    """What is on record of it. Errors: CommuneHeld, NotExported, SealsRunning."""
    if queries.open_incidents(owner):
        raise CommuneHeld
    exported = queries.complete_export(owner)
    if exported is None and not no_export:
        raise NotExported
    found = queries.running_seals(owner)
    if found and not ends_seals:
        raise SealsRunning(found)
    return {"export": exported.id if exported else "none", **({"seals": found} if found else {})}


def _end(actor: Actor, erasure: CommuneErasure, state: str, reason: str) -> None:
    locked = CommuneErasure.objects.select_for_update().get(pk=erasure.pk)
    if locked.state not in (_State.ASKED, _State.GRANTED):
        raise Conflict("this erasure has begun, or is over")
    approval = Approval.objects.get(pk=locked.approval_id)
    if approval.state == Approval.State.GRANTED:
        approvals.withdraw(actor=actor, approval=approval)
    elif approval.state == Approval.State.REQUESTED and approval.expires_at > clock.now():
        approvals.refuse(actor=actor, approval=approval)
    change(locked, state=state, reason=reason)


def record(actor: Actor, what: str, erasure: CommuneErasure, **details: Any) -> None:
    audit.record_of(actor, f"communes:erasure:{what}", erasure, details)


def _name(actor: Actor) -> str:
    if actor.kind == "administrator":
        return identity.administrator(actor.id).name
    return identity.person_name(actor.id)
