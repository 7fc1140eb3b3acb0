"""Who gets a page of an error finds the places of theirs on it, as on every other page."""

from __future__ import annotations

import pytest
from beffroi.core.identity.actor import Actor
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener, portal, portal_client, text

__all__ = ["no_door", "portal"]
pytestmark = pytest.mark.usefixtures("database")
NOTHING = {"/dossiers/inc_nothing/": 404, "/pas-une-page/": 404, "/coffre/agir/": 405}
"""What a view refuses, what no view answers, a form's address that is opened by itself."""


@pytest.mark.parametrize(("path", "status"), NOTHING.items())
def test_an_error_is_said_beside_the_menu_of_who_is_signed_in(
    beaune: Commune, path: str, status: int
) -> None:
    page = text(portal_client(beaune.agent_membership).get(path, headers={"Accept": "text/html"}), status)
    assert 'href="/courrier/"' in page and 'popovertarget="menu"' in page and "Se déconnecter" in page
    visitor = Client(headers={"X-Beffroi-Listener": "portal", "Accept": "text/html"})
    assert 'id="menu"' not in visitor.get("/pas-une-page/").content.decode(), (
        "who has not signed in has no places"
    )


@pytest.mark.parametrize("path", ["/boitiers/box_nothing/", "/pas-une-page/"])
def test_an_error_of_the_console_has_the_menu_of_the_console(administrator: Actor, path: str) -> None:
    with on_listener("console"):
        page = text(console_client(administrator.id).get(path), 404)
    assert 'href="/boitiers/"' in page and "Console" in page and 'href="/retenus/"' not in page
