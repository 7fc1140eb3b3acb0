"""A person arrives in a collectivité: account, role, mailbox and the code of the first visit in one step; its undoing.

Purpose: a commune begins here. The address is on a domain of its own, in plain spelling; what is taken is answered with
         what is free.
Process: web and console (actions), a person's command line.
Undo:    as long as nobody came: the account closes and its name is erased, the mailbox closes. What arrived in it
         stays under *Boîtes fermées*. An empty one is given again with its address to whoever is added next.
Fails:   closed; one transaction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite, Domain
from beffroi.core.events import outbox
from beffroi.core.identity import actions as identity
from beffroi.core.identity import activation, erasure
from beffroi.core.identity import queries as people
from beffroi.core.identity.activation import AlreadyCame, MadeCode
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.core.retention import registry
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from beffroi.mail import actions as mail
from beffroi.mail import naming
from beffroi.mail.aliases.models import Alias
from beffroi.mail.importing.models import ImportJob
from beffroi.mail.models import Mailbox, MailDelivery

MAX_NAME_CHARS = 100
"""Of the first and of the last name each."""
CANCELLED = "mail:arrival:cancelled"
_SURELY_EMPTY = timedelta(days=30)
"""Records of deliveries are kept much longer: without one, nothing has arrived since."""
_TRIED = 50


class NameUnusable(Invalid):
    """A person has a first and a last name of at most 100 characters, and 200 in all."""

    code = "mail.person_name_unusable"


class ArrivalAddressTaken(Conflict):
    """This address is taken; free is {}"""

    code = "mail.arrival_address_taken"

    def __init__(self, free: str) -> None:
        """``free``: before the @; "" where none was found."""
        super().__init__(f"{free}@" if free else "none")
        self.free = free


@dataclass(frozen=True)
class Arrived:
    person: Person
    membership: Membership
    mailbox: Mailbox
    sheet: MadeCode


def domains(collectivite_id: str) -> list[str]:
    """On which an address may be: those with a mailbox first, then in the order of their coming."""
    names = list(
        Domain.objects.filter(collectivite_id=collectivite_id)
        .order_by("created_at", "id")
        .values_list("name", flat=True)
    )
    addresses = Mailbox.objects.filter(collectivite_id=collectivite_id, closed_at=None)
    used = {one.rpartition("@")[2] for one in addresses.values_list("address", flat=True)}
    return sorted(names, key=lambda name: name not in used)


def full_name(first: str, last: str) -> str:
    """As it is shown. Errors: NameUnusable."""
    parts = [" ".join(one.split()) for one in (first, last)]
    name = " ".join(parts)
    usable = all(one and len(one) <= MAX_NAME_CHARS and one.isprintable() for one in parts)
    if not usable or len(name) > people.MAX_NAME_CHARS:
        raise NameUnusable
    return name


def proposed(first: str, last: str, domain: str) -> str:
    """A free address for this name, before the @; "" where the name has no letter that an address may have."""
    local = naming.proposed(f"{first} {last}")
    return free(local, domain) if local else ""


def free(local: str, domain: str) -> str:
    """``local`` itself or with the first number that makes it free; "" where there is none."""
    stem = local[: naming.MAX_LOCAL_CHARS - 2]
    for candidate in (local, *(f"{stem}{number}" for number in range(2, _TRIED))):
        if not _taken(f"{candidate}@{domain}"):
            return candidate
    return ""


@transaction.atomic
def arrive(
    *, actor: Actor, collectivite: Collectivite, name: str, role: str, local: str, domain: str
) -> Arrived:
    """Add a person. ``name``: of ``full_name``; ``local@domain``: the mailbox, and what they sign in with.

    Errors: NotFound (collectivité), NotAllowed and Invalid (role, domain), AddressUnusable, ArrivalAddressTaken.
    """
    actor.require_sees(collectivite.id)
    if role not in Membership.Role.values:
        raise Invalid("role")
    if role not in identity.roles_given_by(actor):
        raise NotAllowed("give this role")
    outbox.serialise()
    address = _free_address(collectivite, local, domain)
    person = identity.create_person(actor=actor, email=address, name=name)
    membership = identity.add_membership(actor=actor, person=person, collectivite=collectivite, role=role)
    mailbox = _given_again(actor, address, person) or mail.provision_mailbox(
        actor=actor, collectivite=collectivite, address=address, person_id=person.id
    )
    sheet = activation.make(actor=actor, collectivite_id=collectivite.id, person_id=person.id)
    return Arrived(person, membership, mailbox, sheet)


@transaction.atomic
def give_mailbox(
    *, actor: Actor, collectivite: Collectivite, person_id: str, local: str, domain: str
) -> Mailbox:
    """One of their own for who works there without: who signs in with the address of another collectivité.

    Errors: NotFound, NotAllowed, Invalid (domain), AddressUnusable, ArrivalAddressTaken, Conflict (has one).
    """
    one = activation.access_colleague(actor, collectivite.id, person_id)
    outbox.serialise()
    if mailboxes_of(person_id, collectivite.id):
        raise Conflict("this person has a mailbox here")
    address = _free_address(collectivite, local, domain, one.person)
    return _given_again(actor, address, one.person) or mail.provision_mailbox(
        actor=actor, collectivite=collectivite, address=address, person_id=person_id
    )


def proposed_to(person: Person, domain: str) -> str:
    """Before the @, for ``give_mailbox``: what they sign in with, where that is free; else as ``proposed``."""
    local, _, own = person.email.rpartition("@")
    if own == domain and naming.proposed(local) == local and not _taken(person.email, person):
        return local
    return proposed(person.name, "", domain)


def mailboxes_of(person_id: str, collectivite_id: str) -> list[str]:
    """Addresses of the open mailboxes that are this person's own there."""
    rows = Mailbox.objects.filter(person_id=person_id, collectivite_id=collectivite_id, closed_at=None)
    return list(rows.order_by("address").values_list("address", flat=True))


@transaction.atomic
def cancel(*, actor: Actor, collectivite: Collectivite, person_id: str) -> list[str]:
    """Take back the adding of a person who never came. Return the addresses of mailboxes in which mail arrived: they
    are closed and stay. Errors: NotFound, NotAllowed, AlreadyCame, Conflict (the person works elsewhere, too)."""
    outbox.serialise()
    one = activation.access_colleague(actor, collectivite.id, person_id)
    person = Person.objects.select_for_update().get(pk=one.person.pk)
    if not activation.waited_for(person):
        raise AlreadyCame
    if not identity.may_end(actor, one.memberships):
        raise NotAllowed("take back this role")
    if any(row.collectivite_id != collectivite.id for row in people.current_memberships(person.pk)):
        raise Conflict("this person works elsewhere, too")
    activation.end(person)
    kept = []
    for mailbox in Mailbox.objects.filter(
        person_id=person.id, collectivite_id=collectivite.id, closed_at=None
    ):
        mail.close_mailbox(actor=actor, mailbox=mailbox)
        # What was brought over is no delivery.
        got = any(rows.objects.filter(mailbox_id=mailbox.id).exists() for rows in (MailDelivery, ImportJob))
        empty = not got and mailbox.created_at > clock.now() - _SURELY_EMPTY
        if not empty:
            kept.append(mailbox.address)
        audit.record_of(actor, CANCELLED, mailbox, {"person_id": person.id, "empty": empty})
    for membership in one.memberships:
        identity.end_access(actor=actor, membership=membership)
    if not registry.held("person", [person.id]):
        erasure.erase(person, actor=actor)
    return kept


def _free_address(collectivite: Collectivite, local: str, domain: str, person: Person | None = None) -> str:
    """Errors: Invalid (domain), AddressUnusable, ArrivalAddressTaken."""
    # First: what is on another commune's domain says nothing of who has an account there.
    if not Domain.objects.select_for_update().filter(collectivite=collectivite, name=domain).exists():
        raise Invalid("the domain is not one of this collectivité")
    local = local.strip().lower()
    naming.check_local(local)
    if _taken(f"{local}@{domain}", person):
        raise ArrivalAddressTaken(free(local, domain))
    return f"{local}@{domain}"


def _taken(address: str, person: Person | None = None) -> bool:
    """``person``: who gets it, and may sign in with it."""
    others = Person.objects.filter(email=address).exclude(pk=person.pk if person else None)
    if others.exists() or Alias.objects.filter(address=address).exists():
        return True
    mailbox = Mailbox.objects.filter(address=address).first()
    return mailbox is not None and not _left_empty(mailbox)


def _left_empty(mailbox: Mailbox) -> bool:
    """Whether it was made for somebody who never came, and nothing arrived: the log says so, and of whom."""
    if mailbox.closed_at is None or not mailbox.crypt_key:
        return False
    entry = AuditEntry.objects.filter(object_id=mailbox.id, verb=CANCELLED).order_by("-id").first()
    said = json.loads(entry.details) if entry else {}
    return said.get("empty") is True and said.get("person_id") == mailbox.person_id


def _given_again(actor: Actor, address: str, person: Person) -> Mailbox | None:
    """The empty mailbox of somebody who never came, for the next one: the engines know its key already."""
    mailbox = Mailbox.objects.filter(address=address).first()
    if mailbox is None:
        return None
    Mailbox.objects.filter(pk=mailbox.pk).update(person_id=person.id)
    mailbox.refresh_from_db()
    mail.reopen_mailbox(actor=actor, mailbox=mailbox)
    return mailbox
