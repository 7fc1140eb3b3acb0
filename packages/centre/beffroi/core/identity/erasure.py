"""Erase what names a person, when the account is long closed or when the person asks (GDPR article 17).

Keeps:   the identifier with its memberships, so that the audit log, decisions and incidents still say that one and the
         same person acted, and no longer who. Mailboxes are the commune's archive, and incidents its evidence: neither
         is touched. An account that an open incident, or one under complaint, concerns is not erased (17.3.e).
Who may: one administrator asks, another one grants; the purge by itself, a time after the account was closed.
"""

from __future__ import annotations

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Q, QuerySet

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals import queries as requests
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import outbox
from beffroi.core.identity import actions, device_links
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import (
    ActivationCode,
    AppPassword,
    DeviceLink,
    LoginFlow,
    Membership,
    MembershipOffer,
    Person,
    RescueCode,
    SignIn,
)
from beffroi.core.retention import registry
from beffroi.lib import clock, durable, reasons
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict

VERB = "identity.erase"
ERASED = "erased"
"""In STATE: a file without content for each, by identifier."""
ERASED_DOMAIN = "efface.invalid"
SYSTEM = Actor.system("identity.erasure")


class ErasureHeld(Conflict):
    """An incident that is open or under complaint concerns this account, so its name is kept until that is over."""

    code = "identity.erasure_held"


@transaction.atomic
def request(*, actor: Actor, person: Person, reason: str) -> Approval:
    """Ask another administrator to agree. The reason stands on the erasable side of the audit log.

    Errors: NotAllowed, Invalid, ErasureHeld; Conflict when it is erased, or was asked for before.
    """
    actor.require_administrator("ask for an erasure")
    said = reasons.checked(reason)
    outbox.serialise()
    if person.erased_at is not None or waiting().filter(subject_id=person.id).exists():
        raise Conflict("this account is erased, or its erasure waits for a second administrator")
    if registry.held("person", [person.id]):
        raise ErasureHeld
    approval = approvals.request(
        actor=actor, verb=VERB, subject_id=person.id, payload={"person_id": person.id}
    )
    audit.record(
        actor,
        "identity:erasure:asked",
        approval.id,
        collectivite_id=None,
        details={"person_id": person.id},
        personal={"why": said},
    )
    return approval


def waiting() -> QuerySet[Approval]:
    """Requests that no second administrator answered yet."""
    return requests.waiting(VERB)


def reason_of(approval: Approval) -> str:
    """Why it was asked for, for the second administrator."""
    entry = AuditEntry.objects.filter(verb="identity:erasure:asked", object_id=approval.id).first()
    return audit.personal_of(entry).get("why", "") if entry else ""


@transaction.atomic
def carry_out(person_id: str) -> bool:
    """What two administrators agreed on: end every access, then erase. False if an incident holds it by now."""
    outbox.serialise()
    person = Person.objects.select_for_update().filter(pk=person_id, erased_at=None).first()
    if person is None:
        return False
    if registry.held("person", [person_id]):
        audit.record(SYSTEM, "identity:erasure:held", person_id, collectivite_id=None)
        return False
    for membership in Membership.objects.filter(person=person, until=None):
        actions.end_access(actor=SYSTEM, membership=membership)
    erase(person)
    return True


def remember(config: Config, erased: str) -> None:
    """Of a person, or of what went with a collectivité: beside the database, which may be restored from a backup of
    before. Errors: OSError."""
    folder = config.state / ERASED
    folder.mkdir(mode=0o700, exist_ok=True)
    durable.write(folder / erased, (), mode=0o600)


def is_remembered(config: Config, erased: str) -> bool:
    return (config.state / ERASED / erased).exists()


def again(config: Config) -> int:
    """Erase those who were erased and have a name again; return how many."""
    names = [one.name for one in (config.state / ERASED).glob("per_*")]
    back = Person.objects.filter(pk__in=names, erased_at=None).values_list("pk", flat=True)
    held = registry.held("person", list(back))
    return sum(carry_out(person_id) for person_id in back if person_id not in held)


@transaction.atomic
def erase(person: Person, *, actor: Actor = SYSTEM) -> int:
    """Erase the name, address, secrets and sign-ins of a closed account; return 1, or 0 when it was done before."""
    outbox.serialise()
    email = Person.objects.filter(pk=person.pk, erased_at=None).values_list("email", flat=True).first()
    changed = Person.objects.filter(pk=person.pk, erased_at=None).update(
        email=f"{person.pk}@{ERASED_DOMAIN}",
        name="",
        password=make_password(None),
        is_active=False,
        last_login=None,
        sessions_from=clock.now(),
        erased_at=clock.now(),
    )
    if not changed:
        return 0
    EmailAddress.objects.filter(user=person).delete()
    Authenticator.objects.filter(user=person).delete()
    AppPassword.objects.filter(membership__person=person).delete()
    DeviceLink.objects.filter(membership__person=person).delete()
    LoginFlow.objects.filter(membership__person=person).delete()
    RescueCode.objects.filter(person=person).delete()
    ActivationCode.objects.filter(person=person).delete()
    MembershipOffer.objects.filter(email=email or "-").delete()
    SignIn.objects.filter(person_id=person.pk).delete()
    asked = Approval.objects.filter(verb=VERB, subject_id=person.pk)
    named = AuditEntry.objects.filter(
        Q(object_id=person.pk) | Q(object_id__in=asked.values("pk")), personal__isnull=False
    )
    entries = sum(
        audit.erase_personal(actor=actor, entry_id=entry_id)
        for entry_id in named.values_list("id", flat=True)
    )
    entries += audit.erase_personal_of(actor=actor, verb=device_links.USED, actor_id=person.pk)
    audit.record(
        actor, "identity:person:erased", person.pk, collectivite_id=None, details={"audit_entries": entries}
    )
    outbox.publish("identity:person_erased", {"person_id": person.pk})
    return 1
