"""A person who works elsewhere already is asked whether they join: nobody is added to a second commune without a word.

Purpose: the référent writes an address; who signs in with it finds the question at home, and answers.
Oracle:  none. Whether an account has this address, and whether its person refused, the commune never hears: its page
         says *demande envoyée* until the person is there or the time is over. The Département sees all of it.
Input:   hostile: an address that somebody typed; an identifier of an offer that may be another's.
Fails:   closed; an offer that is over, withdrawn or another's is not there. Of two answers at once one changes the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.communes import row_security
from beffroi.core.communes.models import Collectivite
from beffroi.core.events import outbox
from beffroi.core.identity import actions, queries
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import MembershipOffer, Person
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotAllowed, NotFound, existing

LIFE = timedelta(days=30)
MAX_WAITING = 20
"""Of one collectivité: a question is somebody's time."""
SYSTEM = Actor.system("identity.offers")


@dataclass(frozen=True)
class Told:
    """An offer as its collectivité or the Département sees it. ``state``: sent; for the Département also refused,
    no_account or closed."""

    offer: MembershipOffer
    state: str


@dataclass(frozen=True)
class Asked:
    """A question to the reader. ``refused``: they said no, and may still change their mind."""

    offer: MembershipOffer
    collectivite: Collectivite
    refused: bool


@transaction.atomic
def make(*, actor: Actor, collectivite: Collectivite, email: str, role: str) -> MembershipOffer:
    """Errors: NotFound, NotAllowed (role), Invalid (address, role), Conflict (works here, asked already, too many)."""
    _may(actor, collectivite.id)
    actions.may_give(actor, role)
    address = queries.checked_address(email)
    here = queries.memberships_in(actor, collectivite.id)
    if any(one.person.email == address for one in here):
        raise Conflict("this person works here already")
    waiting = list(_waiting().filter(collectivite_id=collectivite.id).values_list("email", flat=True))
    if address in waiting or len(waiting) >= MAX_WAITING:
        raise Conflict("this person was asked, or too many questions wait")
    offer = MembershipOffer.objects.create(
        collectivite_id=collectivite.id,
        email=address,
        role=role,
        made_by=actor.id,
        expires_at=clock.now() + LIFE,
    )
    _record(actor, "identity:offer:made", offer)
    return offer


def sent(actor: Actor, collectivite_id: str) -> list[Told]:
    """What waits for an answer, newest first. Errors: NotFound, NotAllowed."""
    _may(actor, collectivite_id)
    rows = list(_waiting().filter(collectivite_id=collectivite_id).order_by("-created_at", "-id"))
    if not actor.sees_all:
        return [Told(one, "sent") for one in rows]
    open_ = dict(
        Person.objects.filter(email__in=[one.email for one in rows]).values_list("email", "is_active")
    )
    return [Told(one, _state(one, open_)) for one in rows]


@transaction.atomic
def withdraw(*, actor: Actor, collectivite_id: str, offer_id: str) -> None:
    """Errors: NotFound, NotAllowed."""
    _may(actor, collectivite_id)
    rows = _waiting().filter(pk=offer_id, collectivite_id=collectivite_id)
    offer = existing(rows.first(), "offer")
    rows.update(ended_at=clock.now())
    _record(actor, "identity:offer:withdrawn", offer)


def asked(actor: Actor) -> list[Asked]:
    """Questions to this person, whichever collectivité the session is for; oldest first."""
    if actor.kind != "person":
        return []
    with row_security.unlimited():
        return [
            Asked(one, Collectivite.objects.get(pk=one.collectivite_id), one.refused_at is not None)
            for one in _of(actor).order_by("created_at", "id")
        ]


@transaction.atomic
def answer(*, actor: Actor, offer_id: str, accept: bool) -> str:
    """The person's own word; return the collectivité's name. A refusal may be changed until the offer is over.

    Errors: NotFound (also another's); Conflict (has this role by now).
    """
    if actor.kind != "person":
        raise NotFound("offer")
    outbox.serialise()  # the account's last membership may be ending, which closes it
    with row_security.unlimited():  # the offer is of another collectivité than the session
        rows = _of(actor).filter(pk=offer_id)
        offer = existing(rows.first(), "offer")
        now = clock.now()
        if not rows.update(**({"accepted_at": now} if accept else {"refused_at": now})):
            raise NotFound("offer")
        owner = Collectivite.objects.get(pk=offer.collectivite_id)
        _record(actor, "identity:offer:accepted" if accept else "identity:offer:refused", offer)
        if accept:
            person = Person.objects.get(pk=actor.id)
            actions.add_membership(actor=SYSTEM, person=person, collectivite=owner, role=offer.role)
    return owner.name


def _waiting() -> QuerySet[MembershipOffer]:
    """Neither taken back nor accepted nor over; a refusal does not show."""
    return MembershipOffer.objects.filter(ended_at=None, accepted_at=None, expires_at__gt=clock.now())


def _of(actor: Actor) -> QuerySet[MembershipOffer]:
    email = Person.objects.filter(pk=actor.id, is_active=True).values_list("email", flat=True).first()
    return _waiting().filter(email=email or "-")


def _state(offer: MembershipOffer, open_: dict[str, bool]) -> str:
    if offer.refused_at is not None:
        return "refused"
    if offer.email not in open_:
        return "no_account"
    return "sent" if open_[offer.email] else "closed"


def _may(actor: Actor, collectivite_id: str) -> None:
    actor.require_sees(collectivite_id)
    if not actions.roles_given_by(actor):
        raise NotAllowed("add people")


def _record(actor: Actor, verb: str, offer: MembershipOffer) -> None:
    # Without the address: who it names may be nobody of ours, and the row goes after its 30 days.
    person = {"person_id": actor.id} if actor.kind == "person" and verb.endswith("accepted") else {}
    audit.record_of(actor, verb, offer, {"role": offer.role, **person})
