"""Documents of the Coffre in a real Chromium: first pages, the editor's frame, a new document.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beffroi.previews import server as previews_server
from django.conf import settings as django_settings

from tests import office_editor
from tests import office_samples as samples
from tests.browsing import sound_page
from tests.conftest import STATE, Commune
from tests.drive_desk import joined
from tests.drive_pages import Drive
from tests.drive_server import served
from tests.fixtures_browser import browser, inspect
from tests.fixtures_portal import no_door
from tests.office_editor import Office
from tests.photo_samples import photo
from tests.previewing import Previews

__all__ = ["browser", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]


@pytest.fixture(autouse=True)
def office(settings: Any) -> Iterator[Office]:
    own = STATE / "beffroi.toml"
    before = own.read_text()
    with office_editor.serving() as one:
        own.write_text(f'{before}office_editor = "{one.origin}"\n')
        settings.BEFFROI = replace(settings.BEFFROI, office_editor=one.origin)
        yield one
    own.write_text(before)


@pytest.fixture
def drive(committed: str, beaune: Commune) -> Drive:
    return Drive(beaune.agent_membership)


@pytest.fixture
def page(drive: Drive, beaune: Commune, browser: Any, live_server: Any, tmp_path: Path) -> Iterator[Any]:
    previews = Previews(STATE)
    with (
        served(STATE) as server,
        joined(
            tmp_path, web=live_server.url, drive_port=server.port, run=django_settings.BEFFROI.run
        ) as address,
        sound_page(browser, address, beaune.agent_membership) as opened,
    ):
        yield opened
    previews.end()
    previews_server.socket_path(STATE).unlink()


def test_a_document_is_shown_opened_closed_and_a_new_one_is_made(
    page: Any, drive: Drive, office: Office, tmp_path: Path
) -> None:
    document = tmp_path / "Délibération 12.odt"
    document.write_bytes(samples.text("Le conseil municipal décide.", *["Ligne"] * 80))
    page.goto("/coffre/")
    with page.expect_navigation():
        page.set_input_files("#desk input[multiple]", document)
    page.get_by_role("link", name="Délibération 12.odt").click()
    page.get_by_role("img", name="Délibération 12.odt, page 2").wait_for()
    inspect(page, "office-file")
    page.get_by_role("link", name="Modifier en ligne").click()
    frame = page.frame_locator("iframe.office")
    frame.get_by_role("heading", name="Éditeur d’essai").wait_for()
    assert set(office.opened[-1]) == {"access_token", "access_token_ttl"}
    inspect(page, "office-edit")
    frame.get_by_role("button", name="Fermer").click()
    page.get_by_role("heading", name="Versions précédentes").wait_for()
    page.goto("/coffre/")
    page.get_by_text("Nouveau document").click()
    inspect(page, "office-new")
    page.get_by_label("Genre de document").select_option("tableur")
    page.get_by_label("Nom du document").fill("Budget")
    page.keyboard.press("Enter")
    page.frame_locator("iframe.office").get_by_role("heading", name="Éditeur d’essai").wait_for()
    assert "Budget.ods" in drive.names()


def test_photos_are_an_album_that_is_ticked_starred_and_opened_from(
    page: Any, drive: Drive, tmp_path: Path
) -> None:
    sent = {
        "Fête de la Saint-Jean devant la salle polyvalente.jpg": photo("jpg", 800, 600),
        "telephone.heic": photo("heic", 300, 400),
        "cassée.png": b"no picture",
        "Compte rendu.txt": b"x",
    }
    files = [{"name": name, "mimeType": "", "buffer": data} for name, data in sent.items()]
    page.goto("/coffre/")
    with page.expect_navigation():
        page.set_input_files("#desk input[multiple]", files=files)
    page.goto("/coffre/")
    page.click("a:text-is('vignettes')")
    drawn = (
        "() => [...document.querySelectorAll('.thumb img')].filter(one => one.naturalWidth > 0).length == 2"
    )
    page.wait_for_function(drawn)
    inspect(page, "d-album")
    tiles = page.locator("ul.album > li")
    assert tiles.count() == 4
    box = tiles.first.bounding_box()
    assert box["height"] > 100 and box["width"] > 100
    page.locator("ul.album input").first.check()
    page.locator("ul.album .star").first.click()
    page.wait_for_selector("ul.album .star[aria-pressed=true]")
    page.get_by_role("link", name="telephone.heic").click()
    page.wait_for_function("() => document.querySelector('img.view').naturalWidth == 300")
    inspect(page, "d-photo")


def test_a_document_that_cannot_be_shown_says_why(page: Any, drive: Drive, tmp_path: Path) -> None:
    document = tmp_path / "Cassé.docx"
    document.write_bytes(b"PK\x03\x04 broken")
    page.goto("/coffre/")
    with page.expect_navigation():
        page.set_input_files("#desk input[multiple]", document)
    page.get_by_role("link", name="Cassé.docx").click()
    page.get_by_text("Ce document ne peut pas être montré ici").wait_for()
    inspect(page, "office-broken")
