"""Functional mailboxes: made, given members, renamed. Each action is one transaction: change, audit row, event.

Who may: a référent in the own collectivité, the Département everywhere. Nobody becomes a member who is not of the
same collectivité; a référent who wants to read becomes a member, which the others see.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction

from beffroi.core.audit import actions as audit
from beffroi.core.communes.models import Collectivite
from beffroi.core.events import outbox
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.mail import actions as mail
from beffroi.mail.models import Mailbox
from beffroi.mail.people import queries
from beffroi.mail.people.models import Member, SharedMailbox

MAX_TITLE_CHARS = 100


@transaction.atomic
def create_shared(*, actor: Actor, collectivite: Collectivite, address: str, title: str) -> Mailbox:
    """A functional mailbox without members. Errors: NotFound, Invalid (address, domain, title), Conflict (taken)."""
    if not queries.may_manage(actor):
        raise NotFound("collectivité")
    said = _title(title)
    mailbox = mail.provision_mailbox(actor=actor, collectivite=collectivite, address=address)
    SharedMailbox.objects.create(mailbox_id=mailbox.id, collectivite_id=collectivite.id, title=said)
    return mailbox


@transaction.atomic
def rename(*, actor: Actor, mailbox: Mailbox, title: str) -> None:
    """Errors: NotFound, Invalid."""
    _may(actor, mailbox)
    SharedMailbox.objects.filter(pk=mailbox.id).update(title=_title(title))
    audit.record_of(actor, "mail:shared:renamed", mailbox)
    _publish(mailbox)


@transaction.atomic
def add_member(*, actor: Actor, mailbox: Mailbox, person: Person) -> bool:
    """Let a person of the same collectivité read and answer. False if they do already. Errors: NotFound, Conflict."""
    _may(actor, mailbox)
    if mailbox.closed_at is not None:
        raise Conflict("this mailbox is closed")
    if person.id not in {one.id for one in queries.people(actor, mailbox.collectivite_id)}:
        raise NotFound("person")
    outbox.serialise()
    try:
        with transaction.atomic():
            Member.objects.create(
                mailbox_id=mailbox.id, collectivite_id=mailbox.collectivite_id, person_id=person.id
            )
    except IntegrityError:
        return False
    audit.record_of(actor, "mail:shared:member_added", mailbox, {"person_id": person.id})
    _publish(mailbox)
    return True


@transaction.atomic
def remove_member(*, actor: Actor, mailbox: Mailbox, person_id: str) -> bool:
    """From now on they do not see it any more; adding them again undoes it. Errors: NotFound."""
    _may(actor, mailbox)
    outbox.serialise()
    rows = Member.objects.filter(mailbox_id=mailbox.id, person_id=person_id, ended_at=None)
    if not rows.update(ended_at=clock.now()):
        return False
    audit.record_of(actor, "mail:shared:member_removed", mailbox, {"person_id": person_id})
    _publish(mailbox)
    return True


def _publish(mailbox: Mailbox) -> None:
    publish("mail:members_changed", {"mailbox_id": mailbox.id}, collectivite_id=mailbox.collectivite_id)


def _may(actor: Actor, mailbox: Mailbox) -> None:
    shared = SharedMailbox.objects.filter(pk=mailbox.pk, collectivite_id=mailbox.collectivite_id).exists()
    if not (shared and actor.manages(mailbox.collectivite_id)):
        raise NotFound("mailbox")


def _title(text: str) -> str:
    said = " ".join(text.split())
    if not said or len(said) > MAX_TITLE_CHARS or any(not sign.isprintable() for sign in said):
        raise Invalid("title")
    return said
