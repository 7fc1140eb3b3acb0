"""Alarms on the console, in a real Chromium: a certificate of the centre that ends, a box that exists twice.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import msgspec
import pytest
from beffroi.lib import clock
from beffroi.mail.certificates import own

from tests.fixtures_browser import Centre, administrator, browser, centre, inspect, press

__all__ = ["administrator", "browser", "centre"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
DAY_S = 86400


def test_a_certificate_of_the_centre_that_ends_is_said_with_what_to_do(
    centre: Centre, administrator: Any
) -> None:
    page, now_s = administrator, clock.epoch_s()
    (centre.state / "tls").mkdir(exist_ok=True)
    ends = centre.state / "tls" / "ends.json"
    ends.write_bytes(
        msgspec.json.encode([own.End("portal.pem", now_s + 12 * DAY_S), own.End("mail.pem", now_s - DAY_S)])
    )
    page.reload()
    page.wait_for_selector("text=Le certificat du serveur de courrier a pris fin le")
    inspect(page, "console-certificats-du-centre")
    ends.unlink()
    page.reload()
    page.wait_for_selector("h1")
    assert page.locator("text=a pris fin le").count() == 0


def test_a_box_that_exists_twice_is_found_from_the_overview(centre: Centre, administrator: Any) -> None:
    page = administrator
    with closing(sqlite3.connect(centre.state / "db" / "beffroi.sqlite")) as database, database:
        (box_id,) = database.execute("SELECT id FROM box WHERE state = 'active'").fetchone()
        database.execute(
            "INSERT INTO box_run (box_id, number, former, twice_at) VALUES (?, 'a', 'b', ?)",
            (box_id, clock.now().replace(tzinfo=None).isoformat(" ")),
        )
    page.goto(centre.console + "/")
    page.wait_for_selector("text=1 boîtier existe en deux exemplaires")
    press(page, "Voir 1 boîtier existe en deux exemplaires")
    page.wait_for_url("**/?etat=twice")
    inspect(page, "console-boitiers-en-double")
    page.goto(f"{centre.console}/boitiers/{box_id}/")
    page.wait_for_selector("text=Deux appareils se présentent avec la clé de ce boîtier.")
    inspect(page, "console-boitier-en-double")
