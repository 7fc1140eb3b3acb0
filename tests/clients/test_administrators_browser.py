"""The half-yearly review of the administrators in a real Chromium: two of them read and confirm; an end is asked for.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest
from beffroi.core.identity import totp

from tests.fixtures_browser import Centre, administrator, browser, centre, inspect, press
from tests.portal_server import PASSWORD
from tests.waiting import PATIENCE_S

__all__ = ["administrator", "browser", "centre"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
LONG = "Marie-Antoinette d’Hauterive-Saint-Symphorien de la Bussière-sur-Ouche"


def sql(centre: Centre, statement: str, *values: str) -> None:
    with (
        closing(sqlite3.connect(centre.state / "db" / "beffroi.sqlite", timeout=PATIENCE_S)) as database,
        database,
    ):
        database.execute(statement, values)


def copied(centre: Centre, letter: str, name: str) -> None:
    """One more with the password and second factor of the first, who has not come yet."""
    sql(
        centre,
        "INSERT INTO administrator (id, email, name, password, totp_secret, totp_last_step, is_active,"
        " session_version, created_at) SELECT ?, ?, ?, password, totp_secret, 0, 1, 1, created_at"
        " FROM administrator WHERE email = ?",
        "adm_" + letter * 26,
        f"{letter}@cotedor.test",
        name,
        centre.seeded["administrator_email"],
    )


def code(centre: Centre) -> str:
    """One that opens: each opens once."""
    sql(centre, "UPDATE administrator SET totp_last_step = totp_last_step - 10 WHERE totp_last_step > 0")
    return totp.code_at(centre.seeded["totp_secret"], time.time())


def second_page(centre: Centre, browser: Any) -> Any:
    context = browser.new_context(locale="fr-FR", viewport={"width": 360, "height": 780})
    page = context.new_page()
    page.goto(centre.console + "/administrateurs/")
    page.fill("#id_email", "b@cotedor.test")
    page.fill("#id_password", PASSWORD)
    page.fill("#id_code", code(centre))
    with page.expect_navigation():
        page.keyboard.press("Enter")
    return page


def test_two_administrators_read_and_one_access_ends(
    centre: Centre, administrator: Any, browser: Any
) -> None:
    page = administrator
    press(page, "Journal")
    press(page, "Administrateurs")
    inspect(page, "administrateurs-seul")
    assert page.locator("text=Vous êtes seul").is_visible()
    copied(centre, "b", LONG)
    copied(centre, "c", "Zoé N’Guyen")
    sql(centre, "UPDATE administrator SET created_at = '2020-01-01 00:00:00'")
    page.goto(centre.console + "/")
    press(page, "Voir la liste des administrateurs est à relire, à deux")
    inspect(page, "administrateurs")
    press(page, "J’ai relu\N{NO-BREAK SPACE}: ces accès sont justes")
    inspect(page, "administrateurs-un")
    other = second_page(centre, browser)
    press(other, "J’ai relu\N{NO-BREAK SPACE}: ces accès sont justes")
    other.wait_for_selector("text=Relecture terminée, à deux.")
    inspect(other, "administrateurs-deux")
    press(page, "Mettre fin\N{NO-BREAK SPACE}: Zoé N’Guyen")
    inspect(page, "administrateur-fin")
    page.fill("#id_why", "Elle a changé de service à l’été")
    page.fill("#id_code_code", "000000")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Ce code n’est pas le bon")
    inspect(page, "administrateur-fin-code", status=403)
    page.fill("#id_code_code", code(centre))
    page.keyboard.press("Enter")
    page.wait_for_selector("text=C’est demandé.")
    other.goto(centre.console + "/")
    press(other, "Voir 1 fin d’accès d’administrateur attend une seconde personne")
    press(other, "Fin demandée\N{NO-BREAK SPACE}: voir\N{NO-BREAK SPACE}: Zoé N’Guyen")
    inspect(other, "administrateur-fin-reponse")
    other.fill("#id_code_code", code(centre))
    other.keyboard.press("Enter")
    other.wait_for_selector("text=Cet accès a pris fin")
    assert other.locator("text=Zoé").count() == 0
    other.context.close()
