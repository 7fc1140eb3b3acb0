"""Each half-year two administrators read who signs in to the console; one asks that an account ends, another agrees.

Rule:    what two confirmed is one list (``digest``); one that changed in between is read again by both. Nobody answers
         for themselves: neither who asked nor whom it concerns.
Fails:   closed; a request that nobody answers in time is void. Where nobody is left who could answer, an end is asked
         for at the centre's machine (``./beffroi administrator end``).
Source:  ANSSI, MonAideCyber: accounts of administrators are reviewed every six months, those of users every year.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals import queries as requests
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import outbox
from beffroi.core.identity import administrators, queries, totp
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Administrator
from beffroi.lib import clock, reasons
from beffroi.lib.errors import Conflict, NotAllowed, existing

EVERY = timedelta(days=182)
AWAY = timedelta(days=90)
"""Who has not come for so long is pointed out."""
REVIEW = "identity.administrators.review"
END = "identity.administrator.end"
REVIEWED = "identity:administrator:reviewed"
END_ASKED = "identity:administrator:end_asked"


@dataclass(frozen=True)
class Access:
    """``came``: when the second factor last opened something, a sign-in or a confirmation; None if it never did."""

    administrator: Administrator
    came: datetime | None
    away: bool
    end: Approval | None
    """That this access ends, asked for and not answered."""


def accesses(actor: Actor) -> list[Access]:
    """Who signs in now, by their addresses. Errors: NotAllowed."""
    actor.require_departement("see the administrators")
    asked = {one.subject_id: one for one in requests.waiting(END)}
    return [_access(one, asked.get(one.pk)) for one in queries.administrators() if one.is_active]


def last_came(administrator: Administrator) -> datetime | None:
    """When their second factor last opened something."""
    step = administrator.totp_last_step
    return clock.moment(step * totp.PERIOD_S if step else None)


def _access(one: Administrator, end: Approval | None) -> Access:
    came = last_came(one)
    return Access(one, came, (came or one.created_at) <= clock.now() - AWAY, end)


def digest(read: Sequence[Access]) -> str:
    """Of who signs in, and with which second factor, so that a confirmation says which list it is of."""
    rows = sorted(f"{one.administrator.pk}:{one.administrator.session_version}" for one in read)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def last() -> datetime | None:
    """When two administrators last confirmed."""
    rows = AuditEntry.objects.filter(verb=REVIEWED, collectivite_id=None).order_by("-id")
    return rows.values_list("at", flat=True).first()


def due_at() -> datetime | None:
    """When the next one is due; None while there is no administrator."""
    made = Administrator.objects.order_by("created_at").values_list("created_at", flat=True)
    begun = last() or made.first()
    return begun + EVERY if begun else None


def is_due() -> bool:
    at = due_at()
    return at is not None and at <= clock.now()


def asked_first(read: Sequence[Access]) -> Approval | None:
    """Who confirmed this very list, and waits for a second one."""
    return requests.waiting(REVIEW).filter(subject_id=digest(read)).first()


@transaction.atomic
def confirm(*, actor: Actor, read: str) -> bool:
    """Whether it is confirmed now, by a second administrator; the first one's word waits for that.

    ``read``: the digest of the list that was read. Errors: NotAllowed, Conflict (it is not that one).
    """
    actor.require_administrator("review the administrators")
    outbox.serialise()
    present = accesses(actor)
    if digest(present) != read:
        raise Conflict("the administrators changed since they were read")
    first = asked_first(present)
    if first is None:
        approvals.request(actor=actor, verb=REVIEW, subject_id=read, payload={"administrators": len(present)})
        return False
    if first.requested_by == actor.id:  # sent twice
        return False
    approvals.approve(actor=actor, approval=first)
    audit.record(
        actor,
        REVIEWED,
        first.id,
        collectivite_id=None,
        details={"administrators": len(present), "asked_by": first.requested_by},
    )
    return True


def answering(actor: Actor, administrator_id: str) -> QuerySet[Administrator]:
    """Who could agree to what this actor asks for."""
    return Administrator.objects.filter(is_active=True).exclude(pk__in=(actor.id, administrator_id))


@transaction.atomic
def ask_end(*, actor: Actor, administrator_id: str, reason: str) -> Approval:
    """Ask another administrator to agree that this one's access ends. The reason may name somebody, so it stands on
    the erasable side of the audit log.

    Errors: NotAllowed, NotFound (closed), Invalid (reason), Conflict (asked before, or nobody is left to answer).
    """
    actor.require_administrator("review the administrators")
    outbox.serialise()
    found = queries.administrator(administrator_id)
    said = reasons.checked(reason)
    if end_of(found.pk) is not None or not answering(actor, found.pk).exists():
        raise Conflict("the end of this access was asked for before, or nobody else can answer")
    approval = approvals.request(actor=actor, verb=END, subject_id=found.pk, payload={})
    audit.record(
        actor,
        END_ASKED,
        found.pk,  # so that the reason goes with the name
        collectivite_id=None,
        details={"approval_id": approval.id},
        personal={"why": said},
    )
    return approval


def end_of(administrator_id: str) -> Approval | None:
    """That this access ends, asked for and not answered."""
    return requests.waiting(END).filter(subject_id=administrator_id).first()


def reason_of(approval: Approval) -> str:
    """Why it was asked for, for the second administrator."""
    rows = AuditEntry.objects.filter(
        verb=END_ASKED, object_id=approval.subject_id, at__gte=approval.requested_at
    )
    entry = rows.order_by("id").first()
    return audit.personal_of(entry).get("why", "") if entry else ""


@transaction.atomic
def answer_end(*, actor: Actor, administrator_id: str, agree: bool) -> None:
    """Close the account and its sessions, or leave it; who asked may give it up.

    Errors: NotAllowed (it is about the actor), SamePerson, NotFound, Conflict (the last administrator).
    """
    actor.require_administrator("review the administrators")
    outbox.serialise()
    approval = existing(end_of(administrator_id), "request")
    if actor.id == administrator_id and approval.requested_by != actor.id:
        raise NotAllowed("answer for oneself")
    if not agree:
        approvals.refuse(actor=actor, approval=approval)
        return
    found = queries.administrator(administrator_id)
    approvals.approve(actor=actor, approval=approval)
    administrators.end_administrator_access(actor=actor, administrator=found)


def waiting_for(actor: Actor) -> int:
    """Ends that this administrator could answer."""
    rows = requests.waiting(END).exclude(requested_by=actor.id).exclude(subject_id=actor.id)
    return rows.filter(subject_id__in=Administrator.objects.filter(is_active=True).values("pk")).count()
