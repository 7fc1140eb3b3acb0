"""Recovery codes and the référent's rescue code: each opens once, after the password, and is seen by its person."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity import rescue
from beffroi.core.identity.models import RescueCode
from beffroi.lib import clock
from beffroi.lib.errors import NotAllowed, NotFound
from django.core.cache import cache
from django.test import Client

from tests.conftest import PASSWORD, Commune, with_totp
from tests.fixtures_portal import confirmed, no_door, portal, portal_client
from tests.markup import flat

__all__ = ["no_door", "portal"]
pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def locked(beaune: Commune) -> Commune:
    """The agent has a second factor."""
    with_totp(beaune.agent_membership.person)
    return beaune


def enter(code: str, who: str = "agent", password: str = PASSWORD, address: str = "192.0.2.7") -> Client:
    client = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": address})
    client.post("/connexion/", {"login": f"{who}@beaune.test", "password": password})
    client.post("/connexion/code/", {"code": code})
    return client


def inside(client: Client) -> bool:
    return "_auth_user_id" in client.session


def codes(client: Client) -> list[str]:
    page = client.get("/acces/codes/").content.decode()
    return [one.replace(" ", "") for one in re.findall(r"</span>([0-9 ]{9})</li>", page)]


def test_a_recovery_code_opens_once_and_replaced_ones_die(locked: Commune) -> None:
    RecoveryCodes.activate(locked.agent_membership.person)
    client = confirmed(locked.agent_membership)
    first = codes(client)
    assert len(first) == 10
    assert inside(enter(first[0])) and not inside(enter(first[0]))
    assert codes(client) == first[1:]
    client.post("/acces/codes/nouveaux/")
    second = codes(client)
    assert len(second) == 10 and not set(first) & set(second)
    cache.clear()
    assert not inside(enter(first[1])) and inside(enter(second[1]))


def test_recovery_codes_are_printed_with_whose_they_are(locked: Commune) -> None:
    RecoveryCodes.activate(locked.agent_membership.person)
    answer = confirmed(locked.agent_membership).get("/acces/codes/")
    page = answer.content.decode()
    for said in (locked.collectivite.name, locked.agent_membership.person.name, "sous clé", "data-print"):
        assert said in page
    assert answer["Cache-Control"].startswith("no-store, private")
    assert portal_client(locked.agent_membership).get("/acces/codes/").status_code == 302, "a step-up first"


def test_the_secret_of_a_second_factor_stays_in_no_browser(beaune: Commune) -> None:
    client = confirmed(beaune.agent_membership)
    for path in (
        "/acces/double-verification/",
        "/acces/codes/nouveaux/",
        "/acces/cles/nouvelle/",
        "/confirmer/",
    ):
        assert "no-store" in client.get(path).headers.get("Cache-Control", ""), path


def test_whoever_is_asked_for_a_code_begins_again_with_another_account(locked: Commune) -> None:
    """At a shared computer: a colleague left at the second step."""
    client = enter("000000")
    assert client.get("/connexion/")["Location"] == "/connexion/code/"
    page = flat(client.get("/connexion/code/").content.decode())
    found = re.search(
        r'action="([^"]+)">[^>]*>[^>]*name="next" value="([^"]+)"><button[^>]*>Recommencer', page
    )
    assert found is not None
    assert client.post(found[1], {"next": found[2]})["Location"] == "/connexion/"
    client.post("/connexion/", {"login": "referent@beaune.test", "password": PASSWORD})
    assert client.session["_auth_user_id"] == locked.referent.id


def test_a_rescue_code_stands_for_the_second_factor_once(locked: Commune) -> None:
    page = confirmed(locked.referent_membership).post("/acces/depannage/", {"person_id": locked.agent.id})
    found = re.search(r'class="secret">([a-z0-9 ]{14})<', page.content.decode())
    assert found is not None
    code = found[1]
    asked = enter("000000", address="192.0.2.9").get("/connexion/code/")
    assert "code de dépannage" in asked.content.decode(), "who lost all else reads where it is asked for"
    assert not inside(enter(code, password="wrong")), "the password is asked for as ever"
    cache.clear()
    opened = enter(code.upper().replace(" ", "-"))
    assert inside(opened)
    assert not inside(enter(code, address="192.0.2.8"))
    told = opened.get("/acces/").content.decode()
    assert locked.referent_membership.person.name in told and "Il a servi" in told
    verbs = AuditEntry.objects.filter(object_id=locked.agent.id, collectivite_id=locked.id)
    assert {"identity:rescue_code:made", "identity:rescue_code:used"} <= set(
        verbs.values_list("verb", flat=True)
    )
    assert code.replace(" ", "") not in str(RescueCode.objects.values())


def test_a_rescue_code_dies_after_a_day_and_with_the_next_one(locked: Commune) -> None:
    first = rescue.make(actor=locked.referent, person_id=locked.agent.id).code
    second = rescue.make(actor=locked.referent, person_id=locked.agent.id).code
    person = locked.agent_membership.person
    assert not rescue.use(person, first)
    with clock.shifted(int(timedelta(days=1, seconds=1).total_seconds())):
        assert not rescue.use(person, second)
    assert not rescue.use(locked.colleague_membership.person, second)
    assert rescue.use(person, second)


def test_a_rescue_code_confirms_no_action(locked: Commune) -> None:
    code = rescue.make(actor=locked.referent, person_id=locked.agent.id).code
    client = portal_client(locked.agent_membership)
    client.post("/confirmer/code/", {"code": code})
    assert client.get("/acces/telephone/").status_code == 302


def test_guesses_of_rescue_codes_are_limited(locked: Commune) -> None:
    code = rescue.make(actor=locked.referent, person_id=locked.agent.id).code
    client = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": "192.0.2.7"})
    client.post("/connexion/", {"login": "agent@beaune.test", "password": PASSWORD})
    for _ in range(6):
        client.post("/connexion/code/", {"code": "aaaa aaaa aaaa"})
    client.post("/connexion/code/", {"code": code})
    assert not inside(client)


def test_only_the_referent_of_the_same_collectivite_makes_one(locked: Commune, nuits: Commune) -> None:
    for actor in (locked.agent, locked.colleague, nuits.agent):
        with pytest.raises(NotAllowed):
            rescue.make(actor=actor, person_id=locked.agent.id)
    with pytest.raises(NotFound):
        rescue.make(actor=nuits.referent, person_id=locked.agent.id)
    with pytest.raises(NotFound):  # they have no second factor to stand for
        rescue.make(actor=locked.referent, person_id=locked.colleague.id)
    with pytest.raises(NotFound):
        rescue.make(actor=locked.referent, person_id=locked.referent.id)
    stranger = confirmed(nuits.referent_membership)
    assert stranger.post("/acces/depannage/", {"person_id": locked.agent.id}).status_code == 404
    assert confirmed(locked.colleague_membership).get("/acces/depannage/").status_code == 403
    assert portal_client(locked.referent_membership).get("/acces/depannage/").status_code == 302
    assert not RescueCode.objects.exists() and Authenticator.objects.count() == 1
