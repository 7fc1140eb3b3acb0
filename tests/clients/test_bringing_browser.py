"""Files of contacts and of an agenda in a real Chromium: chosen, looked at, taken in and out, without JavaScript too.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from beffroi.core.identity.models import Membership

from tests.calendar_pages import desk, without_scripts
from tests.conftest import Commune
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_calendars import event
from tests.fixtures_portal import no_door

__all__ = ["browser", "desk", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
LONG = "Syndicat intercommunal d’assainissement, d’eau potable et d’éclairage public du pays beaunois"
CARDS = "".join(
    f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name}\r\nEMAIL:a{n}@x.test\r\nEND:VCARD\r\n"
    for n, name in enumerate((LONG, *(f"Personne {n}" for n in range(14))))
)
BROKEN = (
    "BEGIN:VCARD\r\nVERSION:2.1\r\nN;ENCODING=X:a\r\nEND:VCARD\r\n"
    + "BEGIN:VCARD\r\nVERSION:3.0\r\nFN\r\nEND:VCARD\r\n"
)


def choose(page: Any, name: str, text: str) -> None:
    page.set_input_files("#id_file", {"name": name, "mimeType": "text/plain", "buffer": text.encode()})


def test_a_file_of_contacts_comes_and_goes_by_the_keyboard(
    desk: Callable[[Membership], Any], beaune: Commune
) -> None:
    page = desk(beaune.agent_membership)
    page.goto("/contacts/")
    press(page, "Ajouter depuis un fichier")
    inspect(page, "f-rien")
    choose(page, "photo.jpg", "rien")
    press(page, "Lire le fichier")
    page.wait_for_selector("#id_file_error:has-text('pas un fichier de contacts')")
    inspect(page, "f-erreur", status=400)
    choose(page, "contacts.vcf", CARDS + CARDS[: CARDS.index("END:VCARD") + 11] + BROKEN)
    press(page, "Lire le fichier")
    page.wait_for_selector("h2:has-text('15 nouveaux contacts')")
    assert page.evaluate("document.activeElement.id") == "h-file", "what was read comes next"
    assert page.locator("li:has-text('ligne 81 du fichier')").count() == 1
    inspect(page, "f-apercu")
    press(page, "Ajouter 15 contacts")
    page.wait_for_selector("[role=status]:has-text('15 contacts sont ajoutés')")
    inspect(page, "f-ajoute")
    page.goto("/contacts/")
    assert page.locator(".rows li").count() == 15
    inspect(page, "f-contacts")
    with page.expect_download() as given:
        page.click("a:has-text('Télécharger ceux de la mairie')")
    assert given.value.suggested_filename == "contacts-de-la-mairie.vcf"
    assert given.value.path().read_text().count("BEGIN:VCARD") == 15
    page.goto("/contacts/fichier/")
    press(page, "Annuler l’ajout du dernier fichier")
    page.wait_for_selector("[role=status]:has-text('15 contacts sont retirés')")
    inspect(page, "f-retire")


def test_a_file_of_an_agenda_comes_without_scripts(
    desk: Callable[[Membership], Any], beaune: Commune, browser: Any, live_server: Any
) -> None:
    desk(beaune.agent_membership)
    with without_scripts(beaune.agent_membership, browser, live_server) as page:
        page.goto("/agenda/")
        page.click("a:has-text('Ajouter depuis un fichier')")
        choose(page, "agenda.ics", event("e-1", "Conseil municipal") + event("e-2", "Fête"))
        page.click("button:has-text('Lire le fichier')")
        page.click("button:has-text('Ajouter 2 rendez-vous')")
        page.wait_for_selector("[role=status]:has-text('2 rendez-vous sont ajoutés')")
        page.goto("/agenda/?mois=2026-12")
        assert page.locator("li:has-text('Conseil municipal')").count() == 1
