"""The first visit: a code on a printed sheet, with which a new person chooses the password of their account.

Purpose: whoever adds a person gives the sheet by hand; no password of theirs is ever known to anybody else, and
         nothing is sent to a mailbox that they cannot open yet.
Input:   hostile: address and code from anybody on the internet. 65 random bits, seven days, once; tries are limited as
         those of sign-ins are, for each account and network.
Oracle:  none. The stored digest is of address and code together, so that one question to one index answers, whether
         the address has an account or not; only who has the right code hears that it is used or over.
Fails:   closed. Of two requests with one code, one changes the row.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.db.models import QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.events import outbox
from beffroi.core.identity import failures, limits, paper_codes, queries
from beffroi.core.identity.actions import may_give, roles_given_by
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import ActivationCode, Membership, Person
from beffroi.lib import clock, hashed
from beffroi.lib.errors import BeffroiError, Conflict, NotAllowed, NotFound

LIFE = timedelta(days=7)
DOOR = "portal"
_LENGTH = 13  # 65 bits
_WINDOW_S = 900
_PER_ACCOUNT_AND_NETWORK = 5
_PER_NETWORK = 30


class ActivationRefused(BeffroiError):
    """Address and code do not fit each other, the sheet is over, or there were too many tries."""

    code = "identity.activation_refused"
    http_status = 403


class ActivationOver(Conflict):
    """This code is right and opens nothing any more: {}."""

    code = "identity.activation_over"

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        """used, replaced, expired or closed."""


class AlreadyCame(Conflict):
    """This person has chosen a password: a new sheet would give their account to whoever holds it."""

    code = "identity.already_came"


@dataclass(frozen=True)
class MadeCode:
    """``code``: in groups; shown once and stored nowhere."""

    record: ActivationCode
    code: str


@dataclass(frozen=True)
class Colleague:
    """Somebody of a collectivité. ``sheet_until``: of the sheet that still opens the account; None for none."""

    person: Person
    memberships: tuple[Membership, ...]
    waited_for: bool
    sheet_until: datetime | None
    second_factor: bool

    @property
    def came(self) -> bool:
        return self.person.last_login is not None


def waited_for(person: Person) -> bool:
    """Whether nobody has opened this account: no password was ever chosen or given, nobody signed in."""
    untouched = person.last_login is None and person.password.startswith(UNUSABLE_PASSWORD_PREFIX)
    return untouched and person.is_active and person.erased_at is None


def colleagues(actor: Actor, collectivite_id: str) -> list[Colleague]:
    """Who works there now, by name; three queries. Errors: NotFound, NotAllowed."""
    _may(actor, collectivite_id)
    found: dict[str, list[Membership]] = {}
    for one in queries.memberships_in(actor, collectivite_id):
        found.setdefault(one.person_id, []).append(one)
    until = dict(_waiting(list(found)).values_list("person_id", "expires_at"))
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    secured = set(
        Authenticator.objects.filter(user_id__in=list(found), type__in=kinds).values_list(
            "user_id", flat=True
        )
    )
    people = [
        Colleague(rows[0].person, tuple(rows), waited_for(rows[0].person), until.get(key), key in secured)
        for key, rows in found.items()
    ]
    return sorted(people, key=_by_name)


def _by_name(one: Colleague) -> tuple[str, str]:
    """É stands with E."""
    return unicodedata.normalize("NFKD", one.person.name).casefold(), one.person.pk


def access_colleague(actor: Actor, collectivite_id: str, person_id: str) -> Colleague:
    """Errors: NotFound, for absent and forbidden alike; NotAllowed."""
    for one in colleagues(actor, collectivite_id):
        if one.person.pk == person_id:
            return one
    raise NotFound("person")


@transaction.atomic
def make(*, actor: Actor, collectivite_id: str, person_id: str) -> MadeCode:
    """A new code; a former one ends. Who holds it opens the account, so it is of a role that the actor gives.

    Errors: NotFound, NotAllowed, AlreadyCame.
    """
    outbox.serialise()
    one = access_colleague(actor, collectivite_id, person_id)
    for row in one.memberships:
        may_give(actor, row.role)
    person = Person.objects.select_for_update().get(pk=one.person.pk)
    if not waited_for(person):
        raise AlreadyCame
    now = clock.now()
    end(person)
    code = paper_codes.made(_LENGTH)
    record = ActivationCode.objects.create(
        person=person,
        collectivite_id=collectivite_id,
        made_by=actor.id,
        sha256=_digest(person.email, code),
        expires_at=now + LIFE,
    )
    _record(actor, "identity:activation_code:made", record)
    return MadeCode(record, "-".join((code[:4], code[4:8], code[8:])))


def opened_by(people: Collection[str]) -> dict[str, str]:
    """Which person's sheet opened the accounts of these people, as long as codes are kept (a week); not those to whom
    the Département gave one."""
    used = ActivationCode.objects.filter(person_id__in=people, made_by__startswith="per_").exclude(
        used_at=None
    )
    return dict(used.order_by("used_at").values_list("person_id", "made_by"))


def end(person: Person) -> None:
    """Whatever code still waits opens nothing any more."""
    ActivationCode.objects.filter(person=person, used_at=None, ended_at=None).update(ended_at=clock.now())


def check(*, email: str, code: str, address: str) -> ActivationCode:
    """The code that opens this account now; it is not used up. ``address``: of the client.

    Errors: ActivationRefused, ActivationOver.
    """
    account, network = email.strip().lower()[:254], limits.network_of(address)
    tries = (
        limits.take("activation", account, network, limit=_PER_ACCOUNT_AND_NETWORK, window_s=_WINDOW_S),
        limits.take("activation-network", network, limit=_PER_NETWORK, window_s=_WINDOW_S),
    )
    blocked = not all(tries)
    found = (
        ActivationCode.objects.select_related("person")
        .filter(sha256=_digest(account, paper_codes.plain(code)))
        .first()
    )
    if blocked or found is None:
        failure = failures.payload(address=address, account=account, door=DOOR)
        if failure is not None and not blocked:  # the limits bound how much is written
            with transaction.atomic():
                outbox.publish(failures.KIND, failure)
        raise ActivationRefused
    limits.give_back(*tries)
    if why := _over(found):
        raise ActivationOver(why)
    return found


@transaction.atomic
def open_account(record: ActivationCode, *, password: str) -> Person:
    """Use the code up and set the person's own password; sign them in afterwards.

    Errors: ActivationOver; ValidationError (Django's) with what is wrong with the password, and the code still waits.
    """
    validate_password(password, record.person)
    hashed_password = make_password(password)  # a third of a second: before the lock
    outbox.serialise()
    person = Person.objects.select_for_update().get(pk=record.person_id)
    if why := _over(record, person):
        raise ActivationOver(why)
    rows = ActivationCode.objects.filter(pk=record.pk, used_at=None, ended_at=None)
    if not rows.update(used_at=clock.now()):
        raise ActivationOver("used")
    person.password, person.password_given_at = hashed_password, None
    person.save(update_fields=["password", "password_given_at"])
    _record(Actor("person", person.pk), "identity:activation_code:used", record)
    return person


def _over(record: ActivationCode, person: Person | None = None) -> str:
    """Why the code opens nothing any more; "" when it does."""
    if record.used_at is not None:
        return "used"
    if record.ended_at is not None:
        return "replaced"
    if record.expires_at <= clock.now():
        return "expired"
    return "" if waited_for(person or record.person) else "closed"


def _waiting(person_ids: list[str]) -> QuerySet[ActivationCode]:
    return ActivationCode.objects.filter(
        person_id__in=person_ids, used_at=None, ended_at=None, expires_at__gt=clock.now()
    )


def _may(actor: Actor, collectivite_id: str) -> None:
    actor.require_sees(collectivite_id)
    if not roles_given_by(actor):
        raise NotAllowed("see who has an account")


def _digest(email: str, code: str) -> str:
    return hashed.sha256(f"activation:{email}:{code}")


def _record(actor: Actor, verb: str, record: ActivationCode) -> None:
    owner, details = record.collectivite_id, {"activation_code_id": record.pk}
    audit.record(actor, verb, record.person_id, collectivite_id=owner, details=details)
