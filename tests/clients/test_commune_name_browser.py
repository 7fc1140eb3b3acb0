"""A commune takes another name, in a real Chromium. BEFFROI_SHOTS=DIRECTORY keeps pictures."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures_browser import Centre, administrator, browser, centre, inspect

__all__ = ["administrator", "browser", "centre"]
pytestmark = pytest.mark.browser


def test_a_commune_takes_another_name_and_its_own_again(centre: Centre, administrator: Any) -> None:
    page, here = administrator, f"{centre.console}/communes/{centre.seeded['collectivite_id']}/nom/"
    page.goto(f"{centre.console}/communes/")
    page.click(f"a[href$='/{centre.seeded['collectivite_id']}/nom/']")
    page.wait_for_selector("h1:has-text('Nom et codes')")
    inspect(page, "n-nom")
    former = page.get_by_label("Nom", exact=True).input_value()
    page.get_by_label("Code INSEE").fill("2105")
    page.get_by_label("Code INSEE").press("Enter")
    page.wait_for_selector("[role=alert]:has-text('cinq signes')")
    inspect(page, "n-nom-erreur", status=400)
    page.goto(here)
    page.get_by_label("Nom", exact=True).fill("Vals et Coteaux d’Auxois")
    page.get_by_label("Nom", exact=True).press("Enter")
    page.wait_for_selector("h2:has-text('Auparavant')")
    page.wait_for_selector(".lead:has-text('Vals et Coteaux d’Auxois')")
    inspect(page, "n-nom-change")
    page.get_by_label("Nom", exact=True).fill(former)
    page.get_by_label("Nom", exact=True).press("Enter")
    page.wait_for_selector(f".lead:has-text('{former}')")
