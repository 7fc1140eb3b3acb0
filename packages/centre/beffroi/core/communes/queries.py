"""Read collectivités and domains on someone's behalf."""

from __future__ import annotations

import json
from datetime import datetime

from django.db.models import Q, QuerySet

from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite, CollectiviteCode, Domain
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import existing

LEFT, BACK = "communes:collectivite_left", "communes:collectivite_back"
"""Events: a collectivité left, and its departure was taken back."""
RENAMED = "communes:collectivite:renamed"
DOMAIN_PASSED = "communes:domain_passed"
"""Event: a domain is another collectivité's from now on."""


def visible_collectivites(actor: Actor) -> QuerySet[Collectivite]:
    """All for the Département, else the actor's own; by name."""
    rows = Collectivite.objects.order_by("name", "id")
    return rows if actor.sees_all else rows.filter(pk=actor.collectivite_id or "")


def visible_names(actor: Actor) -> dict[str, str]:
    """Of those that are visible, by identifier; in the order of the names."""
    return dict(visible_collectivites(actor).values_list("id", "name"))


def with_town_hall(actor: Actor) -> QuerySet[Collectivite]:
    """Those enrolled where a boîtier may stand: every one but the Département."""
    enrolled = visible_collectivites(actor).exclude(enrolled_at=None)
    return enrolled.exclude(kind=Collectivite.Kind.DEPARTEMENT)


def neighbours(actor: Actor) -> QuerySet[Collectivite]:
    """The other enrolled ones of the département, by name, the Département left out: names are no secret."""
    rows = Collectivite.objects.exclude(enrolled_at=None).exclude(kind=Collectivite.Kind.DEPARTEMENT)
    return rows.exclude(pk=actor.collectivite_id or "").order_by("name", "id")


def access_collectivite(actor: Actor, collectivite_id: str) -> Collectivite:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_collectivites(actor).filter(pk=collectivite_id).first(), "collectivité")


def named(actor: Actor, text: str) -> list[Collectivite]:
    """Those that ``text`` may mean: the identifier, the INSEE code of today, or the name without regard to case."""
    coded = CollectiviteCode.objects.filter(scheme="insee", value=text, until=None).values("collectivite_id")
    wanted = Q(pk=text) | Q(pk__in=coded) | Q(name__iexact=text)
    return list(visible_collectivites(actor).filter(wanted))


def current_domains() -> QuerySet[Domain]:
    """Those of collectivités that did not leave: mail for the others is not ours to take."""
    return Domain.objects.filter(collectivite__left_at=None)


def left_domain_names() -> list[str]:
    return list(Domain.objects.exclude(collectivite__left_at=None).values_list("name", flat=True))


def visible_domains(actor: Actor) -> QuerySet[Domain]:
    return actor.visible(current_domains().order_by("name"))


def access_domain(actor: Actor, domain_id: str) -> Domain:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_domains(actor).filter(pk=domain_id).first(), "domain")


def collectivite_of_domain(name: str) -> str | None:
    """For engines and rules: which collectivité owns this exact domain name."""
    return current_domains().filter(name=name).values_list("collectivite_id", flat=True).first()


def has_left(collectivite_id: str) -> bool:
    return Collectivite.objects.filter(pk=collectivite_id).exclude(left_at=None).exists()


def current_code(collectivite_id: str, scheme: str) -> str:
    """The INSEE or SIREN code of today; empty if there is none."""
    rows = CollectiviteCode.objects.filter(collectivite_id=collectivite_id, scheme=scheme, until=None)
    return rows.values_list("value", flat=True).first() or ""


def called_then(collectivite: Collectivite, at: datetime) -> dict[str, str]:
    """``name``, ``siren``, ``insee`` at a moment that is over, for what proves it, as long as the audit log knows."""
    later = (
        AuditEntry.objects.filter(verb=RENAMED, object_id=collectivite.id, at__gt=at).order_by("id").first()
    )
    if later is None:
        return called_now(collectivite)
    told = json.loads(later.details)
    return {"name": told["former"], "siren": told["former_siren"], "insee": told["former_insee"]}


def called_now(collectivite: Collectivite) -> dict[str, str]:
    """The same of today."""
    codes = {one: current_code(collectivite.id, one) for one in ("siren", "insee")}
    return {"name": collectivite.name, **codes}


def current_codes(scheme: str) -> dict[str, str]:
    """The codes of today of all collectivités that have one."""
    rows = CollectiviteCode.objects.filter(scheme=scheme, until=None)
    return dict(rows.values_list("collectivite_id", "value"))


def names() -> dict[str, str]:
    """Of all collectivités, by their identifiers."""
    return dict(Collectivite.objects.values_list("id", "name"))


def domain_names() -> list[str]:
    return list(current_domains().values_list("name", flat=True))


def insee_codes() -> dict[str, str]:
    """The INSEE code of today of every collectivité that has one, by its id."""
    rows = CollectiviteCode.objects.filter(scheme="insee", until=None)
    return dict(rows.values_list("collectivite_id", "value"))
