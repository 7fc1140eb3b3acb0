"""People at their browsers, signed in a moment ago."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from tests.conftest import Commune
from tests.fixtures_portal import confirmed, console_client, on_listener, portal_client, session_cookie


def _context(browser: Any, address: str, client: Client) -> Any:
    """A browser with the session of this client."""
    context = browser.new_context(locale="fr-FR", viewport={"width": 1280, "height": 900}, base_url=address)
    context.add_cookies([session_cookie(client, address)])
    return context


@contextmanager
def desks(browser: Any, live_server: Any) -> Iterator[Callable[[Membership], Any]]:
    """``desk(membership)``: a page of this person, who gave the password a moment ago."""
    contexts = []

    def sit(membership: Membership) -> Any:
        contexts.append(_context(browser, live_server.url, confirmed(membership)))
        return contexts[-1].new_page()

    yield sit
    for one in contexts:
        one.close()


@pytest.fixture
def desk(
    committed: str, beaune: Commune, browser: Any, live_server: Any
) -> Iterator[Callable[[Membership], Any]]:
    """Over what the worker sees, too."""
    with desks(browser, live_server) as sit:
        yield sit


@contextmanager
def sound_page(browser: Any, address: str, membership: Membership) -> Iterator[Any]:
    """A page of this person, in which no script fails and no policy of its content is broken."""
    context = _context(browser, address, portal_client(membership))
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda line: wrong.append(line.text) if "Content Security Policy" in line.text else None
    )
    yield page
    context.close()
    assert wrong == []


@pytest.fixture
def console_page(committed: str, browser: Any, administrator: Actor) -> Iterator[Any]:
    """An administrator's, from a server of its own: one that runs has the portal's middleware already."""
    with on_listener("console"):
        server = LiveServer("localhost")
        context = _context(browser, str(server.url), console_client(administrator.id))
        yield context.new_page()
        context.close()
        server.stop()
