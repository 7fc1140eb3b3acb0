"""Search by content, stars and comparison in a real Chromium before the real processes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from beffroi.scan import wire
from beffroi.scan.rules import directory
from django.conf import settings

from tests import waiting
from tests.conftest import STATE
from tests.drive_pages import Drive
from tests.fixtures_browser import browser, inspect
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door
from tests.pdf_samples import document
from tests.scan_samples import docx
from tests.waiting import PATIENCE_S

__all__ = ["browser", "drive", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]


@pytest.fixture
def scanner() -> Iterator[None]:
    for folder in (wire.folder(STATE), wire.files_folder(STATE), directory(STATE)):
        folder.mkdir(exist_ok=True)
    process = subprocess.Popen((sys.executable, "-m", "beffroi.scan"))

    def answers() -> bool:
        with contextlib.suppress(OSError, wire.Ended):
            return wire.ask(wire.files_socket_path(STATE), wire.PING) == b"PONG"
        return False

    waiting.until(answers, "the scanner")
    yield
    process.terminate()
    process.wait(PATIENCE_S)


def send(page: Any, folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    page.goto("/coffre/")
    with page.expect_navigation():
        page.set_input_files("#desk input[multiple]", [str(folder / name) for name in files])


def test_a_passage_is_found_in_a_pdf_and_in_a_text(
    drive: Drive, scanner: None, page: Any, tmp_path: Path
) -> None:
    text = "Conseil du 12 juin.\nLe conseil fixe le tarif de la cantine à 3,20 €, pour toutes les écoles.\n"
    send(
        page,
        tmp_path,
        {
            "Conseil de juin.txt": text.encode(),
            "Tarifs.pdf": document(["Tarifs de la cantine pour la rentree"]),
            "Photo de la cantine.jpg": b"\xff\xd8\xff",
        },
    )

    def found() -> int:
        page.goto("/coffre/recherche/?q=CANTINES")
        return int(page.locator(".files .passage").count())

    waiting.until(lambda: found() == 2, "the index")
    inspect(page, "d-contenus")
    assert page.locator(".passage mark").all_inner_texts() == ["cantine", "cantine"]
    page.fill("#id_q", "cantine")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=3 éléments trouvés")
    page.goto("/coffre/recherche/?q=xylophone")
    inspect(page, "d-rien")
    page.goto("/coffre/recherche/")
    inspect(page, "d-recherche-vide")


def test_a_star_is_put_by_the_keyboard_and_listed(drive: Drive, page: Any) -> None:
    drive.folder("Délibérations")
    drive.file("un nom de fichier vraiment très long pour voir s’il tient dans la page.odt")
    page.goto("/coffre/")
    star = page.locator(".files .star").first
    star.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".star[aria-pressed=true]")
    assert page.url.endswith("/coffre/") and "Favori : Délibérations" in star.inner_text().replace(
        "\xa0", " "
    )
    inspect(page, "d-etoiles")
    page.click(".files >> text=un nom")
    page.locator(".head-star .star").press("Space")
    page.wait_for_selector(".head-star .star[aria-pressed=true]")
    inspect(page, "d-fichier-etoile")
    page.goto("/coffre/favoris/")
    assert page.locator(".files .name").count() == 2
    inspect(page, "d-favoris")
    page.locator(".files .star").first.click()
    page.wait_for_selector(".star[aria-pressed=false]")
    page.reload()
    assert page.locator(".files .name").count() == 1


def test_two_versions_are_compared_side_by_side(drive: Drive, page: Any, tmp_path: Path) -> None:
    lines = [f"Article {number} : disposition générale du règlement intérieur." for number in range(1, 31)]
    send(page, tmp_path, {"règlement.txt": "\n".join(lines).encode()})
    lines[4] = "Article 5 : disposition particulière du règlement intérieur."
    del lines[10]
    lines.insert(20, "Article 20 bis : <script>alert(1)</script> les séances sont publiques.")
    (tmp_path / "règlement.txt").write_text("\n".join(lines))
    page.set_input_files("#desk input[multiple]", str(tmp_path / "règlement.txt"))
    with page.expect_navigation():
        page.click("[data-asked] button[value=replace]")
    page.click(".files >> text=règlement.txt")
    page.click("a:has-text('Comparer')")
    page.wait_for_selector("table.diff")
    assert page.locator("tr.changed del").all_inner_texts() == ["générale"]
    assert page.locator("tr.changed ins").all_inner_texts() == ["particulière"]
    assert page.locator("tr.removed").count() == page.locator("tr.added").count() == 1
    assert "<script>" in page.inner_text("tr.added")
    inspect(page, "d-comparer")
    assert "2 lignes retirées ou changées" in page.inner_text("main")


def test_two_versions_of_a_document_are_compared_by_their_text(
    drive: Drive, scanner: None, page: Any, tmp_path: Path
) -> None:
    send(page, tmp_path, {"lettre.docx": docx("Tarif de la cantine 3 euros")})
    (tmp_path / "lettre.docx").write_bytes(docx("Tarif de la cantine 4 euros"))
    page.set_input_files("#desk input[multiple]", str(tmp_path / "lettre.docx"))
    with page.expect_navigation():
        page.click("[data-asked] button[value=replace]")
    page.click(".files >> text=lettre.docx")
    page.click("a:has-text('Comparer')")
    page.wait_for_selector("table.diff")
    assert page.locator("tr.changed del").all_inner_texts() == ["3"]
    assert page.locator("tr.changed ins").all_inner_texts() == ["4"]
    assert "Seul le texte est comparé" in page.inner_text("main")
    inspect(page, "d-comparer-document")


def test_what_cannot_be_compared_is_said(drive: Drive, page: Any, tmp_path: Path) -> None:
    send(page, tmp_path, {"faux.txt": b"\0\1\2"})
    (tmp_path / "faux.txt").write_bytes(b"du texte")
    page.set_input_files("#desk input[multiple]", str(tmp_path / "faux.txt"))
    with page.expect_navigation():
        page.click("[data-asked] button[value=replace]")
    page.click(".files >> text=faux.txt")
    page.click("a:has-text('Comparer')")
    page.wait_for_selector(".say:has-text('n’est pas du texte')")
    inspect(page, "d-comparer-non")


def test_a_star_that_nobody_is_signed_in_for_is_not_shown_as_put(drive: Drive, page: Any) -> None:
    drive.folder("Délibérations")
    page.goto("/coffre/")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    with page.expect_navigation():
        page.locator(".files .star").first.click()
    assert "/coffre/" not in page.url.partition("?")[0], "the page of the sign-in"
