"""Shares in a real Chromium: made by the keyboard, found by a colleague, accepted by another commune, ended.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.identity.models import Membership

from tests.clients.test_drive_link_browser import folder
from tests.conftest import Commune
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door, portal_client, session_cookie

__all__ = ["browser", "drive", "folder", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]


@contextmanager
def somebody(page: Any, browser: Any, membership: Membership) -> Iterator[Any]:
    """A page of another person's browser, at the same portal."""
    address = page.url.partition("/coffre")[0]
    context = browser.new_context(
        base_url=address, locale="fr-FR", viewport={"width": 1280, "height": 900}, accept_downloads=True
    )
    context.add_cookies([session_cookie(portal_client(membership), address)])
    yield context.new_page()
    context.close()


def test_a_folder_is_shared_with_a_colleague_and_ended_in_one_press(
    folder: int, page: Any, browser: Any, beaune: Commune
) -> None:
    press(page, "Partager ce dossier")
    inspect(page, "p-partager")
    page.check(f"input[value='person:{beaune.colleague.id}']")
    page.check("input[value='write']")
    page.click("button:has-text('Partager')")
    page.wait_for_selector("text=C’est partagé.")
    inspect(page, "p-partage")
    with somebody(page, browser, beaune.colleague_membership) as there:
        there.goto("/")
        there.click("a:has-text('Voir'):near(:text('nouveau partage'))")
        inspect(there, "p-avec-moi")
        there.click("a:has-text('Marché 2026')")
        inspect(there, "p-dossier-partage")
        there.set_input_files("#desk input[multiple]", files=[_file("avis.txt")])
        there.wait_for_selector(".files >> text=avis.txt")
        there.click(".files >> text=règlement.txt")
        inspect(there, "p-fichier-partage")
    page.goto("/coffre/partages/")
    inspect(page, "p-mes-partages")
    press(
        page,
        "Arrêter le partage de Marché 2026\N{NO-BREAK SPACE}: " + beaune.colleague_membership.person.name,
    )
    page.wait_for_selector("text=Le partage est arrêté.")
    with somebody(page, browser, beaune.colleague_membership) as there:
        there.goto("/coffre/partages-avec-moi/")
        inspect(there, "p-rien")


def test_another_commune_accepts_visits_writes_and_loses_it(
    folder: int, page: Any, browser: Any, nuits: Commune, tmp_path: Path
) -> None:
    page.click("a:has-text('Partager ce dossier')")
    for asked, focused in (("personne de ce nom", ".empty"), ("nuits", "fieldset")):
        page.fill("#id_who", asked)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"{focused}:focus")
        inspect(page, "p-cherche-" + focused.strip("."))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "with", "what was found comes next"
    page.check(f"input[value='collectivite:{nuits.id}']")
    inspect(page, "p-commune")
    page.check("input[value='write']")
    page.click("button:has-text('Partager')")
    page.wait_for_selector("text=Pas encore de réponse")
    with somebody(page, browser, nuits.referent_membership) as there:
        there.goto("/")
        there.click("a:has-text('Répondre')")
        inspect(there, "p-propose")
        there.click("button:has-text('Accepter')")
        there.wait_for_selector("text=C’est accepté")
        there.click("a:has-text('Marché 2026')")
        inspect(there, "p-visite")
        file = tmp_path / "relevé.txt"
        file.write_text("un relevé")
        there.set_input_files("#desk input[multiple]", str(file))
        there.wait_for_selector(".files >> text=relevé.txt")
        there.click(".files >> text=règlement.txt")
        inspect(there, "p-visite-fichier")
        with there.expect_download() as waiting:
            there.click("a:has-text('Télécharger')")
        assert Path(waiting.value.path()).read_text() == "le règlement"
        page.goto(f"/coffre/{folder}/")
        page.wait_for_selector(".files >> text=relevé.txt")
        page.goto("/coffre/partages/")
        page.click("button:has-text('Arrêter')")
        page.wait_for_selector("text=Le partage est arrêté.")
        there.reload()
        assert there.evaluate("performance.getEntriesByType('navigation')[0].responseStatus") == 404


def _file(name: str) -> dict[str, Any]:
    return {"name": name, "mimeType": "text/plain", "buffer": b"oui"}
