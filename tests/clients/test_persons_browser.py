"""A person is added, printed a sheet and comes with it, in a real Chromium: accessible, and by the keyboard.

BEFFROI_SHOTS=DIRECTORY keeps pictures. No engine runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from beffroi.core.identity import offers
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.core.identity.models import Membership, Person

from tests.browsing import console_page, desks
from tests.conftest import Commune, code_of
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door

__all__ = ["browser", "console_page", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
NEW = "quatre mots sans rapport"


@pytest.fixture
def desk(
    committed: str, beaune: Commune, browser: Any, live_server: Any
) -> Iterator[Callable[[Membership], Any]]:
    """``desk(membership)``: a page of this person, who gave the password a moment ago."""
    for actor, name in ((beaune.agent, "Claire Vernet"), (beaune.referent, "Jean-Luc Mathey")):
        Person.objects.filter(pk=actor.id).update(name=name)
    with desks(browser, live_server) as sit:
        yield sit


def test_a_person_is_added_by_keyboard_and_comes_with_the_sheet(
    desk: Callable[[Membership], Any], beaune: Commune, browser: Any, live_server: Any
) -> None:
    referent = desk(beaune.referent_membership)
    referent.goto("/personnes/")
    press(referent, "Ajouter une personne")
    inspect(referent, "p-nouvelle")
    referent.focus("#id_first")
    for typed in ("Élodie", "Tab", "Febvre", "Tab", "Tab"):
        if typed == "Tab":
            referent.keyboard.press("Tab")
        else:
            referent.keyboard.type(typed)
    with referent.expect_navigation():
        referent.keyboard.press("Enter")
    assert referent.input_value("#id_local") == "elodie.febvre"
    assert referent.evaluate("document.activeElement.id") == "id_local"
    inspect(referent, "p-adresse")
    with referent.expect_navigation():
        referent.keyboard.press("Enter")
    code = referent.inner_text(".secret")
    inspect(referent, "p-feuille")
    referent.emulate_media(media="print")
    if shots := os.environ.get("BEFFROI_SHOTS"):
        referent.pdf(path=f"{shots}/p-feuille.pdf", format="A4")
        referent.screenshot(path=f"{shots}/p-feuille-imprimee.png", full_page=True)
    referent.emulate_media(media="screen")
    referent.go_back()
    assert referent.input_value("#id_first") == "", "the form, and no question whether to send it again"
    referent.goto("/personnes/")
    inspect(referent, "p-liste")
    press(referent, "Feuille d’accès, rôle\xa0: Élodie Febvre")
    inspect(referent, "p-personne")

    context = browser.new_context(locale="fr-FR", viewport={"width": 1280, "height": 900})
    visitor = context.new_page()
    visitor.goto(live_server.url + "/premiere-connexion/")
    inspect(visitor, "p-premiere")
    for field, value in (
        ("email", "elodie.febvre@beaune.test"),
        ("code", "aaaa"),
        ("new", NEW),
        ("again", NEW),
    ):
        visitor.fill(f"#id_{field}", value)
    press(visitor, "Ouvrir mon compte")
    inspect(visitor, "p-premiere-refus", status=403)
    for field, value in (("code", code.upper()), ("new", NEW), ("again", NEW)):
        visitor.fill(f"#id_{field}", value)
    press(visitor, "Ouvrir mon compte")
    assert "Bienvenue" in visitor.inner_text("main")
    inspect(visitor, "p-bienvenue")
    context.close()


def test_somebody_of_another_commune_is_asked_and_answers(
    desk: Callable[[Membership], Any], beaune: Commune, nuits: Commune
) -> None:
    referent, person = desk(beaune.referent_membership), desk(nuits.agent_membership)
    referent.goto("/personnes/ajouter/")
    referent.click("summary")
    referent.fill("#id_email", "agent@nuits.test")
    inspect(referent, "p-demander")
    press(referent, "Envoyer la demande")
    inspect(referent, "p-demande-envoyee")
    person.goto("/")
    inspect(person, "p-question")
    press(person, "Répondre")
    inspect(person, "p-repondre")
    press(person, "Accepter\xa0: Beaune")
    assert "aussi pour Beaune" in person.inner_text("main")


@pytest.mark.usefixtures("committed")
def test_the_departement_begins_a_commune_with_a_code(
    console_page: Any, beaune: Commune, new_administrator: NewAdministrator
) -> None:
    Membership.objects.filter(pk=beaune.referent_membership.pk).update(role="agent")
    actor = beaune.referent
    page = console_page
    offers.make(actor=actor, collectivite=beaune.collectivite, email="nul@nuits.test", role="agent")
    page.goto("/communes/")
    inspect(page, "pc-communes")
    page.goto(f"/communes/{beaune.id}/personnes/")
    inspect(page, "pc-liste")
    press(page, "Ajouter la personne référente")
    page.fill("#id_first", "Nadia")
    page.fill("#id_last", "Perrot")
    press(page, "Proposer une adresse")
    assert page.input_value("#id_role") == "referent"
    page.fill("#id_code", code_of(new_administrator))
    inspect(page, "pc-adresse")
    press(page, "Ajouter et faire la feuille d’accès")
    assert "nadia.perrot@beaune.test" in page.inner_text(".sheet")
    inspect(page, "pc-feuille")
    person = Person.objects.get(email="nadia.perrot@beaune.test")
    page.goto(f"/communes/{beaune.id}/personnes/{person.pk}/")
    inspect(page, "pc-personne")
    page.goto(f"/communes/{beaune.id}/personnes/{actor.id}/")
    inspect(page, "pc-sans-feuille")
    page.fill("#id_why", "Rappelée au numéro de la mairie")
    page.fill("#id_code_password", "000000")
    press(page, "Donner un mot de passe")
    assert page.evaluate("document.activeElement.id") == "id_code_password"
    inspect(page, "pc-mot-de-passe-refuse", status=403)
    page.fill("#id_code_password", code_of(new_administrator, 30))
    press(page, "Donner un mot de passe")
    assert len(page.inner_text(".secret")) == 19
    inspect(page, "pc-mot-de-passe")
