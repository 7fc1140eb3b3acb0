"""Banner of bank details, held files and the policy of attachments in a real Chromium, by the keyboard too.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Commune
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_held import hold
from tests.fixtures_portal import deliver, no_door, own_mailbox, portal_client, session_cookie
from tests.fixtures_portal_mail import shown_mail
from tests.integration.test_mail_safety import FIRST, IBAN, OTHER, SECOND, name

__all__ = ["browser", "no_door", "shown_mail"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("shown_mail")]


@pytest.fixture
def desk(committed: str, browser: Any, live_server: Any, beaune: Commune) -> Iterator[Any]:
    """``open(membership)``: a page of this person."""
    contexts = []

    def open_for(membership: Any) -> Any:
        client = portal_client(membership)
        context = browser.new_context(locale="fr-FR", viewport={"width": 1280, "height": 900})
        contexts.append(context)
        context.add_cookies([session_cookie(client, live_server.url)])
        return context.new_page()

    yield open_for, live_server.url
    for context in contexts:
        context.close()


def test_a_person_checks_bank_details_by_the_keyboard_and_takes_it_back(desk: Any, beaune: Commune) -> None:
    open_for, portal = desk
    box = own_mailbox(beaune)
    deliver(box, FIRST)
    deliver(box, SECOND)
    name(beaune, SECOND, OTHER, days_ago=2)
    name(beaune, FIRST, IBAN)
    page = open_for(beaune.agent_membership)
    page.goto(f"{portal}/courrier/{box.id}/")
    inspect(page, "s-liste")
    page.goto(f"{portal}/courrier/{box.id}/2/")
    inspect(page, "s-premier")
    page.goto(f"{portal}/courrier/{box.id}/1/")
    inspect(page, "s-autre")
    press(page, "J’ai vérifié par téléphone")
    assert "vérifiées par téléphone" in page.inner_text("#bank")
    inspect(page, "s-verifie")
    page.click("text=Annuler la vérification")
    page.wait_for_selector("text=un autre IBAN que d’habitude")


def test_held_files_and_the_policy_of_attachments(desk: Any, beaune: Commune) -> None:
    open_for, portal = desk
    box = own_mailbox(beaune)
    hold(box, reason="content", subject="Formulaire", findings="active_pdf", name="Service public")
    hold(box, reason="content", subject="Plans du réseau", findings="unreadable", name="Géomètre")
    hold(box, reason="content", subject="Bon de commande", findings="malware", name="Fournisseur")
    hold(box, reason="content", subject="Budget 2027", findings="macro", name="Trésorerie")
    hold(box, reason="content", subject="Votre colis", findings="disguised program", name="La Poste")
    hold(box, reason="content", subject="Dossier d’état civil", findings="encrypted", name="Préfecture")
    page = open_for(beaune.agent_membership)
    page.goto(f"{portal}/retenus/")
    inspect(page, "s-retenus")
    page.click("button:has-text('Libérer') >> nth=0")
    page.wait_for_selector("text=N’ouvrez la pièce jointe que si vous l’attendiez")
    page = open_for(beaune.referent_membership)
    page.goto(f"{portal}/retenus/pieces-jointes/")
    assert page.locator("#contenu [type=checkbox]").first.bounding_box()["width"] == 20
    inspect(page, "s-regles")
    page.check("#a-macro")
    press(page, "Enregistrer")
    assert "Enregistré" in page.inner_text("main") and page.is_checked("#a-macro")
    inspect(page, "s-regles-gardees")
