"""Every address of the portal and the console, asked for by somebody who belongs there with what no page of ours sends:
each has a clear answer, and none does anything without the form's token. A new address is asked, too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib import import_module
from typing import Any
from urllib.parse import quote

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db import transaction
from django.http import HttpResponse, QueryDict
from django.test import Client
from django.urls import URLPattern

from tests.fixtures_portal import console_client, no_door, on_listener, portal_client
from tests.fixtures_portal_mail import shown_mail
from tests.integration.test_console_refusals import CONSOLE
from tests.integration.test_portal_refusals import PORTAL
from tests.refusals_rules import Rule
from tests.refusals_world import World, changed, world

__all__ = ["no_door", "shown_mail", "world"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shown_mail")]
SITES = {"web": PORTAL, "console": CONSOLE}
ODD = ("9" * 20, "\x00", "²", "9999-12-31")
ODD_NAMES = ("9" * 20, "\x00", "x" * 10_000)
TOKENLESS = {
    "set_language": "pages of links send no origin with a form, and another site would change words alone",
    "login_flow_begin": "a program asks, without a session",
    "login_flow_poll": "the same",
    "drive_link": "without a session there is nothing to misuse",
    "autodiscover": "a program asks; nothing is changed",
    "box_enrol": "a box asks, on its own listener",
    "box_mail_token": "the same",
}
"""Why a form's token is not asked for there."""
LOOKED_AT = ("mail_act", "mail_folder_new", "mail_deleted", "box_replace", "drive_version_delete")
"""Asked with GET alone: their forms need what is not here (a mailbox, the feed's key), or take away for good what the
next one asks for."""


class _Told(QueryDict):
    """A query or a form that says the same of whatever name it is asked for."""

    said = ""

    def __getitem__(self, key: str) -> str:
        return self.said

    def get(self, key: str, default: Any = None) -> Any:
        return self.said

    def getlist(self, key: str, default: Any = None) -> Any:
        return [self.said]

    def __contains__(self, key: object) -> bool:
        return True


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, world: World) -> Iterator[tuple[str, Client]]:
    with on_listener(request.param):
        if request.param == "web":
            yield request.param, portal_client(world.beaune.agent_membership)
        else:
            yield request.param, console_client(world.administrator.id)


def addresses(site: str, world: World) -> Iterator[tuple[str, Rule, str, dict[str, str]]]:
    """(name, rule, route, what stands in it)."""
    for one in import_module(f"beffroi.portal.urls_{site}").urlpatterns:
        assert isinstance(one, URLPattern) and one.name
        rule = SITES[site][one.name]
        given = {key: str(value) for key, value in rule.arguments(world).items()}
        yield one.name, rule, str(one.pattern), given


def path_of(route: str, given: dict[str, str]) -> str:
    """As a stranger spells it: no converter of ours looks at what is put in."""
    found = re.sub(r"<(?:\w+:)?(\w+)>", lambda one: quote(given.get(one[1], "x"), safe=""), route)
    return "/" + re.sub(r"\[(.).\]|[\\^$]", r"\1", found)


@contextmanager
def undone(client: Client) -> Iterator[None]:
    """Also a sign-out. No atomic block: some changes refuse to be inside one."""
    before, cookies = transaction.savepoint(), deepcopy(client.cookies)
    yield
    transaction.savepoint_rollback(before)
    client.cookies = cookies


def require_clear(answer: HttpResponse, name: str, said: str) -> None:
    # 503: no process of the drive or of mail stands behind these pages.
    assert answer.status_code < 500 or answer.status_code == 503, (name, said[:20], answer.status_code)


def test_a_form_without_its_token_is_refused(site: tuple[str, Client], world: World) -> None:
    where, client = site
    client.handler.enforce_csrf_checks = True
    before = changed()
    for name, rule, route, given in addresses(where, world):
        path = path_of(route, given)
        status = client.post(path, rule.data).status_code
        assert (status == 403) == (name not in TOKENLESS), (name, status)
    assert changed() == before


def test_what_is_no_identifier_is_no_such_page(site: tuple[str, Client], world: World) -> None:
    where, client = site
    for name, rule, route, given in addresses(where, world):
        for key in re.findall(r"<(?:\w+:)?(\w+)>", route):
            for odd in ODD_NAMES:
                path = path_of(route, given | {key: odd})
                for method in ("get", "post"):
                    with undone(client):
                        require_clear(getattr(client, method)(path, rule.data), name, odd)
    assert client.get("/").status_code == 200, "it was no stranger who asked"


@pytest.mark.parametrize("said", ODD)
def test_what_no_field_holds_is_answered_clearly(
    site: tuple[str, Client], world: World, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, client = site
    monkeypatch.setattr(_Told, "said", said)
    for method in ("GET", "POST"):
        monkeypatch.setattr(WSGIRequest, method, property(lambda self: _Told(), lambda self, value: None))
    for name, _, route, given in addresses(where, world):
        for method in ("get", "post") if name not in LOOKED_AT else ("get",):
            with undone(client):
                require_clear(getattr(client, method)(path_of(route, given)), name, said)
    assert client.get("/").status_code == 200, "it was no stranger who asked"
