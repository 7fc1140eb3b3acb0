"""A step-up lets through what was sent a moment ago, and nothing that was given up, that nobody sent who is signed in,
or that was begun for another commune."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from allauth.mfa.models import Authenticator
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, Person
from beffroi.mail.people import leaving
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from tests.conftest import PASSWORD, Commune
from tests.fixtures_portal import no_door, portal_client

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
PAGE, PASSWORD_PAGE = "/acces/mot-de-passe/", "/acces/mot-de-passe-du-portail/"
NEW = "quatre sabots de bois"
HEADERS = {"X-Beffroi-Listener": "portal", "X-Forwarded-For": "192.0.2.7"}


def confirm(client: Client, path: str) -> Any:
    return client.post("/confirmer/", {"password": PASSWORD, "next": path})


def test_what_was_sent_is_done_once_it_is_confirmed(beaune: Commune) -> None:
    client = portal_client(beaune.agent_membership)
    assert client.post(PAGE, {"label": "Accueil"})["Location"].startswith("/confirmer/")
    assert "Accueil" in confirm(client, PAGE).content.decode()
    assert AppPassword.objects.get().label == "Accueil"


def test_what_was_given_up_is_not_done_by_the_next_confirmation(beaune: Commune) -> None:
    client = portal_client(beaune.agent_membership)
    client.post(PAGE, {"label": "Accueil"})
    assert client.get("/acces/").status_code == 200  # thought better of it; hours later, the same page
    assert client.get(PAGE)["Location"].startswith("/confirmer/")
    confirm(client, PAGE)
    assert not AppPassword.objects.exists()


@pytest.mark.parametrize(
    ("came_from", "leads_to"),
    [
        ("https://testserver:80/personnes/?q=a&p=1#x", "/personnes/?q=a&amp;p=1"),
        ("https://testserver:80/confirmer/?next=/personnes/ajouter/", "/acces/"),
        ("https://other.example/personnes/", "/acces/"),
        ("https://testserver:80//other.example/", "/acces/"),
        ("javascript:alert(1)", "/acces/"),
        ("", "/acces/"),
    ],
)
def test_who_does_not_confirm_is_where_they_were(beaune: Commune, came_from: str, leads_to: str) -> None:
    client = portal_client(beaune.referent_membership)
    confirming = client.get("/personnes/ajouter/")["Location"]
    asked = client.get(confirming, headers={"Referer": came_from})
    assert f'href="{leads_to}">Renoncer' in asked.content.decode()


def test_a_wrong_word_and_another_way_to_confirm_keep_the_way_back(beaune: Commune) -> None:
    client = portal_client(beaune.referent_membership)
    Authenticator.objects.create(user=beaune.referent_membership.person, type="totp", data={"secret": "x"})
    asked = client.get("/confirmer/?next=/personnes/", headers={"Referer": "https://testserver:80/dossiers/"})
    page = asked.content.decode()
    [kept] = re.findall(r'name="from" value="([^"]*)"', page)
    wrong = {"password": "faux", "next": "/personnes/", "from": kept}
    again = client.post("/confirmer/", wrong, headers={"Referer": "https://testserver:80/confirmer/"})
    assert 'href="/dossiers/">Renoncer' in again.content.decode()
    [by_code] = re.findall(r'href="(/confirmer/code/[^"]*)"', page)
    other = client.get(unescape(by_code), headers={"Referer": "https://testserver:80/confirmer/"})
    assert 'href="/dossiers/">Renoncer' in other.content.decode()
    for hostile in (
        "https://other.example/",
        "//other.example/",
        "javascript:alert(1)",
        "http://[",
        "/confirmer/code/",
    ):
        refused = client.post("/confirmer/", wrong | {"from": hostile})
        assert 'href="/acces/">Renoncer' in refused.content.decode(), hostile


def test_what_was_begun_for_one_commune_is_not_done_for_the_other(
    beaune: Commune, nuits: Commune, system: Actor
) -> None:
    person = beaune.agent_membership.person
    other = actions.add_membership(actor=system, person=person, collectivite=nuits.collectivite, role="agent")
    client = portal_client(beaune.agent_membership)
    client.post(PAGE, {"label": "Accueil de Beaune"})
    client.post("/collectivites/", {"membership_id": other.id})
    confirm(client, PAGE)
    assert not AppPassword.objects.exists()


def test_a_departure_is_undone_after_a_confirmation_as_it_was_begun(beaune: Commune) -> None:
    person = beaune.agent_membership.person
    departure = leaving.depart(
        actor=beaune.referent, collectivite=beaune.collectivite, person=person, successors={}
    )
    client, page = portal_client(beaune.referent_membership), reverse("departure", args=[departure.id])
    assert client.post(page)["Location"].startswith("/confirmer/")
    person.refresh_from_db()
    assert not person.is_active
    assert confirm(client, page)["Location"] == page
    person.refresh_from_db()
    assert person.is_active


@pytest.mark.parametrize(
    "path", [PAGE, PASSWORD_PAGE, "/acces/double-verification/", "/acces/codes/nouveaux/"]
)
def test_nothing_is_kept_of_who_is_not_signed_in(db: None, path: str) -> None:
    """Else whoever sends what they like fills the table of sessions, and whoever signs in next confirms it."""
    client = Client(headers=HEADERS)
    answer = client.post(path, {"label": "x" * 100_000})
    assert answer.status_code == 302 and answer["Location"].startswith("/connexion/")
    assert not Session.objects.exists()


def test_a_new_password_waits_nowhere_for_its_confirmation(beaune: Commune) -> None:
    client = portal_client(beaune.agent_membership)
    asked = client.post(PASSWORD_PAGE, {"new": NEW, "again": NEW}, follow=True)
    assert asked.request["PATH_INFO"] == "/confirmer/" and STATE_SESSION_KEY not in client.session
    assert "saisissez de nouveau" in asked.content.decode()
    assert confirm(client, PASSWORD_PAGE)["Location"] == PASSWORD_PAGE
    assert Person.objects.get(pk=beaune.agent.id).check_password(PASSWORD)
