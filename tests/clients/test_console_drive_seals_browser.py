"""The erasure of a Coffre with sealed folders in it, on the console, in a real Chromium, at every width.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from beffroi.drive.store import schema, seals, tree
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.model import Act
from beffroi.drive.store.writing import Writing
from beffroi.lib import clock

from tests.drive_seal_rows import a_seal
from tests.fixtures_browser import Centre, administrator, browser, centre, inspect

__all__ = ["administrator", "browser", "centre"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def _seal(writing: Writing) -> None:
    act = Act("per_a", "", clock.epoch_s())
    root = tree.make_root(writing, schema.COMMON, now_s=act.now_s)
    seals.begin(writing, a_seal(tree.make_folder(writing, act, root.id, "Délibérations")))


def test_who_asks_for_an_erasure_ticks_that_seals_end(centre: Centre, administrator: Any) -> None:
    page, collectivite_id = administrator, centre.seeded["collectivite_id"]
    with ThreadPoolExecutor(1) as commits:
        communes = Communes(centre.state / "drive", commits)
        communes.metadata(collectivite_id).write(_seal)
        communes.close()
    page.goto(f"{centre.console}/communes/{collectivite_id}/coffre/")
    summary = page.get_by_text("Demander l’effacement").first
    summary.focus()
    page.keyboard.press("Enter")
    box = page.get_by_role("checkbox")
    assert "1 dossier scellé" in (box.evaluate("one => one.labels[0].innerText") or "")
    inspect(page, "console-effacement-sceaux")
    box.focus()
    page.keyboard.press("Space")
    assert box.is_checked()
    page.evaluate("document.querySelector('[name=seals]').removeAttribute('required')")
    box.uncheck()
    page.fill("#id_reason", "Départ")
    page.fill("#id_name", "Beaune")
    page.fill("#id_code", "000000")
    page.locator("button[value=ask]").click()
    page.wait_for_selector("text=avant leur terme")
    inspect(page, "console-effacement-sceaux-refus", status=400)
