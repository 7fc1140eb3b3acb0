"""People at their browsers, signed in a moment ago."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from beffroi.core.identity.models import Membership
from django.conf import settings

from tests.conftest import Commune
from tests.fixtures_portal import confirmed


@contextmanager
def desks(browser: Any, live_server: Any) -> Iterator[Callable[[Membership], Any]]:
    """``desk(membership)``: a page of this person, who gave the password a moment ago."""
    contexts = []

    def sit(membership: Membership) -> Any:
        client = confirmed(membership)
        name = settings.SESSION_COOKIE_NAME
        context = browser.new_context(
            locale="fr-FR", viewport={"width": 1280, "height": 900}, base_url=live_server.url
        )
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
        contexts.append(context)
        return context.new_page()

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
