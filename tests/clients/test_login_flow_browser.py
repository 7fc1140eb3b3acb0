"""A program is allowed, and a phone set up, in a real Chromium: accessible, within the window, and by the keyboard.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from beffroi.core.identity import login_flows
from beffroi.core.identity.models import AppPassword, LoginFlow, Membership

from tests.clients.test_people_browser import desk
from tests.conftest import PASSWORD, Commune
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door

__all__ = ["browser", "desk", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def stepped_up(page: Any, path: str) -> None:
    page.goto(path)
    if "/confirmer/" in page.url:
        page.fill("input[type=password]", PASSWORD)
        with page.expect_navigation():
            page.keyboard.press("Enter")


def test_a_program_is_allowed_by_the_keyboard(desk: Callable[[Membership], Any], beaune: Commune) -> None:
    begun = login_flows.begin(program="PC-ACCUEIL (Desktop Client - Windows)", address="37.65.1.9")
    page = desk(beaune.agent_membership)
    stepped_up(page, f"/connexion/logiciel/{begun.page_secret}/")
    inspect(page, "p-logiciel-demande")
    page.locator("button[value=allow]").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    inspect(page, "p-logiciel-autorise")
    assert LoginFlow.objects.get().granted_at is not None
    assert login_flows.poll(begun.poll_secret).issued.record.protocol_set == "dav"
    page.goto(f"/connexion/logiciel/{begun.page_secret}/")
    inspect(page, "p-logiciel-fini", status=404)
    again = login_flows.begin(program="", address="37.65.1.9")
    page.goto(f"/connexion/logiciel/{again.page_secret}/")
    press(page, "Refuser")
    inspect(page, "p-logiciel-refuse")
    assert LoginFlow.objects.get(membership=None).ended_at is not None


def test_a_phone_gets_its_code(desk: Callable[[Membership], Any], beaune: Commune) -> None:
    page = desk(beaune.agent_membership)
    stepped_up(page, "/acces/fichiers/")
    inspect(page, "p-fichiers-appareil")
    page.fill("#id_label", "Téléphone de Claire")
    press(page, "Afficher le code")
    inspect(page, "p-fichiers-code")
    assert AppPassword.objects.get().label == "Téléphone de Claire"
    page.goto("/acces/")
    inspect(page, "p-acces-fichiers")
