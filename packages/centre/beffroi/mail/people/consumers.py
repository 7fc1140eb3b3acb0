"""Whoever leaves a collectivité reads none of its functional mailboxes and none that was lent to them any more, nor
does anybody read theirs, whichever way they left; who is erased has no open mailbox; and a departure is confirmed once
the engines have ended it. Process: worker."""

from __future__ import annotations

from beffroi.core.events import Event, consumer, periodic
from beffroi.core.events.registry import ANSWERS
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.queries import who_left
from beffroi.mail import actions as mail
from beffroi.mail.models import Mailbox
from beffroi.mail.people import actions, delegations, leaving
from beffroi.mail.people.models import Member

SYSTEM = Actor.system("mail.people")


@consumer(name="mail.members", kinds=("identity:access_ended",))
def end_members(event: Event) -> None:
    left = who_left(event.payload["membership_id"])
    if left is None:
        return
    person_id, owner = left.person_id, left.collectivite_id
    delegations.end_all_of(actor=SYSTEM, person_id=person_id, collectivite_id=owner)
    rows = Member.objects.filter(person_id=person_id, collectivite_id=owner, ended_at=None)
    for mailbox in Mailbox.objects.filter(pk__in=rows.values("mailbox_id")):
        actions.remove_member(actor=SYSTEM, mailbox=mailbox, person_id=person_id)


@consumer(name="mail.erased", kinds=("identity:person_erased",))
def close_mailboxes(event: Event) -> None:
    """Of somebody who is erased without a departure: nobody would ever read what still arrives, or could end it."""
    for mailbox in Mailbox.objects.filter(person_id=event.payload["person_id"], closed_at=None):
        mail.close_mailbox(actor=SYSTEM, mailbox=mailbox)


periodic("mail.departures", every_s=1.0, lane=ANSWERS)(leaving.confirm_waiting)
