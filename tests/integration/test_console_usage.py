"""Usage by commune: who is counted, what is counted, and what the page says of a Coffre that it cannot read."""

from __future__ import annotations

import re

import pytest
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity.models import SignIn
from beffroi.drive import used
from beffroi.lib import clock
from beffroi.portal import drive_access
from django.conf import settings
from django.test import Client

from tests.conftest import Commune, NewAdministrator
from tests.drive_pages import Drive, drive
from tests.fixtures_portal import console_client, no_door, on_listener

__all__ = ["drive", "no_door"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def territory(beaune: Commune, nuits: Commune) -> None:
    Collectivite.objects.update(enrolled_at=clock.now())


def sign_in(commune: Commune, person_id: str, *, door: str = "imap", address: str = "192.0.2.1") -> None:
    now = clock.now()
    SignIn.objects.create(
        person_id=person_id,
        collectivite_id=commune.id,
        door=door,
        address=address,
        day=now.date(),
        first_at=now,
        last_at=now,
    )


def lines(client: Client) -> list[list[str]]:
    """The table's rows, without tags."""
    body = client.get("/communes/usage/").content.decode().partition("<tbody ")[2].partition("</tbody>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("</tr>")[:-1]]
    return [[" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in row] for row in rows]


def test_people_and_files_are_counted_by_commune(
    territory: None, beaune: Commune, nuits: Commune, drive: Drive, new_administrator: NewAdministrator
) -> None:
    drive.file("arrêté.txt", drive.folder("Arrêtés"))
    sign_in(beaune, beaune.agent.id)
    sign_in(beaune, beaune.agent.id, door="dav", address="192.0.2.2")  # the same person
    sign_in(beaune, beaune.referent.id)
    with on_listener("console"):
        client = console_client(new_administrator.record.id)
        assert [row[4] for row in lines(client)] == ["0 · 0 o", "pas encore compté"]
        used.tell(settings.BEFFROI, drive_access._communes())
        drive_access._communes().close()
        found = lines(client)
        body = client.get("/communes/usage/").content.decode()
        assert re.search(r"compté chaque heure, la dernière fois\s: [^.]*[0-9]", body)
    assert not drive_access._communes()._open, "the page opens none of them"
    assert [row[:3] for row in found] == [["Nuits-Saint-Georges", "3", "personne"], ["Beaune", "3", "2"]]
    assert found[1][4].startswith("2 ·")
    assert found[0][4].startswith("0 ·")


def test_who_left_is_not_counted_as_more_than_there_are(
    territory: None, beaune: Commune, new_administrator: NewAdministrator
) -> None:
    for number in range(5):
        sign_in(beaune, f"per_{number}")
    with on_listener("console"):
        found = lines(console_client(new_administrator.record.id))
    assert ["Beaune", "3", "3"] in [row[:3] for row in found]


def test_a_coffre_that_cannot_be_read_is_said(
    territory: None, beaune: Commune, drive: Drive, new_administrator: NewAdministrator
) -> None:
    drive.database.write(lambda writing: writing.run("UPDATE meta SET value = '999' WHERE name = 'format'"))
    drive_access._communes()._forget(beaune.id)  # as of a newer Beffroi, opened anew
    used.tell(settings.BEFFROI, drive_access._communes())
    with on_listener("console"):
        found = lines(console_client(new_administrator.record.id))
    assert next(row for row in found if row[0] == "Beaune")[4] == "illisible en ce moment"
