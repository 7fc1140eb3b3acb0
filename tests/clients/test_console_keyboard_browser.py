"""An operator's day at the console by the keyboard alone, in a real Chromium: each page begins at what was done."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures_browser import FOCUSED, Centre, administrator, browser, centre, press

__all__ = ["administrator", "browser", "centre"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_an_operator_works_without_a_mouse(centre: Centre, administrator: Any) -> None:
    page, seeded = administrator, centre.seeded
    page.goto(f"{centre.console}/dossiers/{seeded['incident_id']}/")
    press(page, "Prendre en charge")
    page.wait_for_selector("h2:focus:has-text('Suivi par')")
    for _ in range(2):
        page.keyboard.press("Tab")
        while not page.evaluate(FOCUSED).startswith("C’est fait "):
            page.keyboard.press("Tab")
        ticked = page.evaluate("document.activeElement.id")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        page.wait_for_selector(f"#{ticked}:focus:has-text('Annuler')")
    page.goto(f"{centre.console}/decisions/attente/")
    press(page, "Laisser passer 2a05:d018:3c1:2201:8a2e:370:7334:1")
    page.wait_for_selector("[role=status]:focus:has-text('5 décisions attendent votre avis')")
    page.goto(f"{centre.console}/decisions/{seeded['campaign_id']}/")
    press(page, "Annuler")
    press(page, "Annuler le blocage")
    page.wait_for_selector("h2:focus:has-text('Blocage annulé')")
    page.goto(f"{centre.console}/boitiers/{seeded['active_box_id']}/")
    press(page, "Accepter tcp 51821 2001:db8:1::/48")
    assert page.evaluate("document.activeElement.id") == "propositions"
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Accepter tcp 8443 82.64.10.0/24", "the next is one step on"
