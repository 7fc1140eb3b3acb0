"""Keys and phones in a real Chromium, whose key is CDP's virtual authenticator: the browser's own WebAuthn speaks.

BEFFROI_SHOTS=DIRECTORY keeps a picture of every page.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures_browser import Centre, browser, centre, inspect, press, sign_in
from tests.portal_server import PASSWORD

__all__ = ["browser", "centre"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Key:
    """A virtual authenticator in one page. ``asks``: it knows a PIN and asks for it."""

    def __init__(self, page: Any, *, kind: str = "internal", asks: bool = True) -> None:
        self.cdp = page.context.new_cdp_session(page)
        self.cdp.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": kind,
            "hasResidentKey": asks,
            "hasUserVerification": asks,
            "isUserVerified": asks,
            "automaticPresenceSimulation": True,
        }
        made = self.cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self.id = made["authenticatorId"]

    def credentials(self) -> list[Any]:
        return list(self.cdp.send("WebAuthn.getCredentials", {"authenticatorId": self.id})["credentials"])

    def verified(self, yes: bool) -> None:
        self.cdp.send("WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": yes})


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(locale="fr-FR", viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.faults = []
    opened.on("console", lambda m: m.type == "error" and opened.faults.append(m.text))
    yield opened
    # /live is another process and not here; the browser complains about nothing else, its policy on scripts above all.
    assert [one for one in opened.faults if "404" not in one and "MIME" not in one] == []
    context.close()


def come_in(page: Any, centre: Centre, email: str) -> None:
    page.goto(centre.portal + "/connexion/")
    sign_in(page, email)


def confirm(page: Any) -> None:
    page.wait_for_selector("#id_password")
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")


def sign_out(page: Any) -> None:
    page.click("header button:has-text('Se déconnecter')")
    page.wait_for_selector("#id_login")


def printed(page: Any, name: str) -> None:
    """A sheet of A5 and nothing around it."""
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 559, "height": 794})
    assert page.is_visible(".sheet") and not page.is_visible("nav") and not page.is_visible("footer")
    assert page.evaluate("document.documentElement.scrollHeight") <= 794, "one sheet"
    if shots := os.environ.get("BEFFROI_SHOTS"):
        page.screenshot(path=f"{shots}/{name}.png")
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 1280, "height": 900})


def test_a_key_is_added_opens_confirms_and_is_removed(centre: Centre, page: Any) -> None:
    key = Key(page)
    come_in(page, centre, centre.seeded["agent_email"])
    page.wait_for_selector("h1:has-text('Bonjour')")
    page.goto(centre.portal + "/acces/")
    press(page, "En ajouter une")
    confirm(page)
    page.wait_for_selector("h1:has-text('Ajouter une clé')")
    inspect(page, "cle-nouvelle")
    page.fill("#id_name", "Poste de l’accueil")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Codes de secours')")
    inspect(page, "codes-de-secours")
    printed(page, "codes-imprimes")
    assert len(key.credentials()) == 1
    page.goto(centre.portal + "/acces/")
    page.wait_for_selector("text=Poste de l’accueil")
    inspect(page, "acces-avec-cle")
    sign_out(page)
    inspect(page, "connexion-cle")
    press(page, "Utiliser une clé d’accès")
    page.wait_for_selector("h1:has-text('Bonjour')")
    # The key has just shown who they are.
    page.goto(centre.portal + "/acces/telephone/")
    page.wait_for_selector("h1:has-text('Mettre mon courrier')")
    sign_out(page)
    come_in(page, centre, centre.seeded["agent_email"])
    page.wait_for_selector("button:has-text('Utiliser ma clé')")
    press(page, "Utiliser ma clé")
    page.wait_for_selector("h1:has-text('Bonjour')")
    # As a second factor it has not: the step-up asks for the password, or for the key and its owner.
    page.goto(centre.portal + "/acces/telephone/")
    press(page, "Avec ma clé d’accès")
    page.wait_for_selector("button:has-text('Utiliser ma clé')")
    inspect(page, "confirmer-cle")
    press(page, "Utiliser ma clé")
    page.wait_for_selector("h1:has-text('Mettre mon courrier')")
    page.goto(centre.portal + "/acces/")
    with page.expect_navigation():
        page.click("a:has-text('Renommer')")
    inspect(page, "cle-renommer")
    page.fill("#id_name", "Accueil")
    page.keyboard.press("Enter")
    page.wait_for_selector("strong:has-text('Accueil')")
    with page.expect_navigation():
        page.click("a:has-text('Retirer Accueil')")
    inspect(page, "cle-retirer")
    press(page, "Retirer")
    page.wait_for_selector("text=Aucune pour l’instant")
    sign_out(page)
    page.click("button:has-text('Utiliser une clé d’accès')")
    page.wait_for_selector(".say.bad:has-text('n’a pas été reconnue')")
    inspect(page, "connexion-cle-refusee")


def test_a_cancelled_key_says_what_to_do(centre: Centre, page: Any) -> None:
    key = Key(page)
    page.goto(centre.portal + "/connexion/")
    key.verified(False)
    page.click("button:has-text('Utiliser une clé d’accès')")
    page.wait_for_selector("[role=alert]:has-text('annulée')")


def test_a_phone_takes_its_settings_and_the_computer_sees_it(centre: Centre, page: Any, browser: Any) -> None:
    come_in(page, centre, centre.seeded["agent_email"])
    page.wait_for_selector("h1:has-text('Bonjour')")
    page.goto(centre.portal + "/acces/telephone/")
    confirm(page)
    page.wait_for_selector("h1:has-text('Mettre mon courrier')")
    inspect(page, "telephone-choix")
    for kind, name in (("android", "telephone-android"), ("computer", "telephone-ordinateur")):
        page.goto(centre.portal + "/acces/telephone/")
        page.check(f"input[value={kind}]")
        page.fill("#id_label", "Poste de l’accueil")
        press(page, "Continuer")
        page.wait_for_selector("#secret")
        inspect(page, name)
    for kind, press_there in (("iphone", "Installer mon courrier"), ("other", "Afficher les réglages")):
        page.goto(centre.portal + "/acces/telephone/")
        page.check(f"input[value={kind}]")
        page.fill("#id_label", "Téléphone de Claire")
        press(page, "Continuer")
        page.wait_for_selector("img.qr")
        inspect(page, f"telephone-code-{kind}")
        address = page.get_attribute("a:has-text('Ouvrir le lien ici')", "href")
        path = address[address.index("/telephone/") :]
        phone = browser.new_context(
            locale="fr-FR", viewport={"width": 360, "height": 700}, accept_downloads=True
        )
        there = phone.new_page()
        there.goto(centre.portal + path)
        inspect(there, f"sur-le-telephone-{kind}")
        if kind == "iphone":
            with there.expect_download() as downloaded:
                there.click(f"text={press_there} >> nth=-1")
            assert downloaded.value.suggested_filename == "courrier.mobileconfig"
        else:
            there.click(f"button:has-text('{press_there}')")
            there.wait_for_selector("#secret")
            inspect(there, "sur-le-telephone-reglages")
        page.wait_for_selector("text=a pris ses réglages")
        inspect(page, f"telephone-pris-{kind}")
        there.goto(centre.portal + path)
        there.wait_for_selector("h1:has-text('Ce code ne sert plus')")
        inspect(there, "sur-le-telephone-trop-tard", status=404)
        phone.close()
    page.goto(centre.portal + "/acces/")
    assert page.locator("strong:has-text('Téléphone de Claire')").count() == 2
    inspect(page, "acces-appareils")


def test_the_referent_helps_out_who_lost_everything(centre: Centre, page: Any, browser: Any) -> None:
    lost = browser.new_context(locale="fr-FR")
    agent = lost.new_page()
    Key(agent)
    come_in(agent, centre, "mairie@nuits.test")
    agent.wait_for_selector("h1:has-text('Bonjour')")
    agent.goto(centre.portal + "/acces/cles/nouvelle/")
    confirm(agent)
    agent.wait_for_selector("#id_name")
    press(agent, "Ajouter")
    agent.wait_for_selector("h1:has-text('Codes de secours')")
    lost.close()
    come_in(page, centre, centre.seeded["referent_email"])
    page.wait_for_selector("h1:has-text('Bonjour')")
    page.goto(centre.portal + "/acces/depannage/")
    confirm(page)
    page.wait_for_selector("h1:has-text('Dépanner')")
    inspect(page, "depannage")
    page.check("input[name=person_id] >> nth=0")
    press(page, "Créer le code")
    page.wait_for_selector(".secret")
    inspect(page, "depannage-code")
    printed(page, "depannage-imprime")


def test_a_usb_key_without_a_pin_is_the_second_factor(centre: Centre, page: Any) -> None:
    Key(page, kind="usb", asks=False)
    come_in(page, centre, centre.seeded["referent_email"])
    page.wait_for_selector("h1:has-text('Bonjour')")
    page.goto(centre.portal + "/acces/cles/nouvelle/")
    confirm(page)
    page.check("input[name=passwordless][value='']")
    press(page, "Ajouter")
    page.wait_for_selector("h1:has-text('Codes de secours')")
    sign_out(page)
    come_in(page, centre, centre.seeded["referent_email"])
    page.wait_for_selector("h1:has-text('Double vérification')")
    inspect(page, "double-cle")
    press(page, "Utiliser ma clé")
    page.wait_for_selector("h1:has-text('Bonjour')")
