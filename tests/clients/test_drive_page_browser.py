"""The Coffre in a real Chromium before the real processes: sent, cut, resumed, moved, undone, given back, scrolled.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.store import tree
from beffroi.drive.store.model import EMPTY

from tests.drive_pages import Drive
from tests.effort import counted
from tests.fixtures_browser import browser, inspect
from tests.fixtures_drive import noise
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door

__all__ = ["browser", "drive", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63b8a9a60300032b0137f4ce99be"
    "0000000049454e44ae426082"
)


def put(drive: Drive, count: int) -> None:
    folder = drive.folder("Beaucoup")

    def fill(writing: Any) -> None:
        for number in range(count):
            tree.put(writing, drive.act, folder.id, f"Pièce {number}.pdf", EMPTY)

    drive.database.write(fill)


def test_a_folder_is_sent_previewed_renamed_and_downloaded(drive: Drive, page: Any, tmp_path: Path) -> None:
    photos = tmp_path / "Photos du marché"
    (photos / "Été").mkdir(parents=True)
    (photos / "Été" / "place.png").write_bytes(PNG)
    (photos / "note.txt").write_text("<b>Réunion</b> jeudi", "utf-8")
    page.goto("/coffre/")
    inspect(page, "d-coffre-vide")
    with page.expect_navigation():
        page.set_input_files("#desk input[webkitdirectory]", str(photos))
    page.wait_for_selector(".say:focus:has-text('2 fichiers sont arrivés.')")
    page.wait_for_selector(".files >> text=Photos du marché")
    inspect(page, "d-coffre")
    page.click(".files >> text=Photos du marché")
    page.wait_for_selector("h1:has-text('Photos du marché')")
    page.click(".files >> text=note.txt")
    frame = page.frame_locator("iframe.view")
    assert frame.locator("body").inner_text() == "<b>Réunion</b> jeudi"
    inspect(page, "d-texte")
    page.click("summary:has-text('Renommer ce fichier')")
    page.fill("#id_new_name", "Réunion.txt")
    page.keyboard.press("Enter")
    page.wait_for_selector(".say:has-text('C’est renommé.')")
    page.click(".files >> text=Été")
    page.click(".files >> text=place.png")
    assert page.locator("img.view").evaluate("one => one.decode().then(() => one.naturalWidth)") == 1
    inspect(page, "d-image")
    with page.expect_download() as waiting:
        page.click("a:has-text('Télécharger')")
    assert waiting.value.suggested_filename == "place.png"
    assert Path(waiting.value.path()).read_bytes() == PNG
    page.goto("/coffre/")
    page.locator(".files input").first.check()
    with page.expect_download() as waiting:
        page.click("#acts >> text=Télécharger")
    assert waiting.value.suggested_filename == "Photos du marché.zip"


LITTER = (
    "Thumbs.db",
    "desktop.ini",
    ".DS_Store",
    "._note.txt",
    "~$devis.docx",
    ".~lock.plan.odt#",
    "~WRL0005.tmp",
)


def test_what_systems_leave_in_a_folder_is_left_out_and_said(drive: Drive, page: Any, tmp_path: Path) -> None:
    folder = tmp_path / "Marché"
    (folder / "__MACOSX").mkdir(parents=True)
    for name in (*LITTER, "note.txt", "Thumbs.db.txt", "__MACOSX/image"):
        (folder / name).write_text("x")
    page.goto("/coffre/")
    with page.expect_navigation():
        page.set_input_files("#desk input[webkitdirectory]", str(folder))
    page.wait_for_selector(".say:has-text('2 fichiers sont arrivés. 8 fichiers laissés de côté')")
    inspect(page, "d-laisses")
    page.click(".files >> text=Marché")
    page.wait_for_selector("h1:has-text('Marché')")
    assert page.locator(".files .name").all_inner_texts() == ["note.txt", "Thumbs.db.txt"]
    page.goto("/coffre/")
    only = tmp_path / "Rien"
    only.mkdir()
    (only / "Thumbs.db").write_text("x")
    page.set_input_files("#desk input[webkitdirectory]", str(only))
    page.wait_for_selector("[data-left-out]:has-text('1 fichier laissé de côté')")
    assert page.inner_text("#desk [data-state]") == "Aucun fichier arrivé."
    inspect(page, "d-laisse")
    with page.expect_navigation():
        page.set_input_files("#desk input[multiple]", str(only / "Thumbs.db"))
    page.wait_for_selector(".files >> text=/^Thumbs.db$/")


def test_a_large_file_is_cut_paused_and_goes_on(drive: Drive, page: Any, tmp_path: Path) -> None:
    film = tmp_path / "conseil.mp4"
    film.write_bytes(noise(26 * 1024 * 1024))
    page.goto("/coffre/")
    sent: list[str] = []

    def cut(route: Any) -> None:
        sent.append(route.request.url.rpartition("/")[2])
        if sent.count("3") == 1 and sent[-1] == "3":
            page.context.set_offline(True)
        route.continue_()

    page.route("**/coffre/envoi/*/*", cut)
    page.set_input_files("#desk input[multiple]", str(film))
    page.wait_for_selector("#desk [data-state]:has-text('La liaison est coupée')")
    inspect(page, "d-coupure")
    page.click("button[data-pause]")
    page.wait_for_selector("#desk [data-state]:has-text('En pause.')")
    page.context.set_offline(False)
    before = len(sent)
    page.wait_for_timeout(1500)
    assert len(sent) == before, "a pause sends nothing"
    with page.expect_navigation():
        page.click("button[data-pause]")
    page.wait_for_selector(".files >> text=conseil.mp4")
    assert sent.count("1") == sent.count("2") == 1, "what had arrived was not sent again"
    with page.expect_download() as waiting:
        page.locator(".files a").first.click()
        page.click("a:has-text('Télécharger')")
    assert Path(waiting.value.path()).read_bytes() == film.read_bytes()


def test_a_taken_name_is_asked_about_and_a_version_comes_back(
    drive: Drive, page: Any, tmp_path: Path
) -> None:
    budget = tmp_path / "budget.txt"
    budget.write_text("janvier")
    page.goto("/coffre/")
    with page.expect_navigation():
        page.set_input_files("#desk input[multiple]", str(budget))
    page.evaluate("""() => {
        const data = new DataTransfer();
        data.items.add(new File(["février"], "budget.txt", { lastModified: Date.now() }));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }""")
    page.wait_for_selector("[data-asked]:not([hidden]) >> text=« budget.txt » existe déjà ici.")
    assert page.evaluate("document.activeElement.textContent") == "Garder les deux"
    inspect(page, "d-conflit")
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert drive.names() == ["budget.txt"]
    page.click(".files >> text=budget.txt")
    inspect(page, "d-versions")
    with page.expect_navigation():
        page.click("button:has-text('Rétablir')")
    page.wait_for_selector(".say:has-text('Cette version est rétablie.')")
    assert page.frame_locator("iframe.view").locator("body").inner_text() == "janvier"


def chosen(page: Any, *names: str) -> None:
    page.set_input_files(
        "#desk input[multiple]", [{"name": one, "mimeType": "text/plain", "buffer": b"x"} for one in names]
    )


def test_what_is_stopped_at_a_question_or_in_a_pause_begins_anew(drive: Drive, page: Any) -> None:
    for name in ("a.txt", "b.txt"):
        drive.file(name)
    page.goto("/coffre/")
    chosen(page, "a.txt", "b.txt")
    page.wait_for_selector("[data-asked]:not([hidden]) >> text=« a.txt » existe déjà ici.")
    page.click("button[data-stop]")
    page.wait_for_selector("[data-asked]", state="hidden")
    page.wait_for_selector("#desk [data-state]:has-text('Envoi arrêté.')")
    assert page.evaluate("document.activeElement.matches('[data-state]')")
    chosen(page, "a.txt")
    page.wait_for_selector("[data-asked]:not([hidden])")
    page.click("button[data-pause]")
    page.wait_for_selector("#desk [data-state]:has-text('En pause.')")
    page.click("button[data-stop]")
    page.wait_for_selector("#desk [data-state]:has-text('Envoi arrêté.')")
    with page.expect_navigation():
        chosen(page, "c.txt")
    assert drive.names() == ["a.txt", "b.txt", "c.txt"]


def test_an_answer_for_all_holds_for_what_was_sent_together(drive: Drive, page: Any) -> None:
    drive.file("a.txt")
    page.goto("/coffre/")
    chosen(page, "a.txt", ".." * 200)
    page.check("[data-asked] input")
    page.click("[data-asked] button[value=replace]")
    page.wait_for_selector("[data-reload]:not([hidden])")
    chosen(page, "a.txt")
    page.wait_for_selector("[data-asked]:not([hidden])")
    assert not page.is_checked("[data-asked] input")


def test_what_cannot_be_read_of_a_dropped_folder_is_said_and_the_rest_is_sent(
    drive: Drive, page: Any
) -> None:
    """A stand-in for the browser's entries: no drop of a real folder can be made by a program."""
    page.goto("/coffre/")
    page.evaluate("""() => {
        const text = { isFile: true, name: "note.txt", file: (on) => on(new File(["x"], "note.txt")) };
        const gone = { isFile: true, name: "parti.txt", file: (on, off) => off(new DOMException("gone")) };
        const parts = [[gone, text], []];
        const folder = { name: "Réunion", createReader: () => ({ readEntries: (on) => on(parts.shift()) }) };
        const event = new Event("drop", { bubbles: true, cancelable: true });
        event.dataTransfer = { types: ["Files"], items: [{ webkitGetAsEntry: () => folder }] };
        document.body.dispatchEvent(event);
    }""")
    page.wait_for_selector("#desk [data-list] li:has-text('parti.txt'):has-text('ne peut pas être lu')")
    page.wait_for_selector("[data-reload]:not([hidden])")
    (made,) = drive.names()
    assert made == "Réunion"


def test_many_are_moved_undone_deleted_and_given_back(drive: Drive, page: Any) -> None:
    for name in ("Délibérations", "Marchés publics"):
        drive.folder(name)
    for name in (
        "a.pdf",
        "b.pdf",
        "un nom de fichier vraiment très long pour voir s’il tient dans la page.odt",
    ):
        drive.file(name)
    page.goto("/coffre/")
    page.focus("[data-all]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-ticked]:has-text('5 éléments cochés.')")
    for box in page.locator(".files input").all()[:2]:
        box.uncheck()
    page.click("#acts >> text=Déplacer")
    page.wait_for_selector(".say:has-text('3 éléments à déplacer.')")
    inspect(page, "d-deplacer")
    page.click(".files >> text=Délibérations")
    page.click("button:has-text('Déplacer ici')")
    page.wait_for_selector(".say:has-text('3 éléments déplacés.')")
    inspect(page, "d-deplaces")
    page.click("button:has-text('Annuler')")
    page.wait_for_selector(".say:has-text('C’est annulé')")
    page.goto("/coffre/")
    page.locator(".files input").nth(2).check()
    page.click("#acts >> text=Supprimer")
    page.wait_for_selector(".say:has-text('1 élément mis à la corbeille.')")
    page.click("a:has-text('Corbeille')")
    inspect(page, "d-corbeille")
    page.click(".files >> text=a.pdf")
    page.click("button:has-text('Rendre')")
    page.wait_for_selector(".say:has-text('1 élément rendu à sa place.')")
    assert len(drive.names()) == 5
    page.fill("#id_q", "très long")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=1 élément trouvé")
    inspect(page, "d-recherche")
    page.goto("/coffre/recents/")
    inspect(page, "d-recents")
    page.goto("/coffre/commune/")
    inspect(page, "d-commune")


def test_ten_thousand_entries_come_as_they_are_scrolled_to(drive: Drive, page: Any) -> None:
    from playwright import sync_api as playwright

    put(drive, 10_000)
    page.goto("/coffre/")
    page.click(".files >> text=Beaucoup")
    page.wait_for_selector("h1:has-text('Beaucoup')")
    assert "10\u00a0000 éléments" in page.inner_text(".lead")
    shown = "document.querySelectorAll('.files .name').length"
    assert page.evaluate(shown) == 200
    for wanted in (400, 600, 800):
        page.locator(".files .more").scroll_into_view_if_needed()
        page.locator(".files .name").nth(wanted - 1).wait_for()
    assert page.locator(".files .name").nth(799).inner_text() == "Pièce 799.pdf"
    inspect(page, "d-beaucoup")
    page.get_by_role("link", name="Actions sur ce dossier").press("Enter")
    page.wait_for_selector("h2:has-text('La suite du dossier')")
    whole = page.get_by_role("button", name="Télécharger tout ce dossier (ZIP)")
    playwright.expect(whole).to_be_in_viewport()
    assert page.locator(".files .name").last.inner_text() == "Pièce 9999.pdf"


def test_without_a_script_a_form_sends_and_a_link_goes_on(
    drive: Drive, page: Any, browser: Any, tmp_path: Path
) -> None:
    put(drive, 201)
    one = tmp_path / "arrêté.txt"
    one.write_text("x")
    page.goto("/coffre/")
    context = browser.new_context(
        java_script_enabled=False, base_url=page.url.partition("/coffre")[0], locale="fr-FR"
    )
    context.add_cookies(page.context.cookies())
    bare = context.new_page()
    bare.goto("/coffre/")
    bare.set_input_files("#id_fichier", str(one))
    bare.click("#send button")
    assert "1 fichier est arrivé." in bare.inner_text("main") and drive.names() == ["Beaucoup", "arrêté.txt"]
    bare.click(".files >> text=Beaucoup")
    bare.click("text=La suite")
    assert bare.locator(".files .name").all_inner_texts() == ["Pièce 200.pdf"]
    context.close()


def test_what_files_cost_is_what_the_guide_says(drive: Drive, page: Any) -> None:
    drive.file("Règlement de la cantine.pdf")
    page.goto("/")
    with counted(page, "Retrouver un fichier") as hand:
        hand.click("nav a:has-text('Coffre')")
        hand.fill("main input[type=search]", "cantine")
        hand.click("main button:has-text('Chercher')")
        hand.click("main a:has-text('Règlement de la cantine')")
        page.wait_for_selector("h1:has-text('Règlement de la cantine')")
    page.goto("/")
    with counted(page, "Partager un fichier par un lien") as hand:
        hand.click("nav a:has-text('Coffre')")
        hand.click(".files a:has-text('Règlement de la cantine')")
        hand.click("main a:has-text('Partager par un lien')")
        hand.click("main button:has-text('Créer le lien')")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        hand.click("text=Copier le lien")
        page.wait_for_selector("button:has-text('Copié')")
    page.goto("/coffre/")
    page.check(".files input[type=checkbox]")
    page.click("button:has-text('Supprimer')")
    page.wait_for_selector(".say:has-text('Annuler')")
    page.goto("/")
    with counted(page, "Reprendre un fichier dans la corbeille") as hand:
        hand.click("nav a:has-text('Coffre')")
        hand.click("main nav a:has-text('Corbeille')")
        hand.click("main input[type=checkbox]")
        hand.click("main button:has-text('Rendre')")
        page.wait_for_selector(".say:has-text('Règlement'), .say:has-text('1 élément')")
