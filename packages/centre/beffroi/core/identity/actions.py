"""Change people, memberships and app passwords. Every action is one transaction: change, audit entry, event.

Who may: the Département (and the centre itself) everywhere; a référent in the own collectivité; a person for
the own app passwords.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, transaction

from beffroi.core.audit import actions as audit
from beffroi.core.communes import queries as communes
from beffroi.core.communes import row_security
from beffroi.core.communes.actions import CollectiviteLeft
from beffroi.core.communes.models import Collectivite
from beffroi.core.events import outbox
from beffroi.core.identity import queries
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, DeviceLink, LoginFlow, Membership, Person
from beffroi.lib import clock, hashed
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound


@dataclass(frozen=True)
class IssuedAppPassword:
    """``secret`` is shown once and stored nowhere."""

    record: AppPassword
    secret: str


@transaction.atomic
def create_person(*, actor: Actor, email: str, name: str, password: str | None = None) -> Person:
    """Create an account; without a password it opens by a reset only. Errors: NotAllowed, Invalid, Conflict."""
    if not (actor.sees_all or actor.leads):
        raise NotAllowed("create an account")
    address = queries.checked_address(email)
    person = Person(email=address, name=queries.checked_name(name))
    if password is None:
        person.set_unusable_password()
    else:
        person.set_password(password)
    try:
        with transaction.atomic():
            person.save(force_insert=True)
    except IntegrityError:
        raise Conflict("this address has an account") from None
    EmailAddress.objects.create(user=person, email=address, primary=True, verified=True)
    audit.record(
        actor,
        "identity:person:created",
        person.id,
        collectivite_id=actor.collectivite_id,
        personal={"email": address, "name": person.name},
    )
    outbox.publish("identity:person_created", {"person_id": person.id}, collectivite_id=actor.collectivite_id)
    return person


@transaction.atomic
def add_membership(*, actor: Actor, person: Person, collectivite: Collectivite, role: str) -> Membership:
    """Give a person a role in a collectivité, from now on. Errors: NotFound, NotAllowed, Invalid, Conflict."""
    _may_manage(actor, collectivite.id)
    may_give(actor, role)
    return _add_membership(actor, person, collectivite, role)


def _add_membership(actor: Actor, person: Person, collectivite: Collectivite, role: str) -> Membership:
    if communes.has_left(collectivite.id):
        raise CollectiviteLeft
    now = clock.now()
    try:
        with transaction.atomic():
            membership = Membership.objects.create(
                person=person, collectivite=collectivite, role=role, since=now
            )
    except IntegrityError:
        raise Conflict("this person has this role already") from None
    _record(actor, "identity:membership:added", membership, role=role)
    outbox.publish(
        "identity:membership_added",
        {"membership_id": membership.id, "person_id": person.id, "role": role},
        collectivite_id=collectivite.id,
    )
    return membership


@transaction.atomic
def change_role(*, actor: Actor, membership: Membership, role: str) -> bool:
    """Another role in the same collectivité; app passwords and sessions go on. False if it is the present one.

    A référent changes between the roles that they give, never their own. Errors: NotFound, NotAllowed, Invalid,
    Conflict (it ended, or the person has this role besides).
    """
    _may_manage(actor, membership.collectivite_id)
    may_give(actor, role)
    may_give(actor, membership.role)
    if actor.id == membership.person_id:
        raise NotAllowed("change one's own role")
    if role == membership.role:
        return False
    outbox.serialise()
    before, rows = membership.role, Membership.objects.filter(pk=membership.pk, until=None)
    try:
        with transaction.atomic():
            if not rows.filter(role=before).update(role=role):
                raise Conflict("this membership has changed")
    except IntegrityError:
        raise Conflict("this person has this role already") from None
    membership.refresh_from_db()
    _record(actor, "identity:membership:role_changed", membership, before=before, role=role)
    outbox.publish(
        "identity:role_changed",
        {"membership_id": membership.id, "person_id": membership.person_id, "role": role},
        collectivite_id=membership.collectivite_id,
    )
    return True


@transaction.atomic
def end_access(*, actor: Actor, membership: Membership) -> bool:
    """End a membership now: its app passwords are revoked, its sessions have no actor any more.

    The account itself is closed with its last membership. False if it had ended.
    Errors: NotFound, NotAllowed (a role that the actor could not give: of two référents none shuts the other out).
    """
    _may_manage(actor, membership.collectivite_id)
    may_give(actor, membership.role)
    outbox.serialise()  # whether it is the last one: none is given, and no other one ends, meanwhile
    now = clock.now()
    if not Membership.objects.filter(pk=membership.pk, until=None).update(until=now):
        return False
    membership.refresh_from_db()
    for one in AppPassword.objects.filter(membership=membership, revoked_at=None):
        _revoke(actor, one)
    with row_security.unlimited():  # those of other collectivités keep the account open
        last = not Membership.objects.filter(person_id=membership.person_id, until=None).exists()
    if last:
        Person.objects.filter(pk=membership.person_id).update(is_active=False)
    _record(actor, "identity:access:ended", membership)
    outbox.publish(
        "identity:access_ended",
        {"membership_id": membership.id, "person_id": membership.person_id},
        collectivite_id=membership.collectivite_id,
    )
    return True


@transaction.atomic
def restore_access(
    *, actor: Actor, person: Person, collectivite: Collectivite, roles: Collection[str], ended_at: datetime
) -> list[Membership]:
    """Undo ``end_access``: the roles again, and the account open. App passwords and sessions stay ended.

    ``ended_at``: when all of them had ended.
    Errors: NotFound, NotAllowed; Conflict where the account was erased or has such a role by now.
    """
    _may_manage(actor, collectivite.id)
    outbox.serialise()  # as ``end_access`` does, and before the account's row
    if Person.objects.filter(pk=person.pk).exclude(erased_at=None).exists():
        raise Conflict("this account was erased")
    Person.objects.filter(pk=person.pk).update(is_active=True, sessions_from=clock.now())
    left_at = queries.left_at(person.id, collectivite.id, by=ended_at)
    made = [
        # What was there: also a role that one could not give.
        _add_membership(actor, person, collectivite, role)
        for role in roles
    ]
    if left_at is not None:
        outbox.publish(
            "identity:access_restored",
            {"person_id": person.id, "by": actor.id, "left_s": int(left_at.timestamp())},
            collectivite_id=collectivite.id,
        )
    return made


@transaction.atomic
def issue_app_password(
    *, actor: Actor, membership: Membership, protocol_set: str, label: str = ""
) -> IssuedAppPassword:
    """Make 28 random signs (138 bits) for one protocol set; the page asks for a step-up first.

    Errors: NotFound (another person's membership), Conflict (it ended), Invalid (protocol set).
    """
    if actor.kind != "system":
        queries.require_own(actor, membership)
    if protocol_set not in AppPassword.ProtocolSet.values:
        raise Invalid("protocol_set")
    queries.require_current(membership)
    secret = _in_groups(7)
    record = AppPassword.objects.create(
        membership=membership,
        protocol_set=protocol_set,
        sha256=hashed.sha256(secret),
        label=label.strip()[:100],
    )
    _record(actor, "identity:app_password:issued", membership, object_id=record.id, protocols=protocol_set)
    outbox.publish(
        "identity:app_password_issued", _app_password(record), collectivite_id=membership.collectivite_id
    )
    return IssuedAppPassword(record, secret)


@transaction.atomic
def revoke_app_password(*, actor: Actor, app_password: AppPassword) -> bool:
    """Revoke at once; False if it was revoked before. Errors: NotFound."""
    membership = app_password.membership
    if not (actor.kind == "person" and actor.id == membership.person_id):
        _may_manage(actor, membership.collectivite_id)
    return _revoke(actor, app_password)


@transaction.atomic
def set_password(*, actor: Actor, person: Person, password: str) -> None:
    """A person's own new password of the portal; ends the sessions that were opened with the former.

    Errors: NotAllowed; ValidationError (Django's) with what is wrong, in words for the person.
    """
    if actor.kind != "person" or actor.id != person.id:
        raise NotAllowed("set this password")
    validate_password(password, person)
    _set_password(actor, person, password, given_at=None)


@transaction.atomic
def give_password(*, actor: Actor, person: Person, reason: str) -> str:
    """A new password for a person who forgot theirs, shown once; their sessions end and their home asks for another.

    It opens nothing where a second factor is asked for. Errors: NotAllowed, Invalid (no reason), Conflict (closed).
    """
    actor.require_administrator("give a password")
    if not reason.strip():
        raise Invalid("reason")
    if not person.is_active or person.erased_at is not None:
        raise Conflict("this account is closed")
    password = new_password()
    _set_password(actor, person, password, given_at=clock.now(), why=reason.strip()[:500])
    return password


def _set_password(
    actor: Actor, person: Person, password: str, *, given_at: datetime | None, why: str = ""
) -> None:
    """``why``: may name somebody, so it stands on the erasable side of the audit log."""
    person.set_password(password)  # a third of a second: before the lock
    outbox.serialise()
    person.password_given_at = given_at
    person.save(update_fields=["password", "password_given_at"])
    _end_what_waits(person)
    audit.record(
        actor,
        "identity:password:given" if given_at else "identity:password:set",
        person.id,
        collectivite_id=actor.collectivite_id,
        personal={"why": why} if why else None,
    )


def new_password() -> str:
    """80 random bits, for a person until their first visit."""
    return _in_groups(4)


def _in_groups(count: int) -> str:
    """Groups of four random signs that can be read aloud: no letter or digit that looks like another."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789x"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(count))


@transaction.atomic
def end_sessions(*, actor: Actor, person: Person, collectivite_id: str | None = None) -> None:
    """End every session of the portal that the person has now; they sign in again. Errors: NotAllowed."""
    if not actor.sees_all and actor.id != person.id:
        raise NotAllowed("end these sessions")
    outbox.serialise()
    Person.objects.filter(pk=person.pk).update(sessions_from=clock.now())
    _end_what_waits(person)
    audit.record(actor, "identity:sessions:ended", person.id, collectivite_id=collectivite_id)


def _end_what_waits(person: Person) -> None:
    """Links for phones and programs that were let in by a session that is over get no app password any more."""
    with row_security.unlimited():  # also those of another collectivité
        for waiting in (DeviceLink, LoginFlow):
            waiting.objects.filter(membership__person=person, used_at=None, ended_at=None).update(
                ended_at=clock.now()
            )


def _may_manage(actor: Actor, collectivite_id: str) -> None:
    if actor.sees_all:
        return
    if actor.collectivite_id != collectivite_id:
        raise NotFound("collectivité")
    if actor.leads is None:
        raise NotAllowed("manage accounts")


def roles_given_by(actor: Actor) -> tuple[str, ...]:
    """Which roles this actor may give to somebody: only the Département makes a référent or a DPO."""
    if actor.sees_all:
        return tuple(Membership.Role.values)
    return (Membership.Role.AGENT, Membership.Role.ELU) if actor.leads else ()


def may_end(actor: Actor, memberships: Iterable[Membership]) -> bool:
    """Whether this actor may end all of these: who gives a role takes it back."""
    return {one.role for one in memberships} <= set(roles_given_by(actor))


def may_give(actor: Actor, role: str) -> None:
    """Errors: Invalid, NotAllowed."""
    if role not in Membership.Role.values:
        raise Invalid("role")
    if role not in roles_given_by(actor):
        raise NotAllowed("give this role")


def _revoke(actor: Actor, record: AppPassword) -> bool:
    outbox.serialise()
    changed = AppPassword.objects.filter(pk=record.pk, revoked_at=None).update(revoked_at=clock.now())
    record.refresh_from_db()
    if not changed:
        return False
    _record(actor, "identity:app_password:revoked", record.membership, object_id=record.id)
    outbox.publish(
        "identity:app_password_revoked",
        _app_password(record),
        collectivite_id=record.membership.collectivite_id,
    )
    return True


def _app_password(record: AppPassword) -> dict[str, object]:
    return {
        "app_password_id": record.id,
        "membership_id": record.membership_id,
        "person_id": record.membership.person_id,
        "protocols": record.protocol_set.split(","),
        "sha256": record.sha256,
    }


def _record(actor: Actor, verb: str, membership: Membership, *, object_id: str = "", **details: str) -> None:
    told = {"person_id": membership.person_id, "membership_id": membership.id, **details}
    owner = membership.collectivite_id
    audit.record(actor, verb, object_id or membership.id, collectivite_id=owner, details=told)
