"""A drop link in a real Chromium: made, opened elsewhere, files handed in, a receipt; held, then released.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from beffroi.drive.store import findings, look
from beffroi.drive.store.findings import Result

from tests.clients.test_drive_link_browser import stranger
from tests.drive_dropping import EXE, PDF
from tests.drive_pages import Drive
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door

__all__ = ["browser", "drive", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]


def made(page: Any, node_id: int) -> str:
    page.goto(f"/coffre/{node_id}/liens/")
    press(page, "Recevoir des fichiers par un lien de dépôt")
    page.click("text=Créer le lien de dépôt")
    address: str = page.input_value("#address")
    return urlsplit(address).path


def test_files_are_handed_in_with_a_receipt_and_read_by_the_maker(
    drive: Drive, page: Any, browser: Any, tmp_path: Path
) -> None:
    folder = drive.folder("Pièces du marché")
    path = made(page, folder.id)
    inspect(page, "d-depot-fait")
    files = {"Acte de vente.pdf": PDF + b"x" * 900_000, "programme.pdf": EXE, "Plan.pdf": PDF}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)

    other = stranger(page, browser, scripts=True)
    other.goto(path)
    inspect(other, "d-depot")
    other.fill("#id_sender", "Me Durand, notaire")
    other.fill("#id_message", "Les pièces de la vente Martin.")
    other.set_input_files("#id_fichier", [str(tmp_path / name) for name in files])
    other.keyboard.press("Tab")
    other.click("text=Envoyer")
    other.locator("text=Une partie est arrivée").wait_for()
    inspect(other, "d-depot-recu")
    reference = other.inner_text("[data-reference]")
    assert len(reference) == 12 and other.locator("#sent li >> text=Arrivé").count() == 2
    assert "Ce type de fichier n’est pas accepté" in other.inner_text("#sent")
    other.click("text=Déposer d’autres fichiers")
    other.set_input_files("#id_fichier", str(tmp_path / "Plan.pdf"))
    other.click("text=Envoyer")
    other.locator("text=Tout est arrivé").wait_for()
    other.goto(f"/partage/depot/?recu={reference}")
    inspect(other, "d-depot-sans-script")
    other.goto("/partage/depot/?refus=drive.quota_full")
    inspect(other, "d-depot-refuse", status=507)
    other.context.close()

    page.goto(f"/coffre/{folder.id}/depots/")
    shown = page.inner_text("main")
    assert "Me Durand, notaire" in shown and reference in shown and "3 fichiers" in shown
    inspect(page, "d-depot-arrive")
    page.goto(f"/coffre/{folder.id}/")
    page.click(".files >> text=Acte de vente.pdf")
    page.locator("text=Pas encore analysé").wait_for()
    inspect(page, "d-pas-analyse")
    with drive.database.reading() as reading:
        node = look.child(reading, folder.id, "Acte de vente.pdf")
    assert node is not None
    result = Result(node.sha256, "m", {"active_pdf": ["Launch"]}, True)
    drive.database.write(lambda w: findings.keep(w, [result], now_s=5))
    page.reload()
    inspect(page, "d-retenu")
    press(page, "Libérer ce fichier")
    assert "Le fichier est libéré" in page.inner_text("main")
    with page.expect_download() as came:
        page.click("text=Télécharger")
    assert Path(came.value.path()).read_bytes() == files["Acte de vente.pdf"]


def test_what_a_cut_left_out_is_sent_again_at_a_press(
    drive: Drive, page: Any, browser: Any, tmp_path: Path
) -> None:
    folder = drive.folder("Pièces")
    path = made(page, folder.id)
    names = ("a.pdf", "b.pdf", "c.pdf", "d.pdf")
    for name in names:
        (tmp_path / name).write_bytes(EXE if name == "a.pdf" else PDF + name.encode())
    other = stranger(page, browser, scripts=True)
    other.goto(path)
    other.fill("#id_sender", "Mme Petit")
    other.set_input_files("#id_fichier", [str(tmp_path / name) for name in names])
    asked: list[bool] = []

    def fail_for_now(route: Any) -> None:
        asked.append(json.loads(b64decode(route.request.headers["x-beffroi-file"]))["again"])
        if len(asked) == 3:
            route.abort()
        elif len(asked) == 4:
            route.fulfill(status=423, json={"code": "drive.locked"})
        else:
            route.continue_()

    other.route("**/fichier", fail_for_now)
    other.click("text=Envoyer")
    other.locator("text=Une partie est arrivée").wait_for()
    assert "réessayez dans quelques minutes" in other.inner_text("#sent li:has-text('d.pdf')")
    assert other.locator("#sent li:has-text('c.pdf') .tag").inner_text() == "Interrompu"
    inspect(other, "d-depot-coupe")
    reference = other.inner_text("[data-reference]")
    other.click("text=Recommencer")
    other.locator("#sent li:has-text('d.pdf') >> text=Arrivé").wait_for()
    # What was refused is not sent again, and still said.
    other.locator("[data-again]").wait_for(state="hidden")
    assert asked == [False] * 4 + [True] * 2 and other.locator("#sent li >> text=Refusé").count() == 1
    assert "Une partie est arrivée" in other.inner_text("[data-state]")
    assert other.inner_text("[data-reference]") == reference
    other.context.close()
    assert sorted(drive.names(folder)) == ["b.pdf", "c.pdf", "d.pdf"]


def test_an_english_sender_keeps_the_page_until_all_arrived(
    drive: Drive, page: Any, browser: Any, tmp_path: Path
) -> None:
    """Who leaves while a file is on its way is asked first; the receipt has the date as the page writes dates."""
    path = made(page, drive.folder("Pièces").id)
    (tmp_path / "plan.pdf").write_bytes(PDF)
    other = stranger(page, browser, scripts=True)
    other.goto(path)
    with other.expect_navigation():
        other.click("text=English")
    other.fill("#id_sender", "Mr Smith")
    other.set_input_files("#id_fichier", str(tmp_path / "plan.pdf"))
    leaves = """() => {
        const event = new Event("beforeunload", { cancelable: true });
        window.dispatchEvent(event);
        return !event.defaultPrevented;
    }"""
    asked: list[bool] = []

    def answer(route: Any) -> None:
        asked.append(other.evaluate(leaves))
        route.continue_()

    other.route("**/fichier", answer)
    other.click("text=Send")
    other.locator("text=Everything has arrived").wait_for()
    assert asked == [False] and other.evaluate(leaves)
    assert re.fullmatch(r"\d+ [A-Z][a-z]+ \d{4} at \d\d?:\d\d", other.inner_text("[data-when]"))
    other.context.close()


def test_without_a_script_one_file_is_handed_in(
    drive: Drive, page: Any, browser: Any, tmp_path: Path
) -> None:
    folder = drive.folder("Pièces")
    path = made(page, folder.id)
    (tmp_path / "acte.pdf").write_bytes(PDF)
    bare = stranger(page, browser, scripts=False)
    bare.goto(path)
    bare.fill("#id_sender", "M. Martin")
    bare.set_input_files("#id_fichier", str(tmp_path / "acte.pdf"))
    bare.click("text=Envoyer")
    bare.locator("h1", has_text="Votre fichier est arrivé").wait_for()
    (tmp_path / "acte.pdf").write_bytes(EXE)
    bare.goto(path)
    bare.fill("#id_sender", "M. Martin")
    bare.set_input_files("#id_fichier", str(tmp_path / "acte.pdf"))
    bare.click("text=Envoyer")
    bare.locator("h1", has_text="Votre fichier n’est pas arrivé").wait_for()
    bare.context.close()
    assert drive.names(folder) == ["acte.pdf"]
