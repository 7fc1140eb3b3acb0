"""Restores in a real Chromium: the pages fit, are accessible, and a request is made by keyboard.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures_browser import Centre, administrator, agent, browser, centre, inspect

__all__ = ["administrator", "agent", "browser", "centre"]
pytestmark = pytest.mark.browser


def test_a_restore_is_asked_for_by_keyboard_and_seen_by_the_departement(
    centre: Centre, agent: Any, administrator: Any
) -> None:
    agent.goto(f"{centre.portal}/courrier/restaurations/")
    inspect(agent, "s-vide")
    agent.get_by_label("Le jour où ils étaient encore là").fill("2026-11-20")
    agent.get_by_label("Mots de l’objet, si ce n’est pas tout").fill("devis toiture")
    agent.get_by_role("button", name="Demander").press("Enter")
    agent.wait_for_selector("text=Attend le Département")
    inspect(agent, "s-demande")
    administrator.goto(f"{centre.console}/sauvegardes/")
    administrator.wait_for_selector("text=./beffroi mail restore rst_")
    inspect(administrator, "s-console")
