"""What comes from elsewhere in a real Chromium: another commune's files on their pages, and previews behind a link.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from beffroi.drive.store import tree

from tests import office_samples, waiting
from tests.clients.test_drive_found_browser import scanner
from tests.clients.test_drive_link_browser import stranger
from tests.clients.test_drive_office_browser import drive, office, page
from tests.clients.test_drive_share_browser import somebody
from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.drive_pictures import png
from tests.drive_share_pages import make, only_share
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door, portal_client
from tests.pdf_samples import document

__all__ = ["browser", "drive", "no_door", "office", "page", "scanner"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]


def plans(page: Any, folder: Path, files: dict[str, bytes]) -> int:
    """A folder of the agent's with files; the page stands there."""
    inside = folder / "Piste cyclable"
    inside.mkdir()
    for name, data in files.items():
        (inside / name).write_bytes(data)
    page.goto("/coffre/")
    with page.expect_navigation():
        page.set_input_files("#desk input[webkitdirectory]", str(inside))
    page.click(".files >> text=Piste cyclable")
    page.wait_for_selector("h1:has-text('Piste cyclable')")
    return int(page.url.rstrip("/").rpartition("/")[2])


FILES = {
    "façade.png": png(random.Random(1)),
    "plan.pdf": document(["Plan de la piste cyclable", "Page deux"]),
    "note.odt": office_samples.text("Note sur la piste"),
}
DRAWN = "img => img.complete && img.naturalWidth > 0"


def test_who_holds_a_link_sees_images_documents_and_pdfs_before_they_download(
    drive: Drive, page: Any, browser: Any, tmp_path: Path
) -> None:
    folder = plans(page, tmp_path, FILES)
    page.goto(f"/coffre/{folder}/liens/")
    page.click("text=Créer le lien")
    address = urlsplit(page.input_value("#address")).path
    other = stranger(page, browser, scripts=True)
    other.goto(address)
    inspect(other, "l-dossier")
    press(other, "Voir façade.png")
    other.wait_for_selector("img.view")
    waiting.until(lambda: other.eval_on_selector("img.view", DRAWN), "the picture")
    inspect(other, "l-image")
    other.click("text=Revenir au dossier")
    other.click("a:has-text('Voir plan.pdf')")
    other.wait_for_selector("[data-drawn] .words span")
    inspect(other, "l-pdf")
    other.go_back()
    other.click("a:has-text('Voir note.odt')")
    other.wait_for_selector("img.view")
    waiting.until(lambda: other.eval_on_selector("img.view", DRAWN), "the first page")
    inspect(other, "l-document")
    with other.expect_download() as came:
        other.click("a:has-text('Télécharger')")
    assert came.value.suggested_filename == "note.odt"
    other.context.close()
    bare = stranger(page, browser, scripts=False)
    bare.goto(address)
    bare.click("a:has-text('Voir note.odt')")
    bare.wait_for_selector("img.view")
    waiting.until(lambda: bare.eval_on_selector("img.view", DRAWN), "the first page without a script")
    bare.context.close()


def test_another_commune_s_files_are_found_read_compared_and_brought_back(
    drive: Drive, scanner: None, page: Any, browser: Any, beaune: Commune, *, nuits: Commune, tmp_path: Path
) -> None:
    folder = plans(page, tmp_path, FILES | {"avis.txt": b"Le conseil approuve.\nLa piste est large.\n"})
    page.set_input_files(
        "#desk input[multiple]",
        files=[{"name": "avis.txt", "mimeType": "text/plain", "buffer": b"Le conseil refuse.\n"}],
    )
    page.click("button:has-text('Remplacer')")
    page.wait_for_load_state("networkidle")
    make(portal_client(beaune.agent_membership), folder, f"collectivite:{nuits.id}", "write")
    share = only_share(drive)
    said = {"partage": share.id, "what": "accept"}
    portal_client(nuits.referent_membership).post("/coffre/partages-avec-moi/", said)
    with somebody(page, browser, nuits.agent_membership) as there:

        def found() -> int:
            there.goto("/coffre/recherche/?q=piste")
            return int(there.locator(".passage").count())

        waiting.until(lambda: found() >= 2, "the index")
        inspect(there, "v-recherche")
        there.goto("/coffre/recents/")
        inspect(there, "v-recents")
        there.click("a:has-text('plan.pdf')")
        there.wait_for_selector("[data-drawn] .words span")
        inspect(there, "v-pdf")
        there.goto(f"/coffre/chez/{share.id}/")
        inspect(there, "v-dossier")
        there.click("a:has-text('note.odt')")
        there.wait_for_selector("img.view")
        inspect(there, "v-document")
        there.click("text=Modifier en ligne")
        there.wait_for_selector("iframe.office")
        inspect(there, "v-editeur")
        there.goto(f"/coffre/chez/{share.id}/")
        there.click("a:has-text('avis.txt')")
        inspect(there, "v-fichier")
        there.click("a:has-text('Comparer')")
        inspect(there, "v-comparer")
        assert "approuve" in there.inner_text("main") and "refuse" in there.inner_text("main")
        there.go_back()
        there.click("button:has-text('Rétablir')")
        there.wait_for_selector("text=C’est fait")
        inspect(there, "v-versions")
        there.click("summary:has-text('Renommer ou supprimer')")
        there.fill("#id_new_name", "avis du conseil.txt")
        there.click("button:has-text('Renommer')")
        said = there.locator(".say", has_text="C’est renommé, chez la commune qui partage.")
        said.wait_for()
        assert said.evaluate("one => one === document.activeElement"), "Annuler is one step on"
        inspect(there, "v-renomme")
        page.reload()
        assert "avis du conseil.txt" in page.inner_text("main")
        press(there, "Annuler")
        there.wait_for_selector("text=C’est annulé")
        assert there.inner_text("h1") == "avis.txt"
        inspect(there, "v-renomme-annule")
        there.click("summary:has-text('Renommer ou supprimer')")
        there.fill("#id_new_name", "plan 2027.txt")
        there.click("button:has-text('Renommer')")
        said.wait_for()
        drive.database.write(lambda w: tree.make_folder(w, drive.act, folder, "Avis.txt"))
        there.click("button:has-text('Annuler')")
        there.wait_for_selector("text=Ce nom est déjà pris")
        inspect(there, "v-renomme-pris")
        there.click("summary:has-text('Renommer ou supprimer')")
        there.click("button:has-text('Supprimer')")
        there.locator(".say", has_text="C’est dans la corbeille de la commune qui partage").wait_for()
        inspect(there, "v-supprime")
        there.click("button:has-text('Annuler')")
        there.wait_for_selector("text=C’est annulé")
        assert "plan 2027.txt" in there.inner_text("main")
    page.reload()
    assert "plan 2027.txt" in page.inner_text("main")


def test_files_and_folders_are_sent_into_what_another_commune_shares_and_seen_to_arrive(
    drive: Drive, page: Any, browser: Any, beaune: Commune, *, nuits: Commune, tmp_path: Path
) -> None:
    folder = plans(page, tmp_path, {"façade.png": png(random.Random(1))})
    make(portal_client(beaune.agent_membership), folder, f"collectivite:{nuits.id}", "write")
    share = only_share(drive)
    said = {"partage": share.id, "what": "accept"}
    portal_client(nuits.referent_membership).post("/coffre/partages-avec-moi/", said)
    photos = tmp_path / "Photos du chantier"
    photos.mkdir()
    long = random.Random(2).randbytes(6_000_000)  # in two parts
    (photos / "vidéo.bin").write_bytes(long)
    (photos / "Thumbs.db").write_bytes(b"x")
    with somebody(page, browser, nuits.agent_membership) as there:
        there.goto(f"/coffre/chez/{share.id}/")
        with there.expect_navigation():
            there.set_input_files("#desk input[webkitdirectory]", str(photos))
        there.wait_for_selector("text=1 fichier est arrivé.")
        assert "laissé de côté" in there.inner_text(".say.good")
        inspect(there, "v-envoi")
        there.set_input_files(
            "#desk input[multiple]",
            files=[{"name": "façade.png", "mimeType": "image/png", "buffer": b"another"}],
        )
        there.click("button:has-text('Garder les deux')")
        there.wait_for_selector(".files >> text=façade (2).png")
        there.click(".files >> text=Photos du chantier")
        there.wait_for_selector(".files >> text=vidéo.bin")
        assert there.locator(".files li").count() == 1
