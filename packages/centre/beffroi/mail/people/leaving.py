"""A person leaves a collectivité: every access ended in one transaction, proved at the engines, undone for 30 days.

Purpose: mailboxes close and keep their content and key; functional mailboxes are passed on; app passwords, sessions,
         forwards and imports end. Nobody is given the person's own mailbox, so what is private in it stays private.
Process: web (actions); worker (``confirm``).
Fails:   closed: a departure is confirmed only when no engine knows a mailbox or password of it, and no connection of
         theirs is open. Until then it says what it waits for, and is tried again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.communes.models import Collectivite
from beffroi.core.events import outbox
from beffroi.core.events.outbox import publish
from beffroi.core.identity import actions as identity
from beffroi.core.identity import queries as people
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, Membership, Person
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound, Unavailable, existing
from beffroi.mail import actions as mail
from beffroi.mail import doveadm, projections
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.filters import actions as filters
from beffroi.mail.filters import queries as filter_queries
from beffroi.mail.models import Mailbox
from beffroi.mail.people import actions, delegations, queries
from beffroi.mail.people.models import Departure, Member
from beffroi.mail.scripts import actions as scripts
from beffroi.mail.scripts import queries as script_queries

UNDO_DAYS = 30
SYSTEM = Actor.system("mail.people")


@transaction.atomic
def depart(
    *, actor: Actor, collectivite: Collectivite, person: Person, successors: Mapping[str, str]
) -> Departure:
    """End every access of this person here. ``successors``: functional mailbox -> person who reads it from now on;
    a mailbox that is left out is passed to nobody.

    Errors: NotFound; NotAllowed (no référent, oneself, or whom only the Département ends); Invalid (a successor who is
    not of the collectivité).
    """
    _may(actor, collectivite.id)
    if actor.id == person.id:
        raise NotAllowed("end one's own access")
    current = [one for one in people.memberships_in(actor, collectivite.id) if one.person_id == person.id]
    if not current:
        raise NotFound("person")
    if not identity.may_end(actor, current):
        raise NotAllowed("end a role that the Département gave")
    remaining = {one.id: one for one in queries.people(actor, collectivite.id) if one.id != person.id}
    if not set(successors.values()) <= remaining.keys():
        raise Invalid("successor")
    given_back = {
        "lent": delegations.end_all_of(actor=actor, person_id=person.id, collectivite_id=collectivite.id),
        "forwards": filters.end_forwards_of(person.id, collectivite.id),
        "scripts": scripts.end_scripts_of(person.id, collectivite.id),
    }
    left = []
    for mailbox in read_by(person.id, collectivite.id):
        actions.remove_member(actor=actor, mailbox=mailbox, person_id=person.id)
        heir = successors.get(mailbox.id, "")
        if heir:
            actions.add_member(actor=actor, mailbox=mailbox, person=remaining[heir])
        left.append([mailbox.id, heir])
    closed = []
    for mailbox in owned_by(person.id, collectivite.id):
        mail.close_mailbox(actor=actor, mailbox=mailbox)
        closed.append(mailbox.id)
    passwords = AppPassword.objects.filter(membership__in=current, revoked_at=None).count()
    if not sum(identity.end_access(actor=actor, membership=one) for one in current):
        raise NotFound("person")  # somebody else was faster
    ended = {
        "roles": [one.role for one in current],
        "closed": closed,
        "left": left,
        "app_passwords": passwords,
        **given_back,
    }
    departure = Departure.objects.create(
        collectivite_id=collectivite.id, person_id=person.id, ended=json.dumps(ended), by=actor.id
    )
    _record(actor, "mail:departure:begun", departure, app_passwords=passwords, closed=closed, left=left)
    return departure


def owned_by(person_id: str, collectivite_id: str) -> list[Mailbox]:
    """The person's own open mailboxes here."""
    rows = Mailbox.objects.filter(person_id=person_id, collectivite_id=collectivite_id, closed_at=None)
    return list(rows.order_by("address"))


def read_by(person_id: str, collectivite_id: str) -> list[Mailbox]:
    """The functional mailboxes that the person reads here."""
    inside = Member.objects.filter(person_id=person_id, collectivite_id=collectivite_id, ended_at=None)
    rows = Mailbox.objects.filter(pk__in=inside.values("mailbox_id"), closed_at=None)
    return list(rows.order_by("address"))


def app_passwords_of(person_id: str, collectivite_id: str) -> int:
    """How many of the person's app passwords here are in force."""
    rows = AppPassword.objects.filter(membership__person_id=person_id, revoked_at=None)
    return rows.filter(membership__collectivite_id=collectivite_id).count()


def also_ends(person_id: str, collectivite_id: str) -> dict[str, int]:
    """How many forwards, scripts and delegations end with the accesses."""
    found = {
        "forwards": filter_queries.forwards_of(person_id, collectivite_id),
        "scripts": script_queries.chosen_of(person_id, collectivite_id),
        "lent": delegations.open_of(person_id, collectivite_id),
    }
    return {what: rows.count() for what, rows in found.items()}


def visible(actor: Actor) -> list[Departure]:
    """Newest first; for the référent of the collectivité and the Département, empty for everybody else."""
    return list(_visible(actor)[:200])


def access_departure(actor: Actor, departure_id: str) -> Departure:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(_visible(actor).filter(pk=departure_id).first(), "departure")


def _visible(actor: Actor) -> QuerySet[Departure]:
    if not queries.may_manage(actor):
        return Departure.objects.none()
    return actor.visible(Departure.objects.order_by("-created_at", "-id"))


def ended(departure: Departure) -> dict[str, Any]:
    """What was ended (see ``Departure``)."""
    found: dict[str, Any] = json.loads(departure.ended)
    return found


def undo_until(departure: Departure) -> Any:
    """UTC; None when it was undone or its time is over."""
    until = departure.created_at + timedelta(days=UNDO_DAYS)
    over = departure.state == Departure.State.UNDONE or until <= clock.now()
    return None if over else until


@transaction.atomic
def undo(*, actor: Actor, departure: Departure) -> None:
    """Open again what was closed; forwards, scripts and what was lent are as they were, where nothing newer stands; the
    drive gives groups and shares back. App passwords stay revoked; whoever took a functional mailbox over keeps it.

    Errors: NotFound; Conflict (too late, undone before, or the account was erased).
    """
    outbox.serialise()
    locked = Departure.objects.select_for_update().get(pk=access_departure(actor, departure.id).pk)
    if undo_until(locked) is None:
        raise Conflict("the time to undo this is over")
    person, what = Person.objects.get(pk=locked.person_id), ended(locked)
    collectivite = Collectivite.objects.get(pk=locked.collectivite_id)
    identity.restore_access(
        actor=actor,
        person=person,
        collectivite=collectivite,
        roles=what["roles"],
        ended_at=locked.created_at,
    )
    for mailbox in Mailbox.objects.filter(pk__in=what["closed"]):
        mail.reopen_mailbox(actor=actor, mailbox=mailbox)
    for mailbox in Mailbox.objects.filter(pk__in=[one for one, _ in what["left"]], closed_at=None):
        actions.add_member(actor=actor, mailbox=mailbox, person=person)
    delegations.give_back(actor=actor, ids=what.get("lent", ()))
    filters.give_back_forwards(actor=actor, ids=what.get("forwards", ()))
    scripts.give_back(actor=actor, ids=what.get("scripts", ()))
    locked.state, locked.undone_at = Departure.State.UNDONE, clock.now()
    locked.save(update_fields=["state", "undone_at"])
    _record(actor, "mail:departure:undone", locked)


def confirm_waiting() -> int:
    """Look at each departure that is not confirmed; return how many were confirmed now."""
    waiting = Departure.objects.filter(state=Departure.State.CONFIRMING).order_by("created_at")
    return sum(confirm(one) for one in waiting[:20])


def confirm(departure: Departure) -> bool:
    """Ask the engines; write down what it still waits for: "projection", "connections" or "engines"."""
    try:
        waits_for = _open_at_engines(departure)
    except Unavailable:
        waits_for = "engines"
    rows = Departure.objects.filter(pk=departure.pk, state=Departure.State.CONFIRMING)
    if waits_for:
        rows.exclude(waits_for=waits_for).update(waits_for=waits_for)
        return False
    with transaction.atomic():
        outbox.serialise()
        changed = rows.update(state=Departure.State.CONFIRMED, waits_for="", confirmed_at=clock.now())
        if changed:
            _record(SYSTEM, "mail:departure:confirmed", departure)
    return bool(changed)


def _open_at_engines(departure: Departure) -> str:
    config = settings.BEFFROI
    closed = Mailbox.objects.filter(pk__in=ended(departure)["closed"]).exclude(closed_at=None)
    addresses = list(closed.values_list("address", flat=True))
    memberships = Membership.objects.filter(
        person_id=departure.person_id, collectivite_id=departure.collectivite_id
    ).exclude(until=None)
    passwords = AppPassword.objects.filter(membership__in=memberships)
    if projections.opens(
        config, addresses=addresses, app_passwords=list(passwords.values_list("id", flat=True))
    ):
        return "projection"
    if not addresses:
        return ""
    # Only now: a connection that opened a moment before the password went would otherwise live on.
    engine = Doveadm(config)
    engine.run([doveadm.kick(one) for one in addresses])
    answers = engine.run([doveadm.who(one) for one in addresses])
    if any(rows is None for rows in answers):
        return "engines"
    return "connections" if any(answers) else ""


def _may(actor: Actor, collectivite_id: str) -> None:
    actor.require_sees(collectivite_id)
    if not queries.may_manage(actor):
        raise NotAllowed("end somebody's access")


def _record(actor: Actor, verb: str, departure: Departure, **details: Any) -> None:
    audit.record_of(actor, verb, departure, {"person_id": departure.person_id, **details})
    publish(
        "mail:departure_changed", {"departure_id": departure.id}, collectivite_id=departure.collectivite_id
    )
