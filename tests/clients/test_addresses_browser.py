"""A commune's addresses on the console in a real Chromium: accessible, within the window, and by the keyboard.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from beffroi.core.identity import totp

from tests.fixtures_browser import Centre, administrator, browser, centre, inspect, press

__all__ = ["administrator", "browser", "centre"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_addresses_of_a_commune_are_made_changed_and_undone(centre: Centre, administrator: Any) -> None:
    page, here = administrator, f"{centre.console}/communes/{centre.seeded['collectivite_id']}/adresses/"
    page.goto(f"{centre.console}/communes/")
    inspect(page, "c-communes-adresses")
    page.goto(here)
    inspect(page, "c-adresses")
    domain = page.locator("#id_alias_domain option").first.get_attribute("value")

    page.click("summary:has-text('Nouvelle boîte de service')")
    page.fill("#id_title", "État civil")
    page.fill("#id_box_local", "état civil")
    press(page, "Créer la boîte")
    page.wait_for_selector("[role=alert]:has-text('Nous proposons')")
    inspect(page, "c-adresses-accent", status=400)
    assert page.input_value("#id_box_local") == "etat.civil"
    press(page, "Créer la boîte")
    inspect(page, "c-boite-neuve")
    page.fill("#id_code", "000000")
    with page.expect_navigation():
        page.click("button:has-text('Ajouter')")
    inspect(page, "c-boite-code-faux", status=403)
    page.fill("#id_code", totp.code_at(centre.seeded["totp_secret"], time.time() + 30))
    with page.expect_navigation():
        page.click("button:has-text('Ajouter')")
    with page.expect_navigation():
        page.click("button:has-text('Retirer')")
    page.wait_for_selector("text=ne lit plus cette boîte")
    inspect(page, "c-boite-retire")
    with page.expect_navigation():
        page.click("button:has-text('Annuler')")

    page.goto(here)
    page.click("summary:has-text('Nouvel alias')")
    page.fill("#id_alias_local", "conseillers-municipaux")
    page.fill("#id_mailboxes", f"personne@{domain}")
    press(page, "Créer l’alias")
    page.wait_for_selector("[role=alert]:has-text('pas de boîte ouverte')")
    inspect(page, "c-adresses-sans-boite", status=400)
    page.fill("#id_mailboxes", f"etat.civil@{domain}")
    press(page, "Créer l’alias")
    inspect(page, "c-alias-neuf")
    press(page, "Arrêter cet alias")
    inspect(page, "c-alias-arrete")
    with page.expect_navigation():
        page.click("button:has-text('Reprendre')")
    page.goto(f"{here}?q=introuvable")
    inspect(page, "c-alias-introuvable")

    page.goto(here)
    page.click("summary:has-text('Les recevoir un temps') >> nth=0")
    page.fill("#id_address_1", f"etat.civil@{domain}")
    page.fill("#id_code_1", "000000")
    press(page, "Recevoir")
    page.wait_for_selector("[role=alert]:has-text('Ce code')")
    inspect(page, "c-inconnues-code", status=403)
