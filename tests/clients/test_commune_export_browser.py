"""Export of a whole collectivité as its référent sees it, in a real Chromium: read on the home, stopped by keyboard.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.lib.ids import new_id

from tests.fixtures_browser import Centre, administrator, browser, centre, inspect, referent, visitor

__all__ = ["administrator", "browser", "centre", "referent", "visitor"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
REASON = "Courrier du maire du 12 novembre 2026, signé A. Martin, reçu en préfecture le 14"
ROW = {
    "state": "running",
    "asked_by": "adm_x",
    "reason": REASON,
    "files": 45210,
    "size_bytes": 12_400_000_000,
    "missing": 0,
    "manifest_sha256": "",
    "stopped_by": "",
}


@pytest.fixture
def exports(centre: Centre) -> dict[str, str]:
    """One under way and one that is whole but for two things, by their states."""
    found = {"running": new_id("cex"), "done": new_id("cex")}
    now = clock.now().strftime("%Y-%m-%d %H:%M:%S")
    with closing(sqlite3.connect(centre.state / "db" / "beffroi.sqlite")) as database, database:
        (owner,) = database.execute(
            "SELECT m.collectivite_id FROM membership m JOIN person p ON p.id = m.person_id WHERE p.email = ?",
            (centre.seeded["referent_email"],),
        ).fetchone()
        for state, key in found.items():
            over = {"missing": 2, "manifest_sha256": "4f" * 32} if state == "done" else {}
            row = {**ROW, **over, "id": key, "collectivite_id": owner, "state": state}
            row |= {"begun_at": now, "changed_at": now}
            database.execute(
                f"INSERT INTO commune_export ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                tuple(row.values()),
            )
    return found


def test_a_referent_reads_of_it_on_the_home_and_stops_it(
    centre: Centre, exports: dict[str, str], referent: Any
) -> None:
    inspect(referent, "export-accueil")
    referent.goto(f"{centre.portal}/export/{exports['done']}/")
    inspect(referent, "export-fini")
    assert referent.get_by_role("button", name="Arrêter l’export").count() == 0
    referent.goto(f"{centre.portal}/")
    referent.get_by_role("link", name="Voir, arrêter").first.press("Enter")
    referent.wait_for_selector(f"text={REASON}")
    inspect(referent, "export-en-cours")
    referent.get_by_role("button", name="Arrêter l’export").press("Enter")
    referent.wait_for_selector("text=L’export est arrêté")
    inspect(referent, "export-arrete")
    assert referent.get_by_role("button", name="Arrêter l’export").count() == 0


def test_the_console_lists_exports_with_the_command(
    centre: Centre, exports: dict[str, str], administrator: Any
) -> None:
    administrator.goto(f"{centre.console}/communes/")
    administrator.wait_for_selector("text=Une collectivité part")
    inspect(administrator, "export-console")
    assert administrator.get_by_text(REASON).count() >= len(exports)
