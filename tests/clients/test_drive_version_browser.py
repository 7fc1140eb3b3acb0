"""Earlier versions in a real Chromium: an image, a PDF drawn in the page, a document's first pages; from file to
version and back, by keyboard too.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from tests import office_samples, waiting
from tests.clients.test_drive_office_browser import drive, office, page
from tests.drive_pages import Drive
from tests.drive_pictures import png
from tests.fixtures_browser import browser, inspect
from tests.fixtures_portal import no_door
from tests.pdf_samples import document

__all__ = ["browser", "drive", "no_door", "office", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]
DRAWN = "img => img.complete && img.naturalWidth > 0"
SEND = """async ([folder, name, text]) => {
  const body = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const told = { folder, name, size_bytes: body.length, taken: "replace" };
  const answer = await fetch("/coffre/envoi/fichier", {
    method: "POST", body, headers: { "X-Beffroi-File": encodeURIComponent(JSON.stringify(told)) },
  });
  return (await answer.json()).node;
}"""


def replaced(page: Any, folder: int, name: str, *contents: bytes) -> int:
    """A file that had these contents, one after the other; its number."""
    page.goto("/coffre/")
    for data in contents:
        node = page.evaluate(SEND, [folder, name, base64.b64encode(data).decode()])
    return int(node)


def test_a_version_of_an_image_is_seen_and_its_neighbours_are_a_key_away(drive: Drive, page: Any) -> None:
    node = replaced(page, drive.own.id, "façade.png", *(png(random.Random(seed)) for seed in (1, 2, 3)))
    page.goto(f"/coffre/{node}/")
    inspect(page, "v-fichier")
    page.get_by_role("link", name="Voir").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Version écrite')")
    waiting.until(lambda: page.eval_on_selector("img.view", DRAWN), "the picture")
    inspect(page, "v-image")
    newer = page.get_attribute("img.view", "src")
    page.get_by_role("link", name="Version plus ancienne").press("Enter")
    page.wait_for_selector("a:has-text('Version plus récente')")
    waiting.until(lambda: page.eval_on_selector("img.view", DRAWN), "the older picture")
    assert page.get_attribute("img.view", "src") != newer
    page.click("button:has-text('Rétablir')")
    page.wait_for_selector("h1:has-text('façade.png')")
    assert page.locator("#h-versions ~ ul > li").count() == 3


def test_a_pdf_and_a_document_are_drawn_as_they_were(drive: Drive, page: Any) -> None:
    node = replaced(page, drive.own.id, "plan.pdf", document(["Ancien tracé"]), document(["Nouveau tracé"]))
    page.goto(f"/coffre/{node}/")
    page.get_by_role("link", name="Voir").first.click()
    page.wait_for_selector("[data-drawn] .words span")
    assert "Ancien tracé" in page.inner_text(".words")
    inspect(page, "v-pdf")
    node = replaced(
        page,
        drive.own.id,
        "note.odt",
        office_samples.text("Ancienne note"),
        office_samples.text("Note"),
    )
    page.goto(f"/coffre/{node}/")
    page.get_by_role("link", name="Voir").first.click()
    page.wait_for_selector("img.view")
    waiting.until(lambda: page.eval_on_selector("img.view", DRAWN), "the first page")
    inspect(page, "v-document")


def test_what_cannot_be_shown_says_so(drive: Drive, page: Any) -> None:
    node = replaced(page, drive.own.id, "vide.txt", b"", b"deux")
    page.goto(f"/coffre/{node}/")
    page.get_by_role("link", name="Voir").first.click()
    page.wait_for_selector("text=Cette version est vide")
    inspect(page, "v-vide")
