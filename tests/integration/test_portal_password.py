"""A password of one's own, and a new one for whoever forgot theirs."""

from __future__ import annotations

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from django.test import Client
from django.urls import reverse

from tests.conftest import PASSWORD, Commune
from tests.fixtures_portal import confirmed, no_door, portal_client

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
PAGE = "/acces/mot-de-passe-du-portail/"
NEW = "quatre sabots de bois"
ADMINISTRATOR = Actor("administrator", "adm_" + "1" * 26, None, "administrator")


def test_a_person_changes_the_own_password_and_other_sessions_end(beaune: Commune) -> None:
    client, other = confirmed(beaune.agent_membership), portal_client(beaune.agent_membership)
    assert PAGE in client.get("/acces/").content.decode()
    answer = client.post(PAGE, {"new": NEW, "again": NEW})
    assert answer.status_code == 302 and answer["Location"] == "/acces/"
    assert "Votre mot de passe est changé" in client.get("/acces/").content.decode()
    assert other.get("/").status_code == 302  # to the sign-in
    assert Person.objects.get(pk=beaune.agent.id).check_password(NEW)
    assert AuditEntry.objects.filter(verb="identity:password:set", object_id=beaune.agent.id).count() == 1


def test_the_page_asks_for_the_former_password_first(beaune: Commune) -> None:
    client = portal_client(beaune.agent_membership)
    for answer in (client.get(PAGE, follow=True), client.post(PAGE, {"new": NEW, "again": NEW}, follow=True)):
        assert answer.redirect_chain[-1][0].startswith("/confirmer/")
    assert Person.objects.get(pk=beaune.agent.id).check_password(PASSWORD)


@pytest.mark.parametrize(
    ("new", "again", "said"),
    [
        (NEW, NEW + "!", "Les deux saisies ne sont pas les mêmes."),
        ("court", "court", "12"),
        ("", "", "12"),
        ("agent@beaune.test", "agent@beaune.test", "trop semblable"),
        ("qwerty123456", "qwerty123456", "courant"),
        (PASSWORD, PASSWORD, "mot de passe actuel"),
    ],
)
def test_a_password_that_does_not_do_says_why(beaune: Commune, new: str, again: str, said: str) -> None:
    answer = confirmed(beaune.agent_membership).post(PAGE, {"new": new, "again": again})
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert Person.objects.get(pk=beaune.agent.id).check_password(PASSWORD)


def test_a_given_password_opens_and_asks_for_another_until_there_is_one(beaune: Commune) -> None:
    person = Person.objects.get(pk=beaune.agent.id)
    before = portal_client(beaune.agent_membership)
    given = actions.give_password(actor=ADMINISTRATOR, person=person, reason="rappelée à la mairie")
    assert before.get("/").status_code == 302  # what was open is closed
    client = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": "192.0.2.7"})
    client.post("/connexion/", {"login": "agent@beaune.test", "password": given})
    assert "Choisissez votre propre mot de passe" in client.get("/").content.decode()
    assert "Le Département vous a donné un mot de passe" in client.get("/acces/").content.decode()
    client.post(reverse("account_reauthenticate"), {"password": given, "next": "/"})
    client.post(PAGE, {"new": NEW, "again": NEW})
    assert "Choisissez votre propre mot de passe" not in client.get("/").content.decode()
    entry = AuditEntry.objects.get(verb="identity:password:given")
    assert (entry.actor_id, entry.object_id) == (ADMINISTRATOR.id, person.id)
    assert given not in str(entry.details)


def test_nobody_else_gives_or_sets_a_password(beaune: Commune, nuits: Commune) -> None:
    person = Person.objects.get(pk=beaune.agent.id)
    for stranger in (nuits.agent, beaune.referent, beaune.agent, Actor.system("tests")):
        with pytest.raises(NotAllowed):
            actions.give_password(actor=stranger, person=person, reason="x")
    for stranger in (nuits.agent, beaune.referent, ADMINISTRATOR):
        with pytest.raises(NotAllowed):
            actions.set_password(actor=stranger, person=person, password=NEW)
    with pytest.raises(Invalid):
        actions.give_password(actor=ADMINISTRATOR, person=person, reason=" ")
    Person.objects.filter(pk=person.pk).update(is_active=False)
    person.refresh_from_db()
    with pytest.raises(Conflict):
        actions.give_password(actor=ADMINISTRATOR, person=person, reason="x")
    assert person.check_password(PASSWORD)
