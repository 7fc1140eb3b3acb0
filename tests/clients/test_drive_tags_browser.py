"""Labels and stars in a real Chromium: put by the keyboard, listed, taken away, renamed; nothing wider than a phone.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.test_drive_link_browser import folder
from tests.clients.test_drive_share_browser import somebody
from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.drive_share_pages import make, only_share
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door, portal_client

__all__ = ["browser", "drive", "folder", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]
LONG = "Convention-intercommunale-de-mutualisation-du-service-technique"


def test_a_label_is_put_by_the_keyboard_listed_taken_away_and_renamed(
    folder: int, page: Any, browser: Any, beaune: Commune
) -> None:
    inspect(page, "e-dossier-sans")
    assert not page.locator("#id_tag").is_visible()
    page.focus("summary:has-text('Étiquettes de ce dossier')")
    page.keyboard.press("Enter")
    assert (
        page.locator("summary:has-text('Étiquettes de ce dossier')").bounding_box()["y"]
        < (page.locator("#h-files").bounding_box()["y"])
    ), "above the list, however long it is"
    page.focus("#id_tag")
    for name in ("À signer", LONG, "Urbanisme", "Voirie", "Budget"):
        # Where one was put, the field is open and has the focus: the next one is typed at once.
        assert page.evaluate("document.activeElement.id") == "id_tag"
        page.keyboard.type(name)
        press(page, "Poser")
        page.wait_for_selector("text=Étiquette posée.")
        page.wait_for_function("document.activeElement.id == 'id_tag'")
    inspect(page, "e-dossier")
    page.goto("/coffre/")
    chips = page.locator(".files .chip").all_inner_texts()
    assert chips == ["À signer", "Budget", LONG, "+2"]
    inspect(page, "e-lignes")
    page.click(".files >> text=Marché 2026")
    page.click(".files >> text=règlement.txt")
    page.wait_for_selector("h1:has-text('règlement.txt')")
    assert page.locator("#offered-tags option").count() == 5
    page.fill("#id_tag", "à SIGNER")
    press(page, "Poser")
    inspect(page, "e-fichier")
    press(page, "À signer")
    page.wait_for_selector(".files >> text=règlement.txt")
    assert page.locator(".files > li").count() == 2
    inspect(page, "e-liste")
    page.click("summary:has-text('Renommer')")
    page.fill("#id_name", "À faire signer")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('À faire signer')")
    with somebody(page, browser, beaune.colleague_membership) as there:
        there.goto("/coffre/etiquettes/")
        inspect(there, "e-etiquettes")
        there.click("a:has-text('À faire signer')")
        there.wait_for_selector("text=Rien de ce que vous voyez")
        inspect(there, "e-vide")
    page.click(".files >> text=règlement.txt")
    press(page, "Retirer l’étiquette À faire signer")
    page.wait_for_selector("text=Étiquette retirée.")
    assert page.locator(".labels li").count() == 0
    page.goto("/coffre/etiquettes/")
    page.click("a:has-text('À faire signer')")
    page.click("summary:has-text('Supprimer')")
    press(page, "Supprimer l’étiquette")
    page.wait_for_selector("text=Les fichiers restent.")
    inspect(page, "e-apres")


def test_what_another_commune_shares_is_starred_by_the_keyboard_and_stands_among_the_favourites(
    folder: int, page: Any, browser: Any, beaune: Commune, nuits: Commune
) -> None:
    make(portal_client(beaune.agent_membership), folder, f"collectivite:{nuits.id}")
    share_id = only_share(Drive(beaune.agent_membership)).id
    referent = portal_client(nuits.referent_membership)
    referent.post("/coffre/partages-avec-moi/", {"partage": share_id, "what": "accept"})
    with somebody(page, browser, nuits.agent_membership) as there:
        there.goto(f"/coffre/chez/{share_id}/{folder}/")
        star = there.locator(".files button.star", has_text="règlement.txt")
        star.focus()
        there.keyboard.press("Enter")
        there.wait_for_selector(".files button.star[aria-pressed='true']")
        inspect(there, "f-visite")
        there.click("nav.pills a:has-text('Favoris')")
        there.wait_for_selector(".files >> text=règlement.txt")
        assert there.locator(".files > li").count() == 1
        inspect(there, "f-favoris")
        there.click(".files button.star[aria-pressed='true']")
        there.wait_for_selector(".files button.star[aria-pressed='false']")
        there.reload()
        assert there.locator(".files > li").count() == 0
