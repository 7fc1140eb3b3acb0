"""Agenda in a real Chromium over the real process ``calendars``: by the keyboard, without JavaScript, and it fits.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.identity.models import Membership
from beffroi.lib import clock

from tests.calendar_pages import desk, fill, without_scripts
from tests.conftest import Commune
from tests.fixtures_browser import begins, browser, inspect, press
from tests.fixtures_portal import no_door

__all__ = ["browser", "desk", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
LONG = "Commission d’urbanisme, permis de construire et plan local intercommunal ; salle du conseil, premier étage"


def test_an_entry_is_added_changed_and_deleted(desk: Callable[[Membership], Any], beaune: Commune) -> None:
    page = desk(beaune.agent_membership)
    page.goto("/agenda/?mois=2030-05")
    inspect(page, "a-rien")
    press(page, "Ajouter un rendez-vous")
    inspect(page, "a-ajouter")
    fill(page, title="", day="2030-05-14", begin="18:30", end="17:00")
    page.wait_for_selector("#id_title_error:has-text('Donnez un titre')")
    inspect(page, "a-erreur", status=400)
    fill(page, title="Conseil municipal", end="20:00", place="Salle des fêtes")
    begins(page, "enregistré", then="Ajouter un rendez-vous")
    page.goto("/agenda/ajouter/")
    page.check("input[value=prive]")
    fill(page, title=LONG, day="2030-05-02", last="2030-05-04")
    page.goto("/agenda/?mois=2030-05")
    assert page.locator("li:has-text('Conseil municipal') .tag").inner_text() == "Mairie"
    assert page.locator("li:has-text('urbanisme') .tag").inner_text() == "Mon agenda"
    inspect(page, "a-mois")
    with page.expect_navigation():
        page.click("li:has-text('Conseil municipal') a:has-text('Modifier')")
    assert page.input_value("#id_begin") == "18:30"
    inspect(page, "a-modifier")
    fill(page, begin="19:00", end="21:00")
    page.wait_for_selector("li:has-text('19\u00a0h\u00a000 – 21\u00a0h\u00a000')")
    with page.expect_navigation():
        page.click("li:has-text('Conseil municipal') a:has-text('Supprimer')")
    inspect(page, "a-supprimer")
    press(page, "Supprimer")
    page.goto("/agenda/?mois=2030-05")
    assert page.locator("li:has-text('Conseil municipal')").count() == 0
    assert page.locator("li:has-text('urbanisme')").count() == 1


def test_a_room_is_added_booked_refused_and_retired(
    desk: Callable[[Membership], Any], beaune: Commune
) -> None:
    page = desk(beaune.agent_membership)
    page.goto("/agenda/")
    press(page, "Choisir ce qui se réserve")
    inspect(page, "s-aucune")
    page.fill("#id_title", "…")
    press(page, "Ajouter")
    page.wait_for_selector("#id_title_error:has-text('Donnez un nom')")
    inspect(page, "s-erreur", status=400)
    page.fill("#id_title", "Salle des fêtes")
    press(page, "Ajouter")
    page.wait_for_selector("li:has-text('Salle des fêtes')")
    inspect(page, "s-liste")
    day = f"{clock.now() + timedelta(days=40):%Y-%m-%d}"
    for title, hour in (("Loto des aînés", "14:00"), ("Répétition de la chorale", "14:30")):
        page.goto("/agenda/ajouter/")
        page.check("input[value=salle-salle-des-fetes]")
        inspect(page, "s-reserver")
        fill(page, title=title, day=day, begin=hour)
    page.wait_for_selector("[role=alert]:has-text('n’est pas libre')")
    assert "Loto des aînés" in page.inner_text("[role=alert]")
    inspect(page, "s-prise", status=409)
    page.goto(f"/agenda/?mois={day[:7]}")
    assert page.locator("li:has-text('Loto') .tag").inner_text() == "Salle des fêtes"
    assert "réservé par Claire Vernet" in page.inner_text("li:has-text('Loto')")
    inspect(page, "s-mois")
    page.goto("/agenda/salles/")
    press(page, "Salle des fêtes")
    press(page, "Mois suivant")
    inspect(page, "s-seule")
    assert "Salle des fêtes" in page.inner_text("#h-month")
    page.goto("/agenda/salles/")
    press(page, "Retirer Salle des fêtes")
    page.wait_for_selector("button:has-text('Remettre')")
    inspect(page, "s-retiree")
    press(page, "Remettre Salle des fêtes")
    page.wait_for_selector("button:has-text('Retirer')")


def test_a_double_click_adds_one_entry(desk: Callable[[Membership], Any], beaune: Commune) -> None:
    page = desk(beaune.agent_membership)
    page.goto("/agenda/ajouter/")
    page.fill("#id_title", "Permanence")
    page.fill("#id_day", "2030-06-04")
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)
    with page.expect_navigation():
        page.locator("button:has-text('Enregistrer')").evaluate(
            "button => { button.click(); button.click(); }"
        )
    page.wait_for_selector("[role=status]:has-text('enregistré')")
    assert len(sent) == page.locator("li:has-text('Permanence')").count() == 1


def test_without_javascript_it_is_the_same(
    desk: Callable[[Membership], Any], beaune: Commune, browser: Any, live_server: Any
) -> None:
    with without_scripts(beaune.agent_membership, browser, live_server) as page:
        page.goto("/agenda/ajouter/")
        fill(page, title="Sans script", day="2030-05-20")
        page.wait_for_selector("li:has-text('Sans script'):has-text('toute la journée')")


def test_a_device_is_set_up_from_the_agenda(desk: Callable[[Membership], Any], beaune: Commune) -> None:
    page = desk(beaune.agent_membership)
    page.goto("/agenda/")
    press(page, "Brancher un appareil")
    inspect(page, "a-appareil")
    page.fill("#id_label", "Téléphone de Claire")
    with page.expect_navigation():
        page.click("button:has-text('Créer')")
    assert "agent@beaune.test" in page.locator("dl.facts").inner_text()
    assert (
        page.locator("a:has-text('DAVx')").get_attribute("href").startswith("caldavs://agent%40beaune.test@")
    )
    inspect(page, "a-appareil-montre")
    page.goto("/acces/")
    inspect(page, "a-acces")
