"""Who follows a link of another site to the portal loses nothing that stands in other tabs, in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from beffroi.core.identity.models import Membership

from tests.clients.test_people_browser import desk
from tests.conftest import Commune
from tests.fixtures_browser import browser, press
from tests.fixtures_portal import no_door

__all__ = ["browser", "desk", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_form_in_another_tab_is_still_taken(desk: Callable[[Membership], Any], beaune: Commune) -> None:
    page = desk(beaune.agent_membership)
    page.goto("/acces/")
    elsewhere = page.context.new_page()
    link = f'<!DOCTYPE html><title>Intranet</title><a href="{page.url}">Portail</a>'
    elsewhere.route(
        "http://intranet.example/", lambda route: route.fulfill(body=link, content_type="text/html")
    )
    elsewhere.goto("http://intranet.example/")
    with elsewhere.expect_navigation():
        elsewhere.click("a")
    assert elsewhere.locator("h1").inner_text() == "Mon accès", "and they are signed in there"
    press(page, "English")
    assert page.locator("h1").inner_text() == "My access"
