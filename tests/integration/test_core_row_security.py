"""The second wall on PostgreSQL: a query without a filter finds nothing of another commune. Not collected on SQLite."""

from __future__ import annotations

import pytest
from beffroi.boxes.models import Box
from beffroi.core.communes import row_security
from beffroi.core.identity import actions as identity
from beffroi.core.identity import offers, queries
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.lib import clock
from beffroi.mail.aliases.models import Alias, AliasTarget, CatchAll
from beffroi.mail.models import Mailbox
from django.db import DatabaseError, connection, transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from tests.conftest import Commune
from tests.fixtures_portal import no_door, own_mailbox, portal_client

__all__ = ["no_door"]
OWNED = [Mailbox, Membership, Box, Alias, AliasTarget, CatchAll]


@pytest.fixture
def filled(beaune: Commune, nuits: Commune) -> None:
    for number, commune in enumerate((beaune, nuits)):
        box = own_mailbox(commune)
        alias = Alias.objects.create(collectivite_id=commune.id, address=f"elus@{commune.domain}")
        AliasTarget.objects.create(alias_id=alias.id, collectivite_id=commune.id, mailbox_id=box.id)
        CatchAll.objects.create(
            collectivite_id=commune.id,
            domain=commune.domain,
            mailbox_id=box.id,
            by="x",
            expires_at=clock.now(),
        )
        Box.objects.create(
            collectivite_id=commune.id,
            serial=f"B{number}",
            public_key=f"k{number}",
            fingerprint="f",
            state="active",
        )


def owners(model: type[Model]) -> set[str]:
    return set(model._default_manager.values_list("collectivite_id", flat=True))


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("model", OWNED)
def test_a_query_without_a_filter_finds_nothing_of_another_commune(
    beaune: Commune, nuits: Commune, model: type[Model]
) -> None:
    assert owners(model) == {beaune.id, nuits.id}
    with row_security.limited_to(beaune.id):
        assert owners(model) == {beaune.id}
        with row_security.unlimited():
            assert owners(model) == {beaune.id, nuits.id}
        assert owners(model) == {beaune.id}
    assert owners(model) == {beaune.id, nuits.id}


@pytest.mark.usefixtures("filled")
def test_nothing_of_another_commune_is_changed_removed_or_written(beaune: Commune, nuits: Commune) -> None:
    with row_security.limited_to(beaune.id):
        assert Mailbox.objects.filter(collectivite_id=nuits.id).update(crypt_key="stolen") == 0
        assert Mailbox.objects.filter(collectivite_id=nuits.id).delete()[0] == 0
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            Mailbox.objects.create(collectivite_id=nuits.id, address="x@nuits.test", crypt_key="-")
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            Mailbox.objects.filter(collectivite_id=beaune.id).update(collectivite_id=nuits.id)
    assert Mailbox.objects.get(collectivite_id=nuits.id).crypt_key == "-"


@pytest.mark.usefixtures("filled")
def test_a_view_that_forgets_its_filter_shows_only_the_commune_of_the_session(
    beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beffroi.portal import about

    def careless(request: HttpRequest, *_: object) -> HttpResponse:
        return HttpResponse(" ".join(Mailbox.objects.values_list("address", flat=True)))

    monkeypatch.setattr(about, "page", careless)
    for commune in (beaune, nuits):
        told = portal_client(commune.agent_membership).get("/accessibilite/").content.decode()
        assert told == f"agent@{commune.domain}"
    assert owners(Mailbox) == {beaune.id, nuits.id}


def test_a_person_of_two_communes_still_sees_both_memberships(
    beaune: Commune, nuits: Commune, system: Actor
) -> None:
    person = beaune.agent_membership.person
    identity.add_membership(actor=system, person=person, collectivite=nuits.collectivite, role="agent")
    with row_security.limited_to(beaune.id):
        assert {m.collectivite_id for m in queries.current_memberships(person.id)} == {beaune.id, nuits.id}


def test_who_works_elsewhere_joins_and_leaves_and_keeps_the_account(beaune: Commune, nuits: Commune) -> None:
    person = nuits.agent_membership.person
    with row_security.limited_to(beaune.id):
        offer = offers.make(
            actor=beaune.referent, collectivite=beaune.collectivite, email=person.email, role="elu"
        )
    with row_security.limited_to(nuits.id):
        assert [one.offer.pk for one in offers.asked(nuits.agent)] == [offer.pk]
        offers.answer(actor=nuits.agent, offer_id=offer.pk, accept=True)
    with row_security.limited_to(beaune.id):
        joined = Membership.objects.get(person=person)
        assert identity.end_access(actor=beaune.referent, membership=joined)
    person.refresh_from_db()
    assert person.is_active, "the other commune's membership keeps it open"


def test_every_table_with_an_owner_has_the_wall(database: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity FROM pg_class c JOIN pg_attribute a"
            " ON a.attrelid = c.oid AND a.attname = 'collectivite_id'"
            " WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace"
        )
        walls = dict(cursor.fetchall())
    assert len(walls) > 12
    assert {table for table, stands in walls.items() if not stands} == set(row_security.PUBLIC_TABLES)


@pytest.mark.usefixtures("filled")
def test_a_connection_that_is_opened_anew_keeps_the_limit(committed: str, beaune: Commune) -> None:
    with row_security.limited_to(beaune.id):
        connection.close()
        assert owners(Mailbox) == {beaune.id}
    connection.close()
    assert len(owners(Mailbox)) == 2
