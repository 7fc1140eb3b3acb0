"""What opens something stands in no log, also where a request is refused before it is read, or fails."""

from __future__ import annotations

import io
import logging

import pytest
from beffroi.lib.logged import Routes
from beffroi.portal.web import drive_public
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import no_door

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
SECRET = "k7mv3q2xsecretsecret"
HEADERS = {"X-Beffroi-Listener": "portal", "X-Forwarded-For": "192.0.2.7"}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The log of the process, by the handler that it has."""
    (handler,) = (
        one
        for one in logging.getLogger().handlers
        if isinstance(one, logging.StreamHandler) and any(isinstance(each, Routes) for each in one.filters)
    )
    text = io.StringIO()
    # Not setStream, which flushes one that an earlier test closed.
    monkeypatch.setattr(handler, "stream", text)
    return text


@pytest.mark.parametrize("path", ["telephone/{}/", "telephone/{}/profil", "connexion/logiciel/{}/"])
def test_a_form_from_elsewhere_is_refused_and_its_link_is_not_logged(log: io.StringIO, path: str) -> None:
    client = Client(enforce_csrf_checks=True, headers=HEADERS)
    assert client.post("/" + path.format(SECRET), {"word": SECRET}).status_code == 403
    assert "Forbidden" in log.getvalue() and path.split("{", maxsplit=1)[0] in log.getvalue()
    assert SECRET not in log.getvalue()


def test_a_page_of_a_link_that_fails_is_logged_without_the_link(
    beaune: Commune, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(drive_public, "metadata_of", broken)
    client = Client(raise_request_exception=False, headers=HEADERS)
    assert client.get(f"/partage/{beaune.id}/{SECRET}/").status_code == 500
    assert "a fault of ours" in log.getvalue() and "Internal Server Error: partage/" in log.getvalue()
    assert SECRET not in log.getvalue()
