"""Read people and memberships on someone's behalf."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Count, Model, Q, QuerySet

from beffroi.core.communes import row_security
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Administrator, AppPassword, Membership, Person
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotFound, existing

NEW_APP_PASSWORD = timedelta(days=3)
MAX_NAME_CHARS = 200


def checked_address(email: str) -> str:
    """As it stands in an account. Errors: Invalid."""
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        raise Invalid("email") from None
    return address


def checked_name(name: str) -> str:
    """Of a person or a collectivité, as it stands in its row, and fits there. Errors: Invalid."""
    said = " ".join(name.split())
    if not said or len(said) > MAX_NAME_CHARS or not said.isprintable():
        raise Invalid("name")
    return said


def current_memberships(person_id: str) -> list[Membership]:
    """Oldest first, with their collectivité; also those of other collectivités than the session's."""
    with row_security.unlimited():
        return list(
            _current()
            .filter(person_id=person_id, person__is_active=True)
            .select_related("collectivite", "person")
        )


def belongs(person_id: str, collectivite_id: str) -> bool:
    """Whether a person is there now, in any role."""
    return any(one.collectivite_id == collectivite_id for one in current_memberships(person_id))


def who_left(membership_id: str) -> Membership | None:
    """The role that ended, where it was the person's last one there; None where they go on in another one."""
    ended = Membership.objects.get(pk=membership_id)
    return None if belongs(ended.person_id, ended.collectivite_id) else ended


def goes_on(ended: Membership) -> bool:
    """Whether the person was there beyond the end of this role, in another one that they had by then."""
    rows = Membership.objects.filter(
        person_id=ended.person_id, collectivite_id=ended.collectivite_id, since__lte=ended.until
    )
    return rows.filter(Q(until=None) | Q(until__gt=ended.until)).exists()


def left_at(person_id: str, collectivite_id: str, *, by: datetime) -> datetime | None:
    """When a person's last role there ended, at that moment or before; None where none did."""
    ended = Membership.objects.filter(
        person_id=person_id, collectivite_id=collectivite_id, until__lte=by
    ).order_by("-until")
    return ended.values_list("until", flat=True).first()


def collectivites_of(email: str) -> list[str]:
    """Whose member signs in with this address, for the sign-in door; empty where nobody does."""
    with row_security.unlimited():
        rows = _current().filter(person__email__iexact=email.strip()[:254], person__is_active=True)
        return list(rows.values_list("collectivite_id", flat=True))


def without_referent() -> set[str]:
    """Enrolled collectivités in which nobody is référent, for the Département."""
    led = _current().filter(role=Membership.Role.REFERENT, person__is_active=True).order_by()
    rows = Collectivite.objects.exclude(enrolled_at=None).exclude(kind=Collectivite.Kind.DEPARTEMENT)
    return set(rows.exclude(pk__in=led.values("collectivite_id")).values_list("id", flat=True))


def headcounts() -> dict[str, int]:
    """Collectivité -> how many people belong to it now, for the Département."""
    rows = _current().filter(person__is_active=True).order_by().values("collectivite_id")
    return dict(
        rows.annotate(persons=Count("person_id", distinct=True)).values_list("collectivite_id", "persons")
    )


def belonged(person_ids: Collection[str]) -> dict[str, list[tuple[str, datetime, datetime | None]]]:
    """Person -> (collectivité, since, until) of each membership that they have or had, for who names a collectivité
    and no person."""
    found: dict[str, list[tuple[str, datetime, datetime | None]]] = {}
    with row_security.unlimited():
        rows = Membership.objects.filter(person_id__in=list(person_ids))
        for one in rows:
            found.setdefault(one.person_id, []).append((one.collectivite_id, one.since, one.until))
    return found


def persons_in_role(collectivite_id: str, roles: Collection[str]) -> set[str]:
    """Identifiers of those who are there now in one of these roles, for who tells them something."""
    rows = _current().filter(collectivite_id=collectivite_id, role__in=roles, person__is_active=True)
    return set(rows.values_list("person_id", flat=True))


def visible_persons(actor: Actor) -> QuerySet[Person]:
    """All for the Département; for a person, those with a current membership in the same collectivité."""
    rows = Person.objects.order_by("name", "id")
    if actor.sees_all:
        return rows
    if actor.collectivite_id is None:
        return rows.none()
    return rows.filter(pk__in=_current().filter(collectivite_id=actor.collectivite_id).values("person_id"))


def access_person(actor: Actor, person_id: str) -> Person:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_persons(actor).filter(pk=person_id).first(), "person")


def memberships_in(actor: Actor, collectivite_id: str) -> list[Membership]:
    """Current memberships of one collectivité. Errors: NotFound if it is not the actor's to see."""
    actor.require_sees(collectivite_id)
    return list(_current().filter(collectivite_id=collectivite_id).select_related("person"))


def members(actor: Actor) -> QuerySet[Membership]:
    """Current memberships of every collectivité that the actor sees."""
    if actor.sees_all:
        return _current()
    return (
        _current().filter(collectivite_id=actor.collectivite_id)
        if actor.collectivite_id
        else _current().none()
    )


def all_memberships() -> list[Membership]:
    """Current ones of everybody, with their person, for projections."""
    return list(_current().select_related("person"))


def membership_of(actor: Actor) -> Membership:
    """The membership that a person's actor stands for. Errors: NotFound."""
    found = (
        _current()
        .filter(person_id=actor.id, collectivite_id=actor.collectivite_id or "", role=actor.role)
        .select_related("person", "collectivite")
        .first()
    )
    if actor.kind != "person" or found is None:
        raise NotFound("membership")
    return found


def app_passwords(actor: Actor) -> QuerySet[AppPassword]:
    """The actor's own, not revoked, newest first. Nobody sees another person's."""
    return _own_app_passwords(actor).filter(revoked_at=None)


def _own_app_passwords(actor: Actor) -> QuerySet[AppPassword]:
    return of_own_membership(actor, AppPassword.objects.order_by("-created_at"))


def of_own_membership[M: Model](actor: Actor, rows: QuerySet[M]) -> QuerySet[M]:
    """Of the membership that the actor carries; nobody sees another person's."""
    own = {"membership__person_id": actor.id, "membership__collectivite_id": actor.collectivite_id or ""}
    return rows.filter(**own) if actor.kind == "person" else rows.none()


def require_own(actor: Actor, membership: Membership) -> None:
    """Errors: NotFound, where it is not the one that the actor carries."""
    own = (membership.person_id, membership.collectivite_id)
    if actor.kind != "person" or (actor.id, actor.collectivite_id) != own:
        raise NotFound("membership")


def require_current(membership: Membership) -> None:
    """Errors: Conflict (it ended)."""
    if membership.until is not None and membership.until <= clock.now():
        raise Conflict("this membership has ended")


def new_app_passwords(actor: Actor) -> QuerySet[AppPassword]:
    """The actor's own of the last days: who took a session over, for a moment, makes one to stay."""
    return app_passwords(actor).filter(created_at__gte=clock.now() - NEW_APP_PASSWORD)


def app_passwords_of(actor: Actor, person_id: str, collectivite_id: str) -> QuerySet[AppPassword]:
    """Another person's, not revoked: for the Département, which may revoke them and never sees the secret."""
    rows = AppPassword.objects.filter(
        membership__person_id=person_id, membership__collectivite_id=collectivite_id, revoked_at=None
    )
    return actor.departement(rows)


def device_labels(actor: Actor, app_password_ids: Collection[str]) -> dict[str, str]:
    """What their persons call these devices, also revoked ones: all of the collectivité for its référent, else one's
    own."""
    rows = AppPassword.objects.filter(pk__in=app_password_ids)
    if not actor.sees_all:
        rows = rows.filter(membership__collectivite_id=actor.collectivite_id or "")
        if actor.role != "referent":
            rows = rows.filter(membership__person_id=actor.id)
    return dict(rows.values_list("id", "label"))


def access_app_password(actor: Actor, app_password_id: str) -> AppPassword:
    """Also one that is revoked: who does it twice is told that it is done. Errors: NotFound, for absent and forbidden
    alike."""
    return existing(_own_app_passwords(actor).filter(pk=app_password_id).first(), "app password")


def visible_names(actor: Actor, person_ids: Collection[str]) -> dict[str, str]:
    """Of those among them that the actor sees."""
    return dict(visible_persons(actor).filter(pk__in=person_ids).values_list("id", "name"))


def person_name(person_id: str) -> str:
    """For pages that already checked access; empty when the person is gone."""
    return Person.objects.filter(pk=person_id).values_list("name", flat=True).first() or ""


def person_names(person_ids: Collection[str]) -> dict[str, str]:
    """For pages that already checked access; who is gone is not in it."""
    return dict(Person.objects.filter(pk__in=list(person_ids)).values_list("id", "name"))


def administrators() -> list[Administrator]:
    """All, also closed ones, by their addresses; those whose name was erased have none."""
    return list(Administrator.objects.filter(erased_at=None).order_by("email"))


def administrator(administrator_id: str) -> Administrator:
    """Errors: NotFound."""
    return existing(
        Administrator.objects.filter(pk=administrator_id, is_active=True).first(), "administrator"
    )


def administrator_name(administrator_id: str) -> str:
    """For pages that already checked access; empty when they are gone."""
    return (
        Administrator.objects.filter(pk=administrator_id, is_active=True)
        .values_list("name", flat=True)
        .first()
        or ""
    )


def _current() -> QuerySet[Membership]:
    now = clock.now()
    return Membership.objects.filter(Q(until=None) | Q(until__gt=now), since__lte=now).order_by("since", "id")
