"""A number in an address that is marked as another collectivité's opens nothing of this one."""

from __future__ import annotations

import json

import pytest
from beffroi.drive.web import numbered
from django.test import Client

from tests.conftest import Commune
from tests.drive_browser import Browser, at, server
from tests.drive_pages import Drive, client, drive
from tests.fixtures_portal import no_door

__all__ = ["at", "client", "drive", "no_door", "server"]
pytestmark = pytest.mark.django_db


def test_a_number_with_the_mark_of_another_collectivite_is_refused_wherever_it_leads(
    drive: Drive, at: Browser, client: Client, nuits: Commune
) -> None:
    made = at.send(b"x", folder=drive.own.id, name="x.odt")[1]["node"]
    own, other = numbered.mark(drive.collectivite_id), numbered.mark(nuits.collectivite.id)
    page = client.get(f"/coffre/{made}-{own}/").content.decode()
    assert f'href="/coffre/octets/{made}"' in page, "who works for one collectivité has plain numbers"
    assert at.ask("GET", f"/coffre/octets/{made}-{own}")[2] == b"x"
    steps = (
        f"{made}-{other}",
        f"{made}-{other}/apercu",
        f"bureau/{made}-{other}/pages",
        f"avant/1-{other}/1/1",
    )
    for step in steps:
        status, _, body = at.ask("GET", f"/coffre/octets/{step}")
        assert (status, json.loads(body)) == (409, {"code": "drive.other_collectivite"}), step
    status, headers, _ = at.ask("GET", f"/coffre/octets/{made}-{other}", Accept="text/html")
    where = f"/coffre/{made}-{other}/?refus=drive.other_collectivite"
    assert (status, headers["location"]) == (303, where)
    for address in (where, f"/coffre/{made}-{other}/liens/", f"/coffre/etiquettes/1-{other}/"):
        answer = client.get(address)
        assert answer.status_code == 409 and "celle d’une autre collectivité" in answer.content.decode()
