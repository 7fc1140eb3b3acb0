"""Coffre: stars, the room that each takes, and a search while the drive is away."""

from __future__ import annotations

import pytest
from beffroi.drive.store import favourites
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import no_door
from tests.integration.test_drive_pages import Drive, client, drive, shown

__all__ = ["client", "drive", "no_door"]
pytestmark = pytest.mark.django_db


def stars(drive: Drive) -> frozenset[int]:
    with drive.database.reading() as reading:
        return favourites.of(reading, drive.act.person_id)


def test_a_star_is_put_shown_everywhere_and_taken_away(drive: Drive, client: Client) -> None:
    folder = drive.folder("Dossier")
    node = drive.file("note.txt", folder)
    assert "Aucun favori" in client.get("/coffre/favoris/").content.decode()
    sent = {"ajouter": str(node.id), "page": f"/coffre/{folder.id}/"}
    assert client.post("/coffre/favoris/", sent)["Location"] == f"/coffre/{folder.id}/"
    assert stars(drive) == {node.id}
    pressed = f'name="retirer" value="{node.id}" aria-pressed="true"'
    for page in (f"/coffre/{folder.id}/", f"/coffre/{node.id}/", "/coffre/favoris/", "/coffre/recents/"):
        assert pressed in client.get(page).content.decode(), page
    page = client.get("/coffre/favoris/").content.decode()
    assert shown(page) == ["note.txt"] and "Mes fichiers › Dossier" in page
    client.post("/coffre/favoris/", {"retirer": str(node.id)})
    assert stars(drive) == frozenset()


def test_nobody_stars_what_they_do_not_see_and_what_is_gone_is_not_listed(
    drive: Drive, client: Client, beaune: Commune, nuits: Commune
) -> None:
    for owner in (beaune.colleague_membership, nuits.agent_membership):
        theirs = Drive(owner)
        for _ in range(9):
            hidden = theirs.file(f"secret{_}.txt")
        assert client.post("/coffre/favoris/", {"ajouter": str(hidden.id)}).status_code == 404
    assert client.post("/coffre/favoris/", {"ajouter": "x"}).status_code == 404
    assert stars(drive) == frozenset()
    node = drive.file("note.txt")
    client.post("/coffre/favoris/", {"ajouter": str(node.id)})
    client.post("/coffre/agir/", {"what": "delete", "dossier": str(drive.own.id), "n": str(node.id)})
    assert shown(client.get("/coffre/favoris/").content.decode()) == []


@pytest.mark.parametrize(
    "page", ["https://evil.example/", "//evil.example/", "/coffre/../connexion/", "/courrier/", ""]
)
def test_after_a_star_one_comes_back_to_the_coffre_alone(drive: Drive, client: Client, page: str) -> None:
    node = drive.file("note.txt")
    answer = client.post("/coffre/favoris/", {"ajouter": str(node.id), "page": page})
    assert answer["Location"] == "/coffre/favoris/"


def test_names_are_found_while_the_contents_do_not_answer(drive: Drive, client: Client) -> None:
    drive.file("Budget.ods")
    page = client.get("/coffre/recherche/?q=budget").content.decode()
    assert shown(page) == ["Budget.ods"] and "seuls les noms ont été cherchés" in page
    assert "au moins une lettre" in client.get("/coffre/recherche/?q=%25").content.decode()
    assert "Rien n’est encore cherché" in client.get("/coffre/recherche/").content.decode()


@pytest.mark.parametrize("path", ["/coffre/mots", "/coffre/mots/", "/coffre/mots/texte"])
def test_what_web_asks_of_the_drive_is_no_page(client: Client, path: str) -> None:
    assert client.post(path, "{}", content_type="application/json").status_code == 404
