"""A PDF of the Coffre in a real Chromium: drawn, read as text, turned and enlarged by the keyboard; none that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.drive_pages import Drive
from tests.fixtures_browser import browser, inspect
from tests.fixtures_drive import noise
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door
from tests.pdf_samples import document, protected, scanned

__all__ = ["browser", "drive", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]
INK = """() => { const one = document.querySelector("[data-drawn] canvas");
    const data = one.getContext("2d").getImageData(0, 0, one.width, one.height).data;
    let dark = 0; for (let at = 0; at < data.length; at += 4) if (data[at] < 100) dark += 1; return dark; }"""


def opened(page: Any, file: Path) -> None:
    page.goto("/coffre/")
    with page.expect_navigation():
        page.set_input_files("#desk input[multiple]", str(file))
    page.click(f".files >> text={file.name}")


def test_pages_are_drawn_with_their_text_and_turned_by_the_keyboard(
    drive: Drive, page: Any, tmp_path: Path
) -> None:
    file = tmp_path / "délibération.pdf"
    file.write_bytes(document([f"Deliberation {number} du conseil municipal" for number in range(1, 31)]))
    opened(page, file)
    page.wait_for_selector("[data-drawn] .words span")
    assert page.locator(".sheet").first.inner_text().strip() == "Deliberation 1 du conseil municipal"
    assert page.evaluate(INK) > 500, "the page has ink"
    assert page.get_attribute(".sheet >> nth=0", "aria-label") == "Page 1"
    assert page.locator("[data-drawn]").count() < 10, "far pages are not drawn"
    inspect(page, "d-pdf")
    page.focus("[data-view]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.input_value("[data-number]") == "3"
    before = page.locator(".sheet").first.bounding_box()["width"]
    page.keyboard.press("+")
    assert page.locator(".sheet").first.bounding_box()["width"] > before
    page.keyboard.press("0")
    page.fill("[data-number]", "30")
    page.press("[data-number]", "Enter")
    page.wait_for_selector(".sheet:nth-of-type(30)[data-drawn]")
    assert "Deliberation 30" in page.locator(".sheet").nth(29).inner_text()
    assert page.is_disabled("[data-next]")
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_function("document.documentElement.scrollWidth <= 360")
    page.wait_for_function(
        "document.querySelector('.sheet').offsetWidth < document.querySelector('[data-view]').clientWidth"
    )


def test_what_cannot_be_shown_is_said_with_the_next_step(drive: Drive, page: Any, tmp_path: Path) -> None:
    for name, data, words in (
        ("secret.pdf", protected("x"), "fermé par un mot de passe"),
        ("faux.pdf", b"%PDF-1.7\nnothing of the kind", "ne peut pas être montré ici"),
    ):
        file = tmp_path / name
        file.write_bytes(data)
        opened(page, file)
        page.wait_for_selector(f"[data-pdf] [data-state]:has-text('{words}')")
        assert page.locator("a:has-text('Télécharger')").first.is_visible()
    page.route("**/coffre/octets/*", lambda route: route.fulfill(status=503, body="<html>"))
    page.reload()
    page.wait_for_selector("[data-pdf] [data-state]:has-text('rechargez la page dans quelques minutes')")


def test_a_scanned_page_is_drawn_without_webassembly(drive: Drive, page: Any, tmp_path: Path) -> None:
    file = tmp_path / "numérisé.pdf"
    file.write_bytes(scanned())
    opened(page, file)
    page.wait_for_selector("[data-drawn] canvas")
    assert page.evaluate(INK) > 50_000


def test_without_javascript_a_pdf_is_downloaded(
    drive: Drive, page: Any, browser: Any, tmp_path: Path
) -> None:
    file = tmp_path / "a.pdf"
    file.write_bytes(document(["x"]))
    opened(page, file)
    context = browser.new_context(java_script_enabled=False, locale="fr-FR")
    context.add_cookies(page.context.cookies())
    bare = context.new_page()
    bare.goto(page.url)
    assert "L’aperçu demande JavaScript" in bare.inner_text("main")
    assert bare.locator("a:has-text('Télécharger')").first.is_visible()
    assert not bare.locator("[data-pdf]").is_visible()
    context.close()


def test_a_page_that_a_cut_kept_back_is_said_and_drawn_once_the_line_is_there_again(
    drive: Drive, page: Any, tmp_path: Path
) -> None:
    file = tmp_path / "long.pdf"
    file.write_bytes(
        document([f"Page {number} " + noise(60_000, b"%d" % number).hex() for number in range(1, 21)])
    )
    opened(page, file)
    page.wait_for_selector("[data-drawn] .words span")
    page.context.set_offline(True)
    page.fill("[data-number]", "15")
    page.press("[data-number]", "Enter")
    page.wait_for_selector("[data-pdf] [data-state]:has-text('La liaison est coupée')")
    page.context.set_offline(False)
    page.wait_for_selector(".sheet:nth-of-type(15)[data-drawn]")
    assert page.inner_text("[data-pdf] [data-state]") == ""
