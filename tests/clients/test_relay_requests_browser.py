"""A référent asks for a relay of copiers in Chromium, and the Département answers: accessible, within the window.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from beffroi.core.identity import totp

from tests.fixtures_browser import Centre, administrator, browser, centre, inspect, press, referent, visitor

__all__ = ["administrator", "browser", "centre", "referent", "visitor"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_relay_is_asked_for_declined_asked_for_again_and_set_up(
    centre: Centre, referent: Any, administrator: Any
) -> None:
    referent.goto(centre.portal + "/boitier/")
    inspect(referent, "p-boitier-sans-relais")
    press(referent, "Demander un relais")
    inspect(referent, "p-relais-demande")
    referent.fill("#id_purpose", "Le copieur de l’accueil, pour les élus")
    referent.check("input[value=list]")
    referent.fill("#id_recipients", "pas une adresse")
    press(referent, "Envoyer la demande")
    referent.wait_for_selector("#id_recipients_error")
    inspect(referent, "p-relais-erreur", status=400)
    referent.check("input[value=inside]")
    press(referent, "Envoyer la demande")
    referent.wait_for_selector("text=En attente du Département")
    inspect(referent, "p-relais-attente")

    page = administrator
    page.goto(centre.console + "/")
    page.wait_for_selector("text=1 demande de relais pour copieurs attend")
    page.goto(centre.console + "/boitiers/copieurs/")
    inspect(page, "c-relais-demandes")
    page.fill("input[name=reason]", "Votre copieur connaît TLS : un compte de courrier suffit.")
    with page.expect_navigation():
        page.click("button:has-text('Refuser')")
    inspect(page, "c-relais-refuse")
    referent.reload()
    referent.wait_for_selector("text=un compte de courrier suffit")
    inspect(referent, "p-relais-refuse")

    press(referent, "Demander un relais")
    referent.fill("#id_purpose", "Le logiciel d’état civil")
    referent.fill("#id_hour", "25")
    referent.check("input[value=inside]")
    press(referent, "Envoyer la demande")
    page.goto(centre.console + "/boitiers/copieurs/")
    with page.expect_navigation():
        page.click("a:has-text('Accepter : régler le relais')")
    assert page.input_value("#id_hour") == "25"
    inspect(page, "c-relais-rempli")
    page.fill("#id_devices", "192.168.1.50 Copieur de l’accueil")
    page.fill("#id_code", totp.code_at(centre.seeded["totp_secret"], time.time() + 30))
    press(page, "Envoyer au boîtier")
    referent.reload()
    referent.wait_for_selector("text=Demander un changement")
    referent.wait_for_selector("text=Accordé")
    inspect(referent, "p-relais-accorde")
