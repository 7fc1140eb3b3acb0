"""Coffre: what nobody types and is sent all the same is refused in words; what one commune lost breaks no page of
another."""

from __future__ import annotations

import html

import pytest
from beffroi.drive.store import groups, shares
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import Share
from beffroi.lib import clock
from django.conf import settings
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, client, drive
from tests.drive_share_pages import make, text, there
from tests.fixtures_drive import erase
from tests.fixtures_drive_visit import folder, share
from tests.fixtures_portal import no_door, portal_client

__all__ = ["client", "drive", "folder", "no_door", "share", "there"]
pytestmark = pytest.mark.django_db
HUGE = (1 << 63, 10**30)


@pytest.mark.parametrize("number", HUGE)
def test_a_number_that_no_database_holds_is_no_such_page(
    drive: Drive, share: Share, client: Client, there: Client, number: int
) -> None:
    node = drive.file("note.txt")
    for path in (
        f"{number}/",
        f"{number}/versions/{number}/",
        f"{node.id}/versions/{number}/",
        f"{node.id}/versions/{number}/supprimer/",
        f"{node.id}/comparer/{number}/",
        f"etiquettes/{number}/",
        f"{number}/avant/",
        f"{number}/editer/",
        f"{number}/liens/",
        f"{number}/depots/",
        f"{number}/partage/",
    ):
        assert client.get(f"/coffre/{path}").status_code == 404, path
    assert client.post(f"/coffre/{node.id}/versions/{number}/supprimer/").status_code in (302, 404)
    for rest in ("", f"comparer/{number}/", f"versions/{number}/", "editer/"):
        assert there.get(f"/coffre/chez/{share.id}/{number}/{rest}").status_code == 404, rest


@pytest.mark.parametrize("kind", ["person", "collectivite", "group", "role"])
def test_a_share_with_what_no_text_holds_is_refused_beside_its_field(
    drive: Drive, client: Client, kind: str
) -> None:
    answer = make(client, drive.folder("Marchés").id, f"{kind}:a\x00b")
    assert answer.status_code == 400
    assert "Choisissez une personne, un groupe ou une commune" in answer.content.decode()


@pytest.mark.parametrize("path", ["a%00b/x", "{owner}/a%00b", "{owner}/%ED%A0%80"])
def test_a_link_with_what_no_text_holds_is_not_open(beaune: Commune, path: str) -> None:
    answer = Client().get(f"/partage/{path.format(owner=beaune.id)}/")
    assert answer.status_code == 404 and "n’est plus ouvert" in answer.content.decode()


def test_a_group_whose_name_has_a_percent_sign_is_deleted_with_its_shares(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    referent = portal_client(beaune.referent_membership)
    referent.post("/coffre/groupes/", {"name": "Prime 100 %"})
    with drive.database.reading() as reading:
        (group,) = groups.every(reading)
    make(client, drive.folder("Primes").id, f"group:{group.id}")
    page = referent.post(f"/coffre/groupes/{group.id}/supprimer/", follow=True).content.decode()
    said = html.unescape(page).replace("\u00a0", " ")
    assert "Le groupe « Prime 100 % » est supprimé. 1 partage est arrêté." in said


def test_a_commune_whose_files_were_erased_breaks_no_page_of_who_shared_with_it(
    drive: Drive, share: Share, folder: Node, client: Client, nuits: Commune
) -> None:
    erase(settings.BEFFROI, nuits.id)
    for page in ("/coffre/partages/", f"/coffre/{folder.id}/partage/"):
        assert "Son Coffre a été effacé" in html.unescape(text(client, page)), page


def test_what_an_erased_commune_offered_breaks_no_page_of_its_receiver(
    beaune: Commune, share: Share, there: Client
) -> None:
    erase(settings.BEFFROI, beaune.id)
    answer = there.get("/coffre/partages-avec-moi/")
    assert answer.status_code == 200 and "Piste cyclable" not in answer.content.decode()


def test_nothing_is_shared_with_a_commune_whose_files_were_erased(
    drive: Drive, folder: Node, client: Client, nuits: Commune
) -> None:
    Drive(nuits.referent_membership)
    erase(settings.BEFFROI, nuits.id)
    make(client, folder.id, f"collectivite:{nuits.id}")
    with drive.database.reading() as reading:
        assert shares.all_open(reading, now_s=clock.epoch_s()) == []


def test_a_link_of_an_erased_commune_is_answered_as_any_that_is_not_open(
    drive: Drive, folder: Node, beaune: Commune
) -> None:
    erase(settings.BEFFROI, beaune.id)
    answer = Client().get(f"/partage/{beaune.id}/abc/")
    assert answer.status_code == 404 and "n’est plus ouvert" in answer.content.decode()
    assert answer["Referrer-Policy"] == "no-referrer"
