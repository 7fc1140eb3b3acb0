"""Coffre, alerts, in a real Chromium: looked ahead and taken back by the keyboard alone, and it fits.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from beffroi.core.identity.models import Membership
from beffroi.drive.store.model import Node

from tests.browsing import desk
from tests.conftest import Commune
from tests.drive_pages import Drive, drive
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door
from tests.integration.test_drive_alarm_pages import PAGE, device, sizes, spoiled

__all__ = ["browser", "desk", "device", "drive", "no_door", "spoiled"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_referent_has_everything_put_back(
    desk: Callable[[Membership], Any], drive: Drive, spoiled: list[Node], beaune: Commune
) -> None:
    page = desk(beaune.referent_membership)
    page.goto("/coffre/")
    inspect(page, "alerte-coffre")
    press(page, "Voir l’alerte")
    page.wait_for_url(f"**{PAGE}")
    inspect(page, "alerte")
    press(page, "Prévisualiser")
    page.wait_for_selector("text=Ce qui serait fait")
    inspect(page, "alerte-avant")
    assert sizes(drive, spoiled) == [666] * 4
    press(page, "C’était voulu")
    page.wait_for_selector("[role=alert]:has-text('de vive voix')")
    inspect(page, "alerte-voulu")
    with page.expect_navigation():
        page.click("text=Non, revenir")
    press(page, "Tout remettre comme avant")
    page.wait_for_selector("[role=status]:has-text('Remis comme avant')")
    inspect(page, "alerte-apres")
    assert sizes(drive, spoiled) == [0] * 4
    theirs = desk(beaune.agent_membership)
    theirs.goto(PAGE)
    inspect(theirs, "alerte-agent")
