"""A file that is fetched in vain: a person is led to a page that says why, a script hears a code."""

from __future__ import annotations

import json

import pytest
from beffroi.drive.web import granted
from django.test import Client

from tests.drive_browser import Browser, at, server
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served
from tests.fixtures_portal import no_door

__all__ = ["at", "client", "drive", "no_door", "server"]
pytestmark = pytest.mark.django_db
PERSON = "text/html,application/xhtml+xml,*/*;q=0.8"


def test_what_is_held_is_said_on_its_page_and_what_is_gone_has_one(
    drive: Drive, at: Browser, client: Client, server: Served
) -> None:
    made = at.send(b"held", folder=drive.own.id, name="held.bin")[1]["node"]
    with drive.database.reading() as reading:
        (sha256,) = reading.one("SELECT sha256 FROM node WHERE id = ?", (made,)) or ("",)
    held = server.directory / "refused"
    held.write_text(sha256)
    try:
        status, headers, _ = at.ask("GET", f"/coffre/octets/{made}", Accept=PERSON)
        assert (status, headers["location"]) == (303, f"/coffre/{made}/?refus=drive.frozen")
        status, _, said = at.ask("GET", f"/coffre/octets/{made}", Accept="*/*")
        assert (status, json.loads(said)) == (403, {"code": "drive.frozen"})
    finally:
        held.unlink()
    assert "reconnu comme dangereux" in client.get(headers["location"]).content.decode()
    version = at.ask("GET", f"/coffre/octets/{made}/999", Accept=PERSON)[1]["location"]
    assert version.startswith(f"/coffre/{made}/?refus=")
    gone = at.ask("GET", "/coffre/octets/999999", Accept=PERSON)[1]["location"]
    assert "Ce n’est plus là" in client.get(gone).content.decode()


@pytest.mark.parametrize(
    ("fetched", "page"),
    [
        ("/coffre/octets/7", "/coffre/7/"),
        ("/coffre/octets/7/12", "/coffre/7/"),
        ("/coffre/octets/avant/5/1700000000/7", "/coffre/5/"),
        (f"/coffre/octets/chez/shr_{'0' * 26}/7", f"/coffre/chez/shr_{'0' * 26}/7/"),
    ],
)
def test_who_is_signed_out_comes_to_the_page_of_the_file(
    drive: Drive, at: Browser, fetched: str, page: str
) -> None:
    """Where the answer to a sign-in were the file itself, its form would stay before the person."""
    del at.cookies[granted.OUT_PATH]
    led = at.ask("GET", fetched, Accept=PERSON)[1]["location"]
    assert led == f"/coffre/droit/?vers={fetched}"
    assert Client().get(led)["Location"] == f"/connexion/?next={page}"
    assert Client().get("/coffre/droit/")["Location"] == "/connexion/?next=%2Fcoffre%2Fdroit%2F"
    assert (
        Client()
        .get("/coffre/droit/?vers=//evil.example/")
        .headers["Location"]
        .startswith("/connexion/?next=%2F")
    )
