"""An erasure is asked for, granted with the archives' visa, called back, or refused. One transaction each.

Who may: a référent asks, 30 days after the closing; the Département grants (core.approvals: another person) and gives
         the reference of the visa. For a day after that either side calls it back. Then nobody does.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals.models import Approval
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import registry
from beffroi.lib import clock, reasons
from beffroi.lib.errors import Conflict, Invalid
from beffroi.mail.closing import queries
from beffroi.mail.closing.actions import SYSTEM
from beffroi.mail.closing.models import Erasure
from beffroi.mail.models import Mailbox
from beffroi.mail.noted import change, record

VERB = "mail:erasure"
VALID_S = 90 * 86400
"""A visa takes weeks."""
CALL_BACK_H = 24
MOST_OF_REFUSAL = 300
_VISA = re.compile(r"[^\x00-\x1f\x7f]{3,120}")
_State = Erasure.State


class ErasureTooEarly(Conflict):
    """A mailbox is erased 30 days after its closing at the earliest: until then it can be reopened."""

    code = "mail.erasure_too_early"


class MailboxHeld(Conflict):
    """An incident that is open or under complaint concerns the person of this mailbox: its mails are evidence."""

    code = "mail.erasure_held"


@transaction.atomic
def ask(*, actor: Actor, mailbox: Mailbox) -> Erasure:
    """Errors: NotFound, ErasureTooEarly, MailboxHeld, Conflict (asked for before, or done)."""
    found = queries.access_closed(actor, mailbox.id)
    if queries.erasable_from(found) > clock.now():
        raise ErasureTooEarly
    if held(found):
        raise MailboxHeld
    made = Erasure(mailbox_id=found.id, collectivite_id=found.collectivite_id, asked_by=actor.id)
    approval = approvals.request(
        actor=actor,
        verb=VERB,
        subject_id=found.id,
        payload={"mailbox_id": found.id, "erasure_id": made.id},
        collectivite_id=found.collectivite_id,
        valid_s=VALID_S,
    )
    made.approval_id = approval.id
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        raise Conflict("the erasure of this mailbox is asked for, or done") from None
    record(actor, "mail:erasure:asked", made)
    return made


@transaction.atomic
def granted_with_all(
    collectivite_id: str, *, approval_id: str, asked_by: str, decided_by: str, visa: str
) -> int:
    """As a part of the erasure of the whole collectivité: each of its closed mailboxes that is not erased, at once and
    by that request. One that was asked for alone goes by it, too. Return how many mailboxes are not erased yet."""
    now = clock.now()
    agreed = {
        "state": _State.GRANTED, "approval_id": approval_id, "visa": visa, "asked_by": asked_by,
        "decided_by": decided_by, "granted_at": now, "due_at": now, "changed_at": now,
    }  # fmt: skip
    rows = Erasure.objects.filter(collectivite_id=collectivite_id)
    rows.filter(state__in=(_State.ASKED, _State.GRANTED)).exclude(approval_id=approval_id).update(**agreed)
    boxes = Mailbox.objects.filter(collectivite_id=collectivite_id).exclude(closed_at=None)
    standing = rows.filter(state__in=queries.STANDING)
    for mailbox in boxes.exclude(pk__in=standing.values("mailbox_id")):
        # One that a clock which ran ahead closed: ``stands`` would call it back, and this grant it again, each minute.
        asked_at = max(now, mailbox.closed_at or now)
        made = Erasure.objects.create(
            mailbox_id=mailbox.id, collectivite_id=collectivite_id, created_at=asked_at, **agreed
        )
        record(SYSTEM, "mail:erasure:granted", made, visa=visa)
    return boxes.exclude(pk__in=rows.filter(state=_State.DONE).values("mailbox_id")).count()


@transaction.atomic
def grant(*, actor: Actor, erasure: Erasure, visa: str) -> Erasure:
    """The Département agrees; carried out after ``CALL_BACK_H``. ``visa``: reference of the archives' document.

    Errors: NotAllowed, Invalid (visa), SamePerson, MailboxHeld, Conflict (decided, too old, or reopened).
    """
    actor.require_administrator("decide about an erasure")
    said = said_visa(visa)
    locked = Erasure.objects.select_for_update().get(pk=erasure.pk)
    mailbox = Mailbox.objects.get(pk=locked.mailbox_id)
    if locked.state != _State.ASKED or not stands(locked, mailbox):
        raise Conflict("this request does not wait any more")
    if held(mailbox):
        raise MailboxHeld
    approvals.approve(actor=actor, approval=Approval.objects.get(pk=locked.approval_id))
    now = clock.now()
    due = now + timedelta(hours=CALL_BACK_H)
    change(locked, state=_State.GRANTED, visa=said, decided_by=actor.id, granted_at=now, due_at=due)
    record(actor, "mail:erasure:granted", locked, visa=said)
    return locked


@transaction.atomic
def refuse(*, actor: Actor, erasure: Erasure, reason: str) -> None:
    """The Département says no, with a reason that the commune reads. Errors: NotAllowed, Invalid, Conflict."""
    actor.require_administrator("decide about an erasure")
    said = reasons.checked(reason, most_chars=MOST_OF_REFUSAL)
    _end(actor, erasure, _State.REFUSED, said)
    record(actor, "mail:erasure:refused", erasure)


@transaction.atomic
def call_back(*, actor: Actor, erasure: Erasure) -> None:
    """Nothing is erased: by a référent of the collectivité or the Département, as long as it has not begun.

    Errors: NotFound, Conflict.
    """
    found = queries.access_erasure(actor, erasure.id)
    _end(actor, found, _State.WITHDRAWN, "")
    record(actor, "mail:erasure:withdrawn", found)


def stands(erasure: Erasure, mailbox: Mailbox) -> bool:
    """Whether the mailbox is closed, and was so all the time since it was asked for."""
    return mailbox.closed_at is not None and mailbox.closed_at <= erasure.created_at


@transaction.atomic
def reopened(mailbox_id: str, *, at: datetime) -> None:
    """What was asked for, or granted, of a mailbox before it was opened again is over, by a clock ahead too."""
    rows = Erasure.objects.filter(mailbox_id=mailbox_id, state__in=(_State.ASKED, _State.GRANTED))
    for one in rows.exclude(created_at__gt=at, created_at__lte=clock.now()):
        call_back(actor=SYSTEM, erasure=one)


def held(mailbox: Mailbox) -> bool:
    """Whether an incident needs what lies in it."""
    return bool(mailbox.person_id and registry.held("person", [mailbox.person_id]))


def _end(actor: Actor, erasure: Erasure, state: str, reason: str) -> None:
    locked = Erasure.objects.select_for_update().get(pk=erasure.pk)
    if locked.state not in (_State.ASKED, _State.GRANTED):
        raise Conflict("this erasure has begun, or is over")
    approval = Approval.objects.get(pk=locked.approval_id)
    # No program answers a request of a person: one that a reopening ended is void in time.
    answers = actor.kind != "system" and approval.expires_at > clock.now()
    if answers and approval.state == Approval.State.REQUESTED:
        approvals.refuse(actor=actor, approval=approval)
    change(locked, state=state, reason=reason, decided_by=locked.decided_by or actor.id)


@transaction.atomic
def expired(approval_id: str) -> None:
    """Nobody answered in time."""
    row = Erasure.objects.select_for_update().filter(approval_id=approval_id, state=_State.ASKED).first()
    if row is not None:
        change(row, state=_State.WITHDRAWN)


def said_visa(text: str) -> str:
    """The reference as it is written down. Errors: Invalid."""
    said = " ".join(text.split())
    if not _VISA.fullmatch(said):
        raise Invalid("visa")
    return said
