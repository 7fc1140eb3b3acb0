"""What the portal and the console give a browser to listen with lives as long as its session, as stream sees it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator, renew_administrator
from beffroi.core.identity.models import Person
from beffroi.core.planes.db import connect
from beffroi.core.planes.tokens import read_grant
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.portal.pages import LIVE_COOKIE, LIVE_PATH
from beffroi.stream import standing
from django.test import Client

from tests.conftest import PASSWORD, Commune
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
Stands = Callable[[standing.Watcher], bool]


@pytest.fixture
def stands(committed: str) -> Stands:
    return lambda one: bool(standing.standing(connect(committed), [one]))


def given(client: Client, config: Config) -> standing.Watcher:
    key = config.secret("live.key")
    grant = read_grant(key, client.get("/direct/").cookies[LIVE_COOKIE].value, path=LIVE_PATH)
    return standing.watcher(key, grant)


def test_a_persons_stands_until_they_sign_out(stands: Stands, beaune: Commune, config: Config) -> None:
    client = portal_client(beaune.agent_membership)
    one = given(client, config)
    assert stands(one)
    left = client.post("/deconnexion/")
    assert left.cookies[LIVE_COOKIE]["max-age"] == 0
    assert not stands(one)


def test_once_all_sessions_are_ended_only_a_new_one_stands(
    stands: Stands, beaune: Commune, config: Config
) -> None:
    """Also where the clock was set back since."""
    one = given(portal_client(beaune.agent_membership), config)
    actions.end_sessions(actor=Actor.system("tests"), person=beaune.agent_membership.person)
    assert not stands(one)
    Person.objects.filter(pk=beaune.agent.id).update(sessions_from=clock.now() + timedelta(minutes=5))
    beaune.agent_membership.person.refresh_from_db()
    assert stands(given(portal_client(beaune.agent_membership), config))


def test_another_commune_is_another_session(
    stands: Stands, beaune: Commune, nuits: Commune, config: Config
) -> None:
    other = actions.add_membership(
        actor=Actor.system("tests"),
        person=beaune.agent_membership.person,
        collectivite=nuits.collectivite,
        role="agent",
    )
    client = portal_client(beaune.agent_membership)
    one = given(client, config)
    assert client.post("/collectivites/", {"membership_id": other.id}).status_code == 302
    assert not stands(one)
    now = given(client, config)
    assert (stands(now), now.collectivite_id) == (True, nuits.id)


def test_an_administrators_stands_until_they_sign_out_or_are_renewed(
    stands: Stands, new_administrator: NewAdministrator, administrator: Actor, config: Config
) -> None:
    with on_listener("console"):
        client = console_client(new_administrator.record.id)
        one, other = given(client, config), given(console_client(new_administrator.record.id), config)
        assert stands(one) and stands(other)
        assert client.post("/deconnexion/").cookies[LIVE_COOKIE]["max-age"] == 0
        assert not stands(one) and stands(other)
    renew_administrator(actor=administrator, administrator=new_administrator.record, password=PASSWORD)
    assert not stands(other)


def test_thousands_are_asked_of_at_once(
    stands: Stands, beaune: Commune, config: Config, committed: str
) -> None:
    one = given(portal_client(beaune.agent_membership), config)
    many = [one._replace(session=one.session._replace(key=f"k{n}")) for n in range(1200)]
    assert standing.standing(connect(committed), [*many, one]) == {one}
    assert standing.standing(connect(committed), []) == set()
