"""Coffre, seals, in a real Chromium: sealed by the keyboard alone, verified, eliminated by two persons, and it fits.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdf
import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.models import Membership
from beffroi.drive.store.model import Node
from beffroi.lib import clock
from django.conf import settings
from django.test import Client

from tests.browsing import desk
from tests.conftest import Commune
from tests.drive_browser import server
from tests.drive_desk import joined
from tests.drive_pages import Drive
from tests.drive_server import Served
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import confirmed, no_door
from tests.fixtures_seals import (
    DAY_S,
    VISA,
    drive,
    elu,
    folder,
    referent,
    seal_of,
    sealed,
)
from tests.markup import text_of
from tests.waiting import until

__all__ = ["browser", "desk", "drive", "elu", "folder", "no_door", "referent", "server"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_folder_is_sealed_verified_and_eliminated(  # noqa: PLR0917 - fixtures
    desk: Callable[[Membership], Any],
    drive: Drive,
    folder: Node,
    referent: Client,
    beaune: Commune,
    elu: Membership,
) -> None:
    page = desk(beaune.referent_membership)
    page.goto(f"/coffre/{folder.id}/")
    inspect(page, "sceau-dossier")
    press(page, "Sceller ce dossier")
    page.wait_for_url("**/sceller/")
    inspect(page, "sceau-terme")
    page.select_option("#id_rule", "invoices")
    press(page, "Prévisualiser")
    page.wait_for_selector("text=Confirmer")
    inspect(page, "sceau-confirmer")
    press(page, "Sceller")
    page.wait_for_url("**/sceaux/seal_*/")
    page.wait_for_selector("text=Ce dossier est scellé")
    page.reload()
    inspect(page, "sceau")
    press(page, "Vérifier maintenant")
    page.wait_for_selector("text=La vérification commence")
    page.wait_for_selector("text=Ce dossier est scellé")
    until(lambda: "Dernière vérification" in page.reload().text(), "it is verified")
    inspect(page, "sceau-verifie")
    page.goto(f"/coffre/{folder.id}/")
    inspect(page, "sceau-dossier-scelle")
    page.goto("/coffre/sceaux/")
    inspect(page, "sceaux")
    seal = seal_of(drive, folder)
    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        asking = confirmed(beaune.referent_membership)
        asking.post(f"/coffre/sceaux/{seal.id}/", VISA)
        second = desk(elu)
        second.goto(f"/coffre/sceaux/{seal.id}/")
        inspect(second, "sceau-eliminer")
        press(second, "Accorder : détruire ce dossier".replace(" :", "\u00a0:"))
        second.wait_for_selector("text=C’est accordé")
        run_pending("main")
        second.goto(f"/coffre/sceaux/{seal.id}/")
        second.wait_for_selector("text=Bordereau d’élimination")
        inspect(second, "sceau-bordereau")


def test_a_broken_seal_is_told_mended_in_words_and_printed_with_whole_rows(
    desk: Callable[[Membership], Any], drive: Drive, folder: Node, referent: Client, beaune: Commune
) -> None:
    seal = sealed(drive, folder, referent)
    page = desk(beaune.referent_membership)
    drive.database.write(lambda w: w.run("UPDATE node SET mtime_s = 5 WHERE parent = ?", (folder.id,)))
    referent.post(f"/coffre/sceaux/{seal.id}/", {"what": "check"})
    until(lambda: "modifié" in text_of(referent.get(f"/coffre/sceaux/{seal.id}/")), "what changed is told")
    page.goto("/")
    page.wait_for_selector("text=1 dossier scellé est abîmé")
    inspect(page, "sceau-accueil")
    page.goto("/coffre/sceaux/")
    inspect(page, "sceaux-abimes")
    page.goto(f"/coffre/sceaux/{seal.id}/")
    inspect(page, "sceau-abime")
    data = page.pdf(prefer_css_page_size=True)
    if shots := os.environ.get("BEFFROI_SHOTS"):
        Path(shots, "sceau-imprime.pdf").write_bytes(data)
    printed = pypdf.PdfReader(io.BytesIO(data))
    words = " ".join(one.extract_text() for one in printed.pages)
    assert f"1 / {len(printed.pages)}" in words and "Facture 1.pdf" in words
    assert "Noter et clore" not in words and "Rapport en PDF" not in words
    page.click("summary:has-text('noter les suites')")
    page.fill("#id_why", "Deux factures perdues, constaté avec les Archives.")
    press(page, "Noter et clore l’alerte")
    page.wait_for_selector("text=Dommage connu")
    inspect(page, "sceau-suites")


def test_a_transfer_with_a_wrong_field_keeps_what_was_typed_and_the_right_one_gives_the_package(  # noqa: PLR0917
    desk: Callable[[Membership], Any],
    drive: Drive,
    folder: Node,
    referent: Client,
    beaune: Commune,
    server: Served,
    live_server: Any,
    tmp_path: Path,
) -> None:
    page, seal = desk(beaune.referent_membership), sealed(drive, folder, referent)
    front = joined(tmp_path, web=live_server.url, drive_port=server.port, run=settings.BEFFROI.run)
    with front as address:
        # Where one is signed in.
        page.goto(f"{address.replace('127.0.0.1', 'localhost')}/coffre/sceaux/{seal.id}/")
        page.click("summary:has-text('Exporter en SEDA')")
        for field, value in (("own", "123456789"), ("service", "AD21"), ("agreement", "IC-000001")):
            page.fill(f"#id_{field}", value)
        page.select_option("#id_own_scheme", "SIREN")
        press(page, "Exporter en SEDA (ZIP)")
        page.wait_for_selector("#id_own_error:has-text('SIREN')")
        assert page.input_value("#id_service") == "AD21" and page.input_value("#id_agreement") == "IC-000001"
        inspect(page, "sceau-seda", status=400)
        page.fill("#id_own", "130025265")
        with page.expect_download() as given:
            page.get_by_role("button", name="Exporter en SEDA (ZIP)").click()
        assert zipfile.ZipFile(given.value.path()).testzip() is None
