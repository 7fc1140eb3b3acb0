"""People, memberships, app passwords: who may, who may not, and what everybody else hears of it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity import actions, administrators, queries
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound

pytestmark = pytest.mark.usefixtures("database")


def told(kind: str) -> list[dict[str, Any]]:
    return [json.loads(row.payload) for row in OutboxEvent.objects.filter(kind=kind).order_by("id")]


def test_referent_creates_an_account_in_the_own_commune_only(beaune: Any, nuits: Any) -> None:
    person = actions.create_person(actor=beaune.referent, email=" Lea@Beaune.TEST ", name="Léa")
    assert person.email == "lea@beaune.test"
    assert not person.has_usable_password()
    added = actions.add_membership(
        actor=beaune.referent, person=person, collectivite=beaune.collectivite, role="agent"
    )
    assert added.collectivite_id == beaune.id
    with pytest.raises(NotFound):
        actions.add_membership(
            actor=beaune.referent, person=person, collectivite=nuits.collectivite, role="agent"
        )


def test_agent_creates_no_account(beaune: Any, system: Actor) -> None:
    with pytest.raises(NotAllowed):
        actions.create_person(actor=beaune.agent, email="x@beaune.test", name="X")
    person = actions.create_person(actor=system, email="x@beaune.test", name="X")
    with pytest.raises(NotAllowed):
        actions.add_membership(
            actor=beaune.agent, person=person, collectivite=beaune.collectivite, role="agent"
        )


def test_same_address_or_role_twice_is_a_conflict(beaune: Any, system: Actor) -> None:
    with pytest.raises(Conflict):
        actions.create_person(actor=system, email="AGENT@beaune.test", name="X")
    with pytest.raises(Conflict):
        actions.add_membership(
            actor=system,
            person=beaune.agent_membership.person,
            collectivite=beaune.collectivite,
            role="agent",
        )
    with pytest.raises(Invalid):
        actions.create_person(actor=system, email="no address", name="X")
    with pytest.raises(Invalid):
        actions.add_membership(
            actor=system, person=beaune.agent_membership.person, collectivite=beaune.collectivite, role="roi"
        )


def test_names_and_addresses_of_people_stay_out_of_the_audit_chain(beaune: Any) -> None:
    for entry in AuditEntry.objects.all():
        text = " ".join((entry.actor_id, entry.object_id, entry.details))
        assert "agent@beaune.test" not in text
    entry = AuditEntry.objects.get(object_id=beaune.agent.id, verb="identity:person:created")
    assert "agent@beaune.test" in entry.personal.content


def test_person_holds_several_memberships_and_each_actor_carries_one(
    beaune: Any, nuits: Any, system: Actor
) -> None:
    person = beaune.agent_membership.person
    actions.add_membership(actor=system, person=person, collectivite=nuits.collectivite, role="elu")
    assert [one.collectivite_id for one in queries.current_memberships(person.id)] == [beaune.id, nuits.id]
    assert queries.membership_of(beaune.agent).collectivite_id == beaune.id


@pytest.mark.parametrize("protocol_set", ["imap", "smtp", "dav", "imap,smtp"])
def test_app_password_is_shown_once_and_only_its_hash_is_told(beaune: Any, protocol_set: str) -> None:
    issued = actions.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set=protocol_set, label="Téléphone"
    )
    assert re.fullmatch(r"([a-hjkmnp-z2-9]{4}-){6}[a-hjkmnp-z2-9]{4}", issued.secret)
    digest = hashlib.sha256(issued.secret.encode()).hexdigest()
    assert issued.record.sha256 == digest
    (event,) = told("identity:app_password_issued")
    assert event == {
        "app_password_id": issued.record.id,
        "membership_id": beaune.agent_membership.id,
        "person_id": beaune.agent.id,
        "protocols": protocol_set.split(","),
        "sha256": digest,
    }
    stored = [row.payload for row in OutboxEvent.objects.all()] + [
        row.details for row in AuditEntry.objects.all()
    ]
    assert not any(issued.secret in text for text in stored)


def test_app_password_is_issued_to_its_own_person_only(beaune: Any, nuits: Any, administrator: Actor) -> None:
    for actor in (beaune.colleague, beaune.referent, nuits.agent, administrator):
        with pytest.raises(NotFound):
            actions.issue_app_password(actor=actor, membership=beaune.agent_membership, protocol_set="imap")
    with pytest.raises(Invalid):
        actions.issue_app_password(actor=beaune.agent, membership=beaune.agent_membership, protocol_set="ftp")


def test_app_password_is_revoked_by_its_person_or_by_who_manages_accounts(
    beaune: Any, nuits: Any, administrator: Actor
) -> None:
    def issue() -> Any:
        return actions.issue_app_password(
            actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap"
        ).record

    record = issue()
    with pytest.raises(NotFound):
        actions.revoke_app_password(actor=nuits.referent, app_password=record)
    with pytest.raises(NotAllowed):
        actions.revoke_app_password(actor=beaune.colleague, app_password=record)
    for actor, one in ((beaune.agent, record), (beaune.referent, issue()), (administrator, issue())):
        assert actions.revoke_app_password(actor=actor, app_password=one)
        assert not actions.revoke_app_password(actor=actor, app_password=one)
    assert len(told("identity:app_password_revoked")) == 3
    assert not queries.app_passwords(beaune.agent).exists()


def test_app_password_of_another_does_not_exist(beaune: Any, nuits: Any, administrator: Actor) -> None:
    record = actions.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap"
    ).record
    assert queries.access_app_password(beaune.agent, record.id) == record
    for actor in (beaune.colleague, beaune.referent, nuits.agent, administrator):
        with pytest.raises(NotFound) as refusal:
            queries.access_app_password(actor, record.id)
        assert str(refusal.value) == "There is no such app password, or it is not yours."


def test_end_of_access_revokes_what_the_membership_opened_and_nothing_else(
    beaune: Any, nuits: Any, system: Actor
) -> None:
    person = beaune.agent_membership.person
    second = actions.add_membership(
        actor=system, person=person, collectivite=nuits.collectivite, role="agent"
    )
    in_nuits = Actor("person", person.id, nuits.id, "agent")
    first_password = actions.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap"
    ).record
    other_password = actions.issue_app_password(actor=in_nuits, membership=second, protocol_set="imap").record

    assert actions.end_access(actor=beaune.referent, membership=beaune.agent_membership)
    assert not actions.end_access(actor=beaune.referent, membership=beaune.agent_membership)
    assert [event["app_password_id"] for event in told("identity:app_password_revoked")] == [
        first_password.id
    ]
    other_password.refresh_from_db()
    assert other_password.revoked_at is None
    with pytest.raises(NotFound):
        queries.membership_of(beaune.agent)
    with pytest.raises(Conflict):
        actions.issue_app_password(
            actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap"
        )
    assert Person.objects.get(pk=person.id).is_active

    actions.end_access(actor=system, membership=second)
    assert not Person.objects.get(pk=person.id).is_active
    assert not queries.current_memberships(person.id)


def test_only_those_who_manage_the_commune_end_an_access(beaune: Any, nuits: Any) -> None:
    with pytest.raises(NotFound):
        actions.end_access(actor=nuits.referent, membership=beaune.agent_membership)
    with pytest.raises(NotAllowed):
        actions.end_access(actor=beaune.colleague, membership=beaune.agent_membership)
    assert Membership.objects.get(pk=beaune.agent_membership.pk).until is None


def test_people_of_another_commune_do_not_exist(beaune: Any, nuits: Any, administrator: Actor) -> None:
    assert queries.access_person(beaune.colleague, beaune.agent.id).id == beaune.agent.id
    assert queries.access_person(administrator, beaune.agent.id).id == beaune.agent.id
    assert {person.id for person in queries.visible_persons(nuits.agent)} == {
        nuits.agent.id,
        nuits.colleague.id,
        nuits.referent.id,
    }
    for wanted in (beaune.agent.id, "per_absent"):
        with pytest.raises(NotFound):
            queries.access_person(nuits.referent, wanted)
    with pytest.raises(NotFound):
        queries.memberships_in(nuits.referent, beaune.id)


def test_what_is_the_departements_or_a_referents_to_see(
    beaune: Any, nuits: Any, administrator: Actor
) -> None:
    rows = Membership.objects.order_by("id")
    everything = set(rows)
    own = set(rows.filter(collectivite_id=beaune.id))
    assert own < everything
    for all_ in (administrator, Actor.system("test")):
        assert set(all_.departement(rows)) == set(all_.led(rows)) == everything
    assert set(beaune.referent.led(rows)) == own
    for one in (
        beaune.agent,
        Actor("person", beaune.referent.id, None, "referent"),
        Actor("box", "box_1", beaune.id),
    ):
        assert set(one.led(rows)) == set(one.departement(rows)) == set()
    assert set(beaune.referent.departement(rows)) == set()


def test_membership_that_begins_later_opens_nothing_yet(beaune: Any) -> None:
    Membership.objects.filter(pk=beaune.agent_membership.pk).update(since=clock.now().replace(year=2099))
    assert queries.current_memberships(beaune.agent.id) == []


@pytest.mark.parametrize("name", ["", " \t", "a" * 201, "a\u202eb", "a\x00b", "a\nb\u200b"])
def test_a_name_that_no_account_can_have_is_refused(system: Actor, name: str) -> None:
    with pytest.raises(Invalid):
        actions.create_person(actor=system, email="a@beaune.test", name=name)
    with pytest.raises(Invalid):
        administrators.create_administrator(actor=system, email="a@cotedor.test", name=name, password="x")
