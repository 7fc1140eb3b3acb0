"""Scellements on the console, in a real Chromium: numbers of each commune, at every width.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from beffroi.drive.seals.overview import Sums
from beffroi.lib import clock

from tests.fixtures_browser import Centre, administrator, browser, centre, inspect

__all__ = ["administrator", "browser", "centre"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
DAY_S = 86400


def test_the_console_shows_numbers_of_each_commune(centre: Centre, administrator: Any) -> None:
    page, state = administrator, centre.state
    page.goto(centre.console + "/coffre/scellements/")
    inspect(page, "console-sceaux-vide")
    (state / "drive").mkdir(exist_ok=True)
    now_s = clock.epoch_s()
    sums = Sums(
        folders=12, files=3480, size_bytes=9_400_000_000, ending=2, over=1, checked_s=now_s - DAY_S, damaged=1,
        since_s=now_s - 2 * DAY_S, unchecked=1,
    )  # fmt: skip
    (state / "drive" / "seals.json").write_bytes(
        msgspec.json.encode({centre.seeded["collectivite_id"]: sums})
    )
    page.reload()
    page.wait_for_selector("text=1 dossier scellé n’est plus ce qui a été scellé")
    inspect(page, "console-sceaux")
    page.goto(centre.console + "/")
    page.wait_for_selector("text=1 dossier scellé est abîmé")
    (state / "drive" / "seals.json").unlink()
