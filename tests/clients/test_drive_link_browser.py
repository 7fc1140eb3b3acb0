"""A link in a real Chromium: made with a password, copied, opened elsewhere, downloaded, ended, closed.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.drive_pages import Drive
from tests.fixtures_browser import browser, inspect, press, tab_to
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door

__all__ = ["browser", "drive", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]
PASSWORD = "un mot de passe"
SAID = r"one => one.textContent.replace(/[ \n]+/g, ' ').trim()"


def stranger(page: Any, browser: Any, *, scripts: bool) -> Any:
    """A page of somebody else's browser, at the same portal."""
    context = browser.new_context(
        base_url=page.url.partition("/coffre")[0],
        locale="fr-FR",
        viewport={"width": 1280, "height": 900},
        accept_downloads=True,
        java_script_enabled=scripts,
    )
    return context.new_page()


@pytest.fixture
def folder(drive: Drive, page: Any, tmp_path: Path) -> Iterator[int]:
    """A folder with a file and a folder in it, sent by its agent; the agent's page stands there."""
    inside = tmp_path / "Marché 2026" / "Plans"
    inside.mkdir(parents=True)
    (inside.parent / "règlement.txt").write_text("le règlement")
    (inside / "plan.txt").write_text("le plan")
    page.goto("/coffre/")
    with page.expect_navigation():
        page.set_input_files("#desk input[webkitdirectory]", str(inside.parent))
    page.click(".files >> text=Marché 2026")
    page.wait_for_selector("h1:has-text('Marché 2026')")
    yield int(page.url.rstrip("/").rpartition("/")[2])


def test_a_link_with_a_password_is_made_opened_elsewhere_ended_and_closed(
    folder: int, page: Any, browser: Any
) -> None:
    page.click("text=Partager ce dossier par un lien")
    inspect(page, "d-lien-nouveau")
    page.select_option("#id_days", "7")
    page.fill("#id_password", PASSWORD)
    page.fill("#id_downloads", "3")
    page.click("text=Créer le lien")
    address = page.input_value("#address")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("text=Copier le lien")
    page.locator("button", has_text="Copié").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == address
    assert "encore 3 téléchargements" in page.inner_text("main")
    inspect(page, "d-lien-fait")
    page.goto("/coffre/liens/")
    taken = page.locator("main .rows").get_by_text
    taken("encore 3 téléchargements").wait_for()

    other = stranger(page, browser, scripts=True)
    requested: list[str] = []
    other.on("request", lambda request: requested.append(request.url))
    other.goto(urlsplit(address).path)
    inspect(other, "d-lien-mot-de-passe")
    assert "Marché 2026" not in other.content()
    other.fill("#id_password", "un autre mot")
    other.keyboard.press("Enter")
    other.locator("#id_password_error").wait_for()
    inspect(other, "d-lien-mot-de-passe-faux", status=403)
    other.fill("#id_password", PASSWORD)
    other.keyboard.press("Enter")
    other.locator("h1", has_text="Marché 2026").wait_for()
    inspect(other, "d-lien")
    with other.expect_download() as came:
        other.click("text=règlement.txt")
    assert came.value.suggested_filename == "règlement.txt"
    assert Path(came.value.path()).read_text() == "le règlement"
    other.click(".files >> text=Plans")
    inspect(other, "d-lien-dossier")
    with other.expect_download() as came:
        other.click("text=Tout télécharger (ZIP)")
    assert came.value.suggested_filename == "Marché 2026.zip"
    # The pages that are open say so by themselves: the list of links when one comes back to it.
    kept = page.locator("main .rows .btn").element_handle()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    taken("encore 1 téléchargement").wait_for()
    assert kept.evaluate("one => one.isConnected"), "the buttons stay where they are"
    inspect(page, "d-liens-suivis")
    # That of the link, a moment after.
    other.locator("#left").get_by_text("1", exact=True).wait_for()
    other.reload()
    assert "Téléchargements restants\n1" in other.inner_text("main")
    assert {urlsplit(one).netloc for one in requested} == {urlsplit(other.url).netloc}

    page.reload()
    inspect(page, "d-liens")
    press(page, page.locator("main .rows .btn").evaluate(SAID))
    inspect(page, "d-lien-arreter")
    page.click("button:has-text('Arrêter le lien')")
    assert "plus personne ne peut l’ouvrir" in page.inner_text("main")
    other.click("text=Tout télécharger (ZIP)")
    other.locator("h1", has_text="Ce lien n’existe pas ou n’est plus ouvert").wait_for()
    inspect(other, "d-lien-ferme", status=404)
    other.goto(urlsplit(address).path)
    assert "Marché 2026" not in other.content()
    other.context.close()


def test_a_folder_is_shared_by_a_link_and_that_ended_by_the_keyboard_alone(
    folder: int, page: Any, browser: Any
) -> None:
    press(page, "Partager ce dossier par un lien")
    for wanted in ("id_days", "id_password"):
        tab_to(page, wanted)
        page.keyboard.type("7" if wanted == "id_days" else PASSWORD)
    press(page, "Créer le lien")
    tab_to(page, "address")
    path = urlsplit(page.evaluate("document.activeElement.value")).path
    other = stranger(page, browser, scripts=True)
    other.goto(path)
    tab_to(other, "id_password")
    other.keyboard.type(PASSWORD)
    press(other, "Ouvrir")
    press(other, other.locator(".files a", has_text="Plans").evaluate(SAID))
    other.wait_for_selector("text=plan.txt")
    press(page, page.locator("main .rows .btn").evaluate(SAID))
    press(page, "Arrêter le lien")
    assert "plus personne ne peut l’ouvrir" in page.inner_text("main")
    other.reload()
    other.locator("h1", has_text="Ce lien n’existe pas ou n’est plus ouvert").wait_for()
    other.context.close()


def test_without_a_script_a_link_is_made_and_used(folder: int, page: Any, browser: Any) -> None:
    bare = stranger(page, browser, scripts=False)
    bare.context.add_cookies(page.context.cookies())
    bare.goto(f"/coffre/{folder}/liens/")
    bare.fill("#id_password", PASSWORD)
    bare.click("text=Créer le lien")
    assert not bare.locator("text=Copier le lien").is_visible()
    path = urlsplit(bare.input_value("#address")).path
    other = stranger(page, browser, scripts=False)
    other.goto(path)
    other.fill("#id_password", PASSWORD)
    other.click("button:has-text('Ouvrir')")
    other.click(".files >> text=Plans")
    with other.expect_download() as came:
        other.click(".files >> text=plan.txt")
    assert Path(came.value.path()).read_text() == "le plan"
    bare.context.close()
    other.context.close()


def test_who_comes_back_to_a_link_that_was_shown_once_makes_no_second_one(drive: Drive, page: Any) -> None:
    page.goto(f"/coffre/{drive.file('plan.pdf').id}/liens/")
    page.click("text=Créer le lien")
    page.wait_for_selector("#address")
    page.goto("/coffre/liens/")
    page.go_back()
    page.wait_for_selector("button:has-text('Créer le lien')")
    page.reload()
    page.wait_for_selector("button:has-text('Créer le lien')")
    assert page.locator("#address").count() == 0
    assert page.get_by_role("link", name="Arrêter").count() == 1


def test_who_presses_again_while_a_slow_line_is_awaited_sends_once(drive: Drive, page: Any) -> None:
    page.goto(f"/coffre/{drive.file('plan.pdf').id}/liens/")
    page.evaluate(
        """() => {
            window.sent = 0;
            window.addEventListener("submit", (event) => {
                if (!event.defaultPrevented) window.sent += 1;
                event.preventDefault();  // the line that is awaited
            });
        }"""
    )
    page.click("text=Créer le lien")
    page.wait_for_timeout(2500)  # longer than a double click
    page.click("text=Créer le lien")
    assert page.evaluate("window.sent") == 1
    page.select_option("#id_days", "7")
    page.click("text=Créer le lien")
    assert page.evaluate("window.sent") == 2, "what was changed is meant"
