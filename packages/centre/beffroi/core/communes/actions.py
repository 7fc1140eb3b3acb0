"""Enrol collectivités and their domains. One transaction each: change, audit entry, event."""

from __future__ import annotations

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise
from django.db import IntegrityError, transaction

from beffroi.core.audit import actions as audit
from beffroi.core.communes import queries, register
from beffroi.core.communes.models import Collectivite, CollectiviteCode, Domain
from beffroi.core.events import outbox
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.codes import is_insee, is_siren
from beffroi.lib.errors import Conflict, Invalid, NotFound


class NameInvalid(Invalid):
    """A collectivité's name has 1 to 200 printable characters."""

    code = "communes.name"


class InseeInvalid(Invalid):
    """The INSEE code of a commune has five signs."""

    code = "communes.insee"


class SirenInvalid(Invalid):
    """A SIREN has nine digits, the last of which checks the others."""

    code = "communes.siren"


class CollectiviteLeft(Conflict):
    """This collectivité has left; take its departure back first."""

    code = "communes.left"


class CodeInUse(Conflict):
    """This INSEE or SIREN code belongs to an enrolled collectivité."""

    code = "communes.code_in_use"


@transaction.atomic
def create_collectivite(
    *, actor: Actor, kind: str, name: str, insee: str = "", siren: str = ""
) -> Collectivite:
    """Enrol a collectivité from today. Errors: NotAllowed, Invalid, Conflict (a code is in use)."""
    actor.require_departement("enrol collectivités")
    if kind not in Collectivite.Kind.values:
        raise Invalid("kind")
    now = clock.now()
    collectivite = Collectivite.objects.create(kind=kind, name=name.strip(), enrolled_at=now)
    codes = ((CollectiviteCode.Scheme.INSEE, insee), (CollectiviteCode.Scheme.SIREN, siren))
    for scheme, value in codes:
        if value:
            _add_code(collectivite, scheme, value)
    details = {"kind": kind, "insee": insee, "siren": siren}
    audit.record_of(actor, "communes:collectivite:enrolled", collectivite, details)
    told = {"collectivite_id": collectivite.id, "kind": kind}
    outbox.publish("communes:collectivite_enrolled", told, collectivite_id=collectivite.id)
    return collectivite


def enrol_commune(*, actor: Actor, insee: str) -> Collectivite:
    """Enrol a commune of the national register by its INSEE code. Errors: NotFound, NotAllowed, Conflict."""
    commune = register.find(insee)
    if commune is None:
        raise NotFound("commune")
    return create_collectivite(
        actor=actor,
        kind=Collectivite.Kind.COMMUNE,
        name=commune.name,
        insee=commune.insee,
        siren=commune.siren,
    )


@transaction.atomic
def add_domain(*, actor: Actor, collectivite: Collectivite, name: str) -> Domain:
    """Bind a domain name to a collectivité; from then on it is protected. Errors: NotAllowed, Invalid, Conflict."""
    actor.require_departement("enrol collectivités")
    try:
        canonical = normalise(Kind.DOMAIN, name).value
    except IndicatorInvalid:
        raise Invalid("domain name") from None
    if queries.has_left(collectivite.id):
        raise CollectiviteLeft
    try:
        with transaction.atomic():
            domain = Domain.objects.create(name=canonical, collectivite=collectivite)
    except IntegrityError:
        raise Conflict("this domain is bound already") from None
    audit.record_of(actor, "communes:domain:added", domain, {"name": canonical})
    told = {"domain_id": domain.id, "name": canonical}
    outbox.publish("communes:domain_added", told, collectivite_id=collectivite.id)
    return domain


@transaction.atomic
def pass_domain(*, actor: Actor, domain: Domain, to: Collectivite) -> None:
    """Bind a domain of a collectivité that left to the one that continues it, or back: in the logs of both.

    Errors: NotAllowed, Conflict (neither of them has left: mailboxes of one would stand below another's domain).
    """
    actor.require_departement("enrol collectivités")
    former = domain.collectivite_id
    if former == to.id or not any(queries.has_left(one) for one in (former, to.id)):
        raise Conflict("this domain stays where it is")
    Domain.objects.filter(pk=domain.pk).update(collectivite=to)
    for owner in (former, to.id):
        audit.record(
            actor,
            "communes:domain:passed",
            domain.id,
            collectivite_id=owner,
            details={"name": domain.name, "former": former, "to": to.id},
        )
    outbox.publish(
        queries.DOMAIN_PASSED, {"domain_id": domain.id, "name": domain.name}, collectivite_id=to.id
    )


@transaction.atomic
def rename(*, actor: Actor, collectivite: Collectivite, name: str, insee: str = "", siren: str = "") -> bool:
    """What it is called and coded from today, as after communes merged; a former code stays on record with its end.
    Everything else stays. Return False where nothing differs.

    Errors: NotAllowed, NameInvalid, InseeInvalid, SirenInvalid, CollectiviteLeft, CodeInUse.
    """
    actor.require_departement("enrol collectivités")
    insee, siren = insee.strip().upper(), "".join(siren.split())
    codes = {CollectiviteCode.Scheme.INSEE: insee, CollectiviteCode.Scheme.SIREN: siren}
    try:
        name = identity.checked_name(name)
    except Invalid:
        raise NameInvalid from None
    if insee and not is_insee(insee):
        raise InseeInvalid
    if siren and not is_siren(siren):
        raise SirenInvalid
    outbox.serialise()
    if queries.has_left(collectivite.id):
        raise CollectiviteLeft
    before = {scheme: queries.current_code(collectivite.id, scheme) for scheme in codes}
    former = Collectivite.objects.values_list("name", flat=True).get(pk=collectivite.id)
    if (former, before) == (name, codes):
        return False
    Collectivite.objects.filter(pk=collectivite.id).update(name=name)
    for scheme, value in codes.items():
        if value != before[scheme]:
            _end_code(collectivite, scheme)
            if value:
                # Who left holds no code back from the one that continues it.
                of_who_left = CollectiviteCode.objects.filter(
                    scheme=scheme, value=value, until=None, collectivite__left_at__isnull=False
                )
                of_who_left.update(until=clock.now().date())
                _add_code(collectivite, scheme, value)
    details = {
        "name": name,
        "former": former,
        **{scheme.value: value for scheme, value in codes.items()},
        **{f"former_{scheme.value}": value for scheme, value in before.items()},
    }
    audit.record_of(actor, queries.RENAMED, collectivite, details)
    told = {"collectivite_id": collectivite.id}
    outbox.publish("communes:collectivite_renamed", told, collectivite_id=collectivite.id)
    return True


def _end_code(collectivite: Collectivite, scheme: str) -> None:
    current = CollectiviteCode.objects.filter(collectivite=collectivite, scheme=scheme, until=None)
    current.update(until=clock.now().date())


def _add_code(collectivite: Collectivite, scheme: str, value: str) -> None:
    try:
        with transaction.atomic():
            CollectiviteCode.objects.create(
                collectivite=collectivite, scheme=scheme, value=value, since=clock.now().date()
            )
    except IntegrityError:
        raise CodeInUse from None
