"""The Coffre by the keyboard in a real Chromium: after each action the focus is where one goes on.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.drive_pages import Drive
from tests.fixtures_browser import browser, inspect
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door

__all__ = ["browser", "drive", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]


def focus(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.className"))


def test_names_ticks_and_one_step_back_by_the_keyboard_alone(drive: Drive, page: Any) -> None:
    drive.folder("Conseil")
    for name in ("plan.pdf", "budget.ods"):
        drive.file(name)
    page.goto("/coffre/")
    page.focus("summary:has-text('Nouveau dossier')")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("conseil")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id == 'id_name'")
    inspect(page, "r-nom-pris")
    assert page.input_value("#id_name") == "conseil"
    page.goto("/coffre/")
    page.focus("[data-all]")
    assert page.inner_text("[data-all]") == "Tout cocher"
    page.keyboard.press("Enter")
    assert page.inner_text("[data-all]") == "Tout décocher"
    page.keyboard.press("Enter")
    assert page.inner_text("[data-ticked]") == "Rien n’est coché."
    page.focus("[aria-label='Cocher plan.pdf']")
    page.keyboard.press("Space")
    assert page.inner_text("[data-all]") == "Tout cocher"
    page.focus("#acts button[value=delete]")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.wait_for_selector("text=1 élément mis à la corbeille.")
    assert focus(page) == "say good"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Annuler"
    inspect(page, "r-annuler")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.wait_for_selector("text=C’est annulé")
    assert drive.names() == ["Conseil", "budget.ods", "plan.pdf"]


def test_who_stops_a_sending_or_answers_it_by_the_keyboard_keeps_the_focus(drive: Drive, page: Any) -> None:
    drive.file("plan.txt")
    page.goto("/coffre/")
    files = "#desk input[type=file][multiple]"
    again = {"name": "plan.txt", "mimeType": "text/plain", "buffer": b"2"}
    page.set_input_files(files, [again, {**again, "name": "x/y"}])
    page.wait_for_selector("[data-asked]:not([hidden])")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # Passer
    page.wait_for_selector("text=1 fichier refusé")
    assert page.evaluate("document.activeElement.matches('[data-state]')")
    page.route("**/coffre/envoi/**", lambda route: route.abort())
    page.set_input_files(files, [{**again, "name": name} for name in ("a.txt", "b.txt")])
    page.wait_for_selector("text=La liaison est coupée.")
    page.focus("button[data-stop]")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Envoi arrêté. Aucun fichier arrivé.")
    assert page.evaluate("document.activeElement.matches('[data-state]')")
    assert page.locator("[data-list] .tag:has-text('Arrêté')").count() == 2, "none says that it waits"
    inspect(page, "r-arrete")
