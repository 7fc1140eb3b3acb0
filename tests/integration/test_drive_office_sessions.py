"""A token of the editor lives no longer than the session that asked for it, and than the right: each way to end."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.core.planes.db import connect
from beffroi.drive.office import tokens
from beffroi.drive.office.members import Members
from beffroi.drive.office.tokens import Holder
from beffroi.lib import clock
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, drive
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_office_pages import office, with_editor

__all__ = ["drive", "no_door", "office", "with_editor"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def held(committed: str, drive: Drive, beaune: Commune, with_editor: None) -> tuple[Client, Holder]:
    """An agent's browser, and the token that its editor's page was given."""
    client = portal_client(beaune.agent_membership)
    return client, opened(client, drive)


@pytest.fixture
def members(committed: str) -> Members:
    return Members(lambda: connect(committed))


def opened(client: Client, drive: Drive) -> Holder:
    node = drive.file("Bail.docx", drive.common)
    page = client.get(f"/coffre/{node.id}/editer/").content.decode()
    token = re.findall(r'name="access_token" value="([^"]+)"', page)[0]
    key = settings.BEFFROI.secret("drive-grant.key")
    return tokens.holder(key, tokens.read(key, token, tokens.File(drive.collectivite_id, node.id)))


def test_it_is_who_asked_for_it_and_nobody_else(
    held: tuple[Client, Holder], members: Members, beaune: Commune, nuits: Commune
) -> None:
    one, (_, holder) = beaune.agent_membership, held
    found = members(holder)
    assert found is not None and (found.membership_id, found.display_name) == (one.id, one.person.name)
    for other in (
        holder._replace(collectivite_id=nuits.id),
        holder._replace(role="referent"),
        holder._replace(person_id=beaune.colleague.id),
        holder._replace(session=holder.session._replace(key="another")),
        holder._replace(session=holder.session._replace(key="")),
    ):
        assert members(other) is None


def _signs_out(client: Client, one: Membership) -> None:
    assert client.post("/deconnexion/").status_code == 302


def _leaves(client: Client, one: Membership) -> None:
    actions.end_access(actor=Actor.system("tests"), membership=one)


def _has_another_role(client: Client, one: Membership) -> None:
    Membership.objects.filter(pk=one.pk).update(role="elu")


def _is_sanctioned(client: Client, one: Membership) -> None:
    """As when a mailbox was taken over, or a sign-in came from an attacker's address."""
    actions.end_sessions(actor=Actor.system("tests"), person=one.person)


def _is_closed(client: Client, one: Membership) -> None:
    Person.objects.filter(pk=one.person_id).update(is_active=False)


def _has_another_password(client: Client, one: Membership) -> None:
    person = Person.objects.get(pk=one.person_id)
    person.set_password("une autre phrase de passe 2027")
    person.save(update_fields=["password"])


def _comes_to_its_term(client: Client, one: Membership) -> None:
    Session.objects.update(expire_date=clock.now() - timedelta(seconds=1))


@pytest.mark.parametrize(
    "ends",
    [
        _signs_out,
        _leaves,
        _has_another_role,
        _is_sanctioned,
        _is_closed,
        _has_another_password,
        _comes_to_its_term,
    ],
)
def test_it_ends_when(
    ends: Callable[[Client, Membership], None],
    held: tuple[Client, Holder],
    members: Members,
    drive: Drive,
    beaune: Commune,
) -> None:
    client, holder = held
    colleague = opened(portal_client(beaune.colleague_membership), drive)
    assert members(holder) is not None
    ends(client, beaune.agent_membership)
    assert members(holder) is None
    if ends is not _comes_to_its_term:
        assert members(colleague) is not None


def test_it_ends_when_the_person_turns_to_another_commune(
    held: tuple[Client, Holder], members: Members, beaune: Commune, nuits: Commune
) -> None:
    client, holder = held
    other = actions.add_membership(
        actor=Actor.system("tests"),
        person=beaune.agent_membership.person,
        collectivite=nuits.collectivite,
        role="agent",
    )
    assert client.post("/collectivites/", {"membership_id": other.id}).status_code == 302
    assert members(holder) is None


def test_who_signs_in_again_after_a_sanction_has_the_editor_again(
    held: tuple[Client, Holder], members: Members, drive: Drive, beaune: Commune
) -> None:
    """Also where the clock was set back since, or both come within a second: none is asked which was first."""
    _, before = held
    Person.objects.filter(pk=before.person_id).update(sessions_from=clock.now() + timedelta(minutes=5))
    assert members(before) is None
    assert members(opened(portal_client(beaune.agent_membership), drive)) is not None
