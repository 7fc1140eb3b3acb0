"""Messages of the webmail on their way out: put on their way, called back, settled. The only writes of ``Sending``.

Every action is one transaction: change, audit row, outbox event. None of them holds what the message says, nor to whom.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from beffroi.core import turns
from beffroi.core.audit import actions as audit
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, existing
from beffroi.mail.access import Access, Right, access, openable
from beffroi.mail.drafts import Place
from beffroi.mail.gate.facts import hash_of_message_id
from beffroi.mail.models import Mailbox, Sending
from beffroi.mail.people import delegations
from beffroi.mail.people.models import DelegatedAct, Delegation

UNDO_S = 10
LONGEST_WAIT = timedelta(minutes=10)
"""Longer than any pause of one that is tried again (outgoing.py)."""
OPEN = (Sending.State.WAITING, Sending.State.SENDING, Sending.State.ACCEPTED)
SYSTEM = Actor.system("mail.webmail")
_AT_ONCE = 20


class AlreadyLeaving(Conflict):
    """This message is being sent already."""

    code = "mail.already_leaving"


@transaction.atomic
def schedule(*, actor: Actor, mailbox: Mailbox, place: Place, message_id: str, recipients: int) -> Sending:
    """Let the draft at this place leave in ``UNDO_S`` seconds. Errors: NotFound, AlreadyLeaving."""
    opened = access(actor, mailbox.id, Right.ANSWER)
    now = clock.now()
    sending = Sending(
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        person_id=actor.id,
        uid_validity=place.uid_validity,
        uid=place.uid,
        message_id_hash=hash_of_message_id(message_id),
        due_at=now + timedelta(seconds=UNDO_S),
    )
    try:
        with transaction.atomic():
            sending.save(force_insert=True)
    except IntegrityError:
        raise AlreadyLeaving from None
    lent: dict[str, str | int] = {"delegation_id": opened.delegation.id} if opened.delegation else {}
    _record(actor, "mail:sending:scheduled", sending, {"recipients": recipients, **lent})
    publish("mail:sending_scheduled", {"sending_id": sending.id}, collectivite_id=sending.collectivite_id)
    return sending


def access_sending(actor: Actor, mailbox_id: str, sending_id: str) -> Sending:
    """A message on its way from a mailbox that this person may open, whoever wrote it: members of a functional
    mailbox share its drafts, so each of them may call one back. A delegate may do so with what they wrote.
    Errors: NotFound."""
    opened = access(actor, mailbox_id, Right.ANSWER)
    return existing(_rows(opened).filter(pk=sending_id).first(), "message")


def _rows(opened: Access) -> QuerySet[Sending]:
    rows = Sending.objects.filter(mailbox_id=opened.mailbox.id)
    return rows if opened.owns else rows.filter(person_id=opened.actor.id)


def unsettled(actor: Actor, mailbox: Mailbox) -> list[Sending]:
    """What waits, and what was refused and not yet looked at; oldest first. Errors: NotFound."""
    access(actor, mailbox.id, Right.READ)
    states = (*OPEN, Sending.State.REFUSED)
    rows = Sending.objects.filter(mailbox_id=mailbox.id, person_id=actor.id, state__in=states)
    return list(rows.order_by("created_at")[:20])


def refused(actor: Actor) -> list[Sending]:
    """What this person sent from here, was refused and is not yet looked at, of mailboxes that they may open."""
    found = list(
        Sending.objects.filter(person_id=actor.id, state=Sending.State.REFUSED).order_by("created_at")
    )
    mailboxes = {one.id for one in openable(actor)} if found else set()  # hardly anybody has one
    return [one for one in found if one.mailbox_id in mailboxes][:20]


@transaction.atomic
def cancel(*, actor: Actor, sending: Sending) -> bool:
    """Call a message back, or put its refusal away; the draft stays where it is. False when it has left or is just
    leaving. Errors: NotFound."""
    own = access_sending(actor, sending.mailbox_id, sending.id)
    states = (Sending.State.WAITING, Sending.State.REFUSED)
    if not _set(own, states, Sending.State.CANCELLED, refused="[]"):
        return False
    _record(actor, "mail:sending:cancelled", own)
    publish("mail:sending_cancelled", {"sending_id": own.id}, collectivite_id=own.collectivite_id)
    return True


def call_back(*, actor: Actor, mailbox: Mailbox, place: Place) -> None:
    """Whoever goes on writing a message that waits has called it back. Errors: NotFound, AlreadyLeaving."""
    opened = access(actor, mailbox.id, Right.ANSWER)
    rows = _rows(opened).filter(uid_validity=place.uid_validity, uid=place.uid)
    for one in rows.exclude(state__in=(Sending.State.SENT, Sending.State.CANCELLED)):
        if not cancel(actor=actor, sending=one):
            raise AlreadyLeaving


def has_left(mailbox: Mailbox, message_id: str) -> bool:
    """Whether this message was sent by the webmail, or is on its way."""
    rows = Sending.objects.filter(mailbox_id=mailbox.id, message_id_hash=hash_of_message_id(message_id))
    return rows.filter(state__in=(*OPEN, Sending.State.SENT)).exists()


def claim() -> list[Sending]:
    """Take messages whose moment has come; each belongs to whoever got it from here."""
    waited = turns.due("due_at", clock.now(), LONGEST_WAIT)
    due = Sending.objects.filter(waited, state=Sending.State.WAITING).order_by("due_at")
    return [one for one in due[:_AT_ONCE] if _set(one, (Sending.State.WAITING,), Sending.State.SENDING)]


def put_off(sending: Sending, pause_s: float) -> None:
    Sending.objects.filter(pk=sending.pk, state=Sending.State.SENDING).update(
        state=Sending.State.WAITING,
        due_at=clock.now() + timedelta(seconds=pause_s),
        attempts=sending.attempts + 1,
        changed_at=clock.now(),
    )


def accepted(sending: Sending) -> None:
    """Submission has it: from here on it is never sent again, whatever becomes of its draft."""
    _set(sending, (Sending.State.SENDING,), Sending.State.ACCEPTED)


@transaction.atomic
def settle(sending: Sending, *, reason: str = "", refused: Sequence[str] = ()) -> None:
    """It has left, or with a ``reason`` it was not taken and its draft waits for the person."""
    before, state = Sending.State.ACCEPTED, Sending.State.SENT
    if reason:
        before, state = Sending.State.SENDING, Sending.State.REFUSED
    if not _set(sending, (before,), state, reason=reason, refused=json.dumps(list(refused)[:100])):
        return
    if not reason:
        _note_delegated(sending)
    verb = "mail:sending:refused" if reason else "mail:sending:sent"
    _record(SYSTEM, verb, sending, {"reason": reason} if reason else {})
    kind = "mail:sending_refused" if reason else "mail:sending_sent"
    publish(kind, {"sending_id": sending.id}, collectivite_id=sending.collectivite_id)


def _note_delegated(sending: Sending) -> None:
    """What left in its owner's name is in the owner's list, also when the delegation ended meanwhile."""
    entry = Delegation.objects.filter(
        mailbox_id=sending.mailbox_id, person_id=sending.person_id, begins_at__lte=sending.created_at
    )
    row = entry.order_by("-begins_at").first()
    owns = Mailbox.objects.filter(pk=sending.mailbox_id, person_id=sending.person_id).exists()
    if row is not None and not owns:
        delegations.note(
            actor=Actor("person", sending.person_id, sending.collectivite_id),
            delegation=row,
            what=DelegatedAct.What.SENT,
            message_key=sending.message_id_hash,
        )


def _set(sending: Sending, before: Sequence[str], after: str, **more: str) -> bool:
    rows = Sending.objects.filter(pk=sending.pk, state__in=before)
    return bool(rows.update(state=after, changed_at=clock.now(), **more))


def _record(actor: Actor, verb: str, sending: Sending, more: dict[str, str | int] | None = None) -> None:
    audit.record_of(actor, verb, sending, {"mailbox_id": sending.mailbox_id, **(more or {})})
