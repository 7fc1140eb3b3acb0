"""Room and deleted mail in a real Chromium: pages fit, are accessible, and say what was wrong.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures_browser import Centre, administrator, agent, browser, centre, inspect, sign_in, visitor

__all__ = ["administrator", "agent", "browser", "centre", "visitor"]
pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("name", "path"),
    [("r-supprimes", "supprimes/"), ("r-supprimes-rien", "supprimes/?q=introuvable&du=2026-01-01")],
)
def test_the_page_of_deleted_mails_fits(centre: Centre, agent: Any, name: str, path: str) -> None:
    agent.goto(f"{centre.portal}/courrier/{centre.seeded['mailbox_id']}/{path}")
    inspect(agent, name)


def test_the_departement_gives_room_and_reads_what_was_wrong(centre: Centre, administrator: Any) -> None:
    page = administrator
    page.goto(f"{centre.console}/communes/")
    page.click("a[href*='/place/'] >> nth=0")
    page.wait_for_selector("h1:has-text('Place des boîtes')")
    page.goto(f"{centre.console}/communes/{centre.seeded['collectivite_id']}/place/")
    inspect(page, "r-c-place")
    field = page.get_by_label("Place de cette boîte, en Go").first
    field.fill("beaucoup")
    field.press("Enter")
    page.wait_for_selector("[role=alert]:has-text('Donnez un nombre de Go')")
    inspect(page, "r-c-place-erreur", status=400)
    field = page.get_by_label("Place de cette boîte, en Go").first
    field.fill("12")
    field.press("Enter")
    page.wait_for_selector("text=sur 12")


def test_a_referent_reads_which_mailbox_takes_how_much(centre: Centre, visitor: Any) -> None:
    visitor.goto(centre.portal + "/courrier/place/")
    sign_in(visitor, centre.seeded["referent_email"])
    visitor.wait_for_selector("h1:has-text('Place des boîtes')")
    inspect(visitor, "r-place")
