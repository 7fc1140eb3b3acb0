"""Coffre, Espace, and the console's page of a Coffre in a real Chromium: they fit, and a person gets room by keyboard.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from beffroi.core.identity.models import Membership
from beffroi.drive.store import tree
from beffroi.drive.store.model import EMPTY
from beffroi.lib import ids

from tests.browsing import desk
from tests.conftest import Commune
from tests.drive_pages import Drive, drive
from tests.fixtures_browser import Centre, administrator, agent, browser, centre, inspect, press
from tests.fixtures_portal import no_door

__all__ = ["administrator", "agent", "browser", "centre", "desk", "drive", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
GB = 10**9


def fill(drive: Drive, size_bytes: int) -> None:
    content = replace(EMPTY, size_bytes=size_bytes)
    drive.database.write(lambda w: tree.put(w, drive.act, drive.own.id, "gros", content))


def test_a_referent_gives_a_person_room_by_keyboard(
    desk: Callable[[Membership], Any], drive: Drive, beaune: Commune
) -> None:
    fill(drive, 19 * GB)
    own = desk(beaune.agent_membership)
    own.goto("/coffre/")
    own.wait_for_selector("[role=status]:has-text('presque épuisée')")
    inspect(own, "q-coffre-presque-plein")
    page = desk(beaune.referent_membership)
    page.goto("/coffre/")
    page.click("text=Espace, par personne")
    page.wait_for_selector("h1:has-text('Espace')")
    inspect(page, "q-espace")
    field = page.get_by_label("Place de cette personne, en Go").first
    field.fill("peu")
    field.press("Enter")
    page.wait_for_selector("[role=alert]:has-text('Donnez un nombre de Go')")
    inspect(page, "q-espace-erreur", status=400)
    field = page.get_by_label("Place de cette personne, en Go").first
    field.fill("40")
    field.press("Enter")
    page.wait_for_selector("text=sur 40")


def test_the_departement_sees_room_and_keys_and_asks_for_an_erasure(
    centre: Centre, administrator: Any
) -> None:
    page = administrator
    page.goto(f"{centre.console}/communes/{centre.seeded['collectivite_id']}/coffre/")
    page.wait_for_selector("h1:has-text('Coffre')")
    inspect(page, "q-c-coffre")
    field = page.get_by_label("Place de la collectivité, en Go")
    field.fill("beaucoup")
    field.press("Enter")
    page.wait_for_selector("[role=alert]:has-text('Donnez un nombre de Go')")
    page.get_by_label("Place de la collectivité, en Go").fill("700")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=sur 700")
    page.click("summary:has-text('Demander l’effacement')")
    page.get_by_label("Pourquoi, en une phrase").fill("Départ")
    page.get_by_label("Nom de la collectivité, pour confirmer").fill("Autre")
    page.locator("#id_code").fill("123456")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]:has-text('tel qu’il est affiché')")
    inspect(page, "q-c-coffre-effacer", status=400)


def test_an_erasure_that_was_granted_is_called_back_by_keyboard(centre: Centre, administrator: Any) -> None:
    owner, now = centre.seeded["collectivite_id"], datetime.now(UTC)
    with sqlite3.connect(centre.state / "db" / "beffroi.sqlite") as database:
        database.execute(
            "INSERT INTO approval (id, verb, subject_id, payload, state, requested_by, requested_at, expires_at,"
            " decided_by, decided_at) VALUES (?, 'drive:erasure', ?, '{}', 'granted', 'adm_x', ?, ?, 'adm_y', ?)",
            (ids.new_id("apr"), owner, now, now + timedelta(days=7), now),
        )
    page = administrator
    page.goto(f"{centre.console}/communes/{owner}/coffre/")
    page.wait_for_selector("text=Début, au plus tôt")
    page.wait_for_selector("text=même disque que les fichiers")
    inspect(page, "q-c-coffre-accorde")
    press(page, "Renoncer à l’effacement")
    page.wait_for_selector("summary:has-text('Demander l’effacement')")
    page.goto(f"{centre.console}/sauvegardes/")
    page.wait_for_selector("h2:has-text('Sauvegarde des Coffres')")
    inspect(page, "q-c-sauvegardes")
