"""Groups in a real Chromium: made by the keyboard, filled, shared with, found by a member, deleted with what it ends.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.test_drive_link_browser import folder
from tests.clients.test_drive_share_browser import somebody
from tests.conftest import Commune
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door

__all__ = ["browser", "drive", "folder", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]


def test_a_group_is_made_shared_with_and_deleted_with_what_it_ends(
    folder: int, page: Any, browser: Any, beaune: Commune
) -> None:
    colleague = beaune.colleague_membership
    with somebody(page, browser, beaune.referent_membership) as desk:
        desk.goto("/personnes/")
        desk.click("a:has-text('Groupes')")
        inspect(desk, "g-aucun")
        desk.focus("#id_name")
        desk.keyboard.type("Conseil municipal")
        press(desk, "Créer le groupe")
        inspect(desk, "g-vide")
        desk.focus("#id_who")
        desk.keyboard.type(colleague.person.name)
        with desk.expect_navigation():
            desk.keyboard.press("Enter")
        desk.keyboard.press("Tab")
        desk.focus(f"input[value='{colleague.person_id}']")
        desk.keyboard.press("Space")
        press(desk, "Ajouter au groupe")
        desk.wait_for_selector("text=1 personne ajoutée")
        inspect(desk, "g-groupe")
        desk.fill("#id_name", "Conseil")
        press(desk, "Changer le nom")
        desk.goto("/coffre/groupes/")
        inspect(desk, "g-liste")
    page.click("a:has-text('Partager ce dossier')")
    inspect(page, "g-partager")
    page.click("text=Groupe, 1 personne")
    page.click("button:has-text('Partager')")
    page.wait_for_selector("text=C’est partagé.")
    inspect(page, "g-partage")
    with somebody(page, browser, colleague) as there:
        there.goto("/coffre/partages-avec-moi/")
        inspect(there, "g-avec-moi")
        there.click("a:has-text('Marché 2026')")
        there.wait_for_selector(".files >> text=règlement.txt")
        there.goto("/coffre/groupes/")
        inspect(there, "g-membre")
        there.click("a:has-text('Conseil')")
        inspect(there, "g-membre-groupe")
    with somebody(page, browser, beaune.referent_membership) as desk:
        desk.goto("/coffre/groupes/")
        desk.click("a:has-text('Conseil')")
        press(desk, "Supprimer ce groupe")
        inspect(desk, "g-supprimer")
        press(desk, "Supprimer le groupe et arrêter ses partages")
        desk.wait_for_selector("text=1 partage est arrêté.")
        inspect(desk, "g-fini")
    page.goto("/coffre/partages/")
    inspect(page, "g-mes-partages")
    press(page, "Groupes")
    inspect(page, "g-aucun-agent")
    page.goto(f"/coffre/{folder}/partage/")
    page.wait_for_selector("text=Vous seul.")
