"""Alarms on the console, in a real Chromium: a certificate of the centre that ends, a box that exists twice, a backup
that failed and may wait.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import msgspec
import pytest
from beffroi.lib import clock
from beffroi.mail.backup.told import Told
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


def test_a_failed_backup_is_put_off_with_a_reason_and_called_back(centre: Centre, administrator: Any) -> None:
    page, run = administrator, centre.state / "run"
    run.mkdir(exist_ok=True)
    told = run / "backup.json"
    told.write_bytes(msgspec.json.encode(Told(since=clock.epoch_s(), failure="No space left.")))
    said = "La sauvegarde des boîtes demande un regard"
    page.goto(centre.console + "/")
    page.wait_for_selector(f"text={said}")
    inspect(page, "console-alarme")
    page.click("a:has-text('Mettre en attente'):has-text('la sauvegarde des boîtes')")
    page.wait_for_selector("text=Mettre cette alarme en attente ?")
    inspect(page, "console-alarme-attente")
    page.fill("input[name=reason]", "Le disque neuf arrive jeudi.")
    page.select_option("select[name=days]", "7")
    press(page, "Mettre en attente")
    page.wait_for_selector("text=Alarmes vues, en attente")
    page.wait_for_selector("text=Le disque neuf arrive jeudi.")
    inspect(page, "console-alarmes-vues")
    page.click("a:has-text('Rappeler')")
    press(page, "Rappeler cette alarme")
    page.wait_for_url(centre.console + "/")
    assert page.locator("text=Alarmes vues, en attente").count() == 0
    assert page.locator(f"text={said}").count() > 0
    told.unlink()
