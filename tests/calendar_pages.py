"""What tests of the pages Agenda and Contacts share: the real process ``calendars``, and people before them."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.identity.models import Membership, Person
from beffroi.drive.calendars import homes
from beffroi.drive.store import room, tree
from beffroi.drive.store.model import NO_LIMIT
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.portal import drive_access
from django.test import Client

from tests.browsing import desks
from tests.conftest import Commune
from tests.fixtures_calendars import calendars_alone
from tests.fixtures_portal import on_listener, portal_client, session_cookie


@pytest.fixture(scope="module", autouse=True)
def process(config: Config) -> Iterator[None]:
    with calendars_alone(config):
        yield


@pytest.fixture(autouse=True)
def portal() -> Iterator[None]:
    with on_listener("web"), clock.shifted(0):
        yield


@pytest.fixture
def full(beaune: Commune) -> Iterator[None]:
    with no_room(beaune):
        yield


@contextmanager
def no_room(beaune: Commune) -> Iterator[None]:
    """The collectivité has less room than an entry takes."""
    database = drive_access._communes().metadata(beaune.id)
    database.write(lambda writing: tree.set_limit(writing, room.WHOLE, 1))
    try:
        yield
    finally:
        database.write(lambda writing: tree.set_limit(writing, room.WHOLE, NO_LIMIT))


def member(beaune: Commune, role: str) -> Membership:
    """The colleague in this role."""
    Membership.objects.filter(pk=beaune.colleague_membership.pk).update(role=role)
    return Membership.objects.get(pk=beaune.colleague_membership.pk)


@pytest.fixture
def desk(
    committed: str, config: Config, beaune: Commune, browser: Any, live_server: Any
) -> Iterator[Callable[[Membership], Any]]:
    """In Chromium; ``process`` is this one's own."""
    Person.objects.filter(pk=beaune.agent.id).update(name="Claire Vernet")
    with calendars_alone(config), desks(browser, live_server) as sit:
        yield sit


@contextmanager
def without_scripts(membership: Membership, browser: Any, live_server: Any) -> Iterator[Any]:
    """A page of this person in a browser without JavaScript."""
    context = browser.new_context(java_script_enabled=False, base_url=live_server.url, locale="fr-FR")
    context.add_cookies([session_cookie(portal_client(membership), live_server.url)])
    yield context.new_page()
    context.close()


def stored_entry(config: Config, commune: Commune) -> Path:
    """The only one of the collectivité's calendar, as it lies there."""
    place = homes.folder(config, commune.id) / homes.ROOT / homes.SHARED_HOME / homes.AGENDA
    (stored,) = place.glob("*.ics")
    return stored


def fill(page: Any, **fields: str) -> None:
    """Fill in a form and save it."""
    for name, value in fields.items():
        page.fill(f"#id_{name}", value)
    with page.expect_navigation():
        page.click("button:has-text('Enregistrer')")


def book_of(config: Config, commune: Commune, home: str = homes.SHARED_HOME) -> Path:
    return homes.folder(config, commune.id) / homes.ROOT / home / homes.CONTACTS


def etag_of(client: Client, path: str) -> str:
    found = re.search(r'name="etag" value="([^"]+)"', client.get(path).content.decode())
    assert found is not None
    return html.unescape(found[1])
