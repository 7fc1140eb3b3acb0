"""Functional mailboxes and a departure in a real Chromium: accessible, within the window, and by the keyboard.

BEFFROI_SHOTS=DIRECTORY keeps pictures. Mails are shown from a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.lib import clock
from beffroi.mail.people import handling
from beffroi.mail.people.models import Departure

from tests.browsing import desks
from tests.conftest import Commune, make_member
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door, own_mailbox, shared_box
from tests.fixtures_portal_mail import shown_mail

__all__ = ["browser", "no_door", "shown_mail"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
KEY = "msg_" + "2" * 26


@pytest.fixture
def desk(
    committed: str, beaune: Commune, browser: Any, live_server: Any
) -> Iterator[Callable[[Membership], Any]]:
    """``desk(membership)``: a page of this person, who gave the password a moment ago."""
    for actor, name in ((beaune.agent, "Claire Vernet"), (beaune.colleague, "Jean-Luc Mathey")):
        Person.objects.filter(pk=actor.id).update(name=name)
    with desks(browser, live_server) as sit:
        yield sit


def test_a_functional_mailbox_is_made_read_and_handled(
    desk: Callable[[Membership], Any], beaune: Commune, shown_mail: object
) -> None:
    page = desk(beaune.referent_membership)
    page.goto("/courrier/boites/")
    inspect(page, "p-boites-vide")
    page.fill("#id_title", "Mairie de Beaune")
    page.fill("#id_local", "mairie")
    press(page, "Créer la boîte")
    inspect(page, "p-boite-neuve")
    for name in ("Claire Vernet", "Jean-Luc Mathey"):
        page.select_option("#id_person", label=name)
        with page.expect_navigation():
            page.click("button[value=add]")
    with page.expect_navigation():
        page.click("text=Retirer Jean-Luc Mathey")
    inspect(page, "p-boite-retire")
    with page.expect_navigation():
        page.click("button:has-text('Annuler')")
    inspect(page, "p-boite")
    page.goto("/courrier/boites/")
    inspect(page, "p-boites")
    box_id = page.get_attribute("a:has-text('Qui la lit')", "href").rstrip("/").rpartition("/")[2]

    agent = desk(beaune.agent_membership)
    agent.goto(f"/courrier/{box_id}/2/")
    agent.select_option("#id_person", label="Jean-Luc Mathey")
    with agent.expect_navigation():
        agent.click("#h-team >> xpath=../.. >> form:has(select) button")
    agent.fill("#id_note", "Vu avec la trésorerie : ils rappellent jeudi.")
    with agent.expect_navigation():
        agent.click("form:has(#id_note) button")
    from beffroi.mail.models import Mailbox

    handling.answering(actor=beaune.colleague, mailbox=Mailbox.objects.get(pk=box_id), key=KEY)
    agent.goto(f"/courrier/{box_id}/2/?avant=-")
    inspect(agent, "p-courriel")
    agent.goto(f"/courrier/{box_id}/")
    inspect(agent, "p-liste")
    agent.goto(f"/courrier/{box_id}/ecrire/?repondre=2")
    inspect(agent, "p-repondre")
    agent.goto("/courrier/boites/")
    inspect(agent, "p-boites-agent")


def test_a_departure_is_prepared_followed_and_undone(
    desk: Callable[[Membership], Any], beaune: Commune
) -> None:
    own_mailbox(beaune)
    shared_box(beaune, beaune.agent)
    shared_box(beaune, beaune.agent, beaune.colleague, local="etat-civil")
    page = desk(beaune.referent_membership)
    second = make_member(Actor.system("tests"), beaune.collectivite, "seconde@beaune.test", "referent")
    for path, name in (("/departs/personne/{}/", "p-depart-referente"), ("/personnes/{}/", "p-referente")):
        page.goto(path.format(second.person_id))
        inspect(page, name)
    page.goto("/departs/")
    inspect(page, "p-departs")
    with page.expect_navigation():
        page.click("a:has-text('Préparer son départ : Claire Vernet')")
    inspect(page, "p-depart-prepare")
    page.locator("select").last.select_option(label="Jean-Luc Mathey")
    press(page, "Fermer tous ses accès")
    inspect(page, "p-depart-en-cours")
    Departure.objects.update(state="confirmed", confirmed_at=clock.now())
    page.wait_for_selector("text=Tous les accès sont fermés")
    inspect(page, "p-depart-confirme")
    press(page, "Annuler ce départ")
    inspect(page, "p-depart-annule")
    page.goto("/departs/")
    inspect(page, "p-departs-apres")
