"""Coffre: stars, the room that each takes, and a search while the drive is away."""

from __future__ import annotations

import pytest
from beffroi.drive.store import favourites
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import Share
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, client, drive, shown
from tests.drive_share_pages import there
from tests.fixtures_drive_visit import crossings, folder, inside, share
from tests.fixtures_portal import no_door
from tests.markup import flat

__all__ = ["client", "drive", "folder", "no_door", "share", "there"]
pytestmark = pytest.mark.django_db


def stars(drive: Drive) -> frozenset[int]:
    with drive.database.reading() as reading:
        return favourites.of(reading, drive.who, drive.who.collectivite_id)


def test_a_star_is_put_shown_everywhere_and_taken_away(drive: Drive, client: Client) -> None:
    folder = drive.folder("Dossier")
    node = drive.file("note.txt", folder)
    assert "Aucun favori" in client.get("/coffre/favoris/").content.decode()
    sent = {"ajouter": str(node.id)}
    for page in (f"/coffre/{folder.id}-abc123/", f"/coffre/{folder.id}/"):
        assert client.post("/coffre/favoris/", sent | {"page": page})["Location"] == page
    assert stars(drive) == {node.id}
    pressed = f'name="retirer" value="{node.id}" aria-pressed="true"'
    for page in (f"/coffre/{folder.id}/", f"/coffre/{node.id}/", "/coffre/favoris/", "/coffre/recents/"):
        assert pressed in flat(client.get(page).content.decode()), page
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


def test_what_another_commune_shares_is_starred_and_listed_with_its_visitor(
    drive: Drive, folder: Node, share: Share, nuits: Commune, there: Client
) -> None:
    node_id, page = inside(drive, folder), f"/coffre/chez/{share.id}/{folder.id}/"
    named = f"{share.id}/{node_id}"
    assert f'name="ajouter" value="{named}" aria-pressed="false"' in flat(there.get(page).content.decode())
    assert there.post("/coffre/favoris/", {"ajouter": named, "page": page})["Location"] == page
    visitor = Drive(nuits.agent_membership)
    with visitor.database.reading() as own, drive.database.reading() as owners:
        mine = [one[0] for one in own.all("SELECT owner FROM favourite_abroad")]
        assert mine == [drive.collectivite_id]
        assert owners.all("SELECT * FROM favourite") == owners.all("SELECT * FROM favourite_abroad") == []
    before = len(crossings())
    for at in (page, f"/coffre/chez/{share.id}/{node_id}/", "/coffre/favoris/", "/coffre/recents/"):
        assert f'name="retirer" value="{named}" aria-pressed="true"' in flat(
            there.get(at).content.decode()
        ), at
    assert set(crossings()[before:]) <= {"list"}
    assert "Plan secret" not in there.get("/coffre/favoris/").content.decode()
    there.post("/coffre/favoris/", {"retirer": named})
    assert "Plan de la piste" not in there.get("/coffre/favoris/").content.decode()


def test_nobody_stars_by_a_share_what_it_does_not_reach_nor_after_it_ended(
    drive: Drive, folder: Node, share: Share, there: Client, client: Client
) -> None:
    secret = drive.file("Plan caché.odt")
    for named in (f"{share.id}/{secret.id}", f"{share.id}/x", f"shr_{'0' * 26}/{folder.id}", f"/{secret.id}"):
        assert there.post("/coffre/favoris/", {"ajouter": named}).status_code == 404, named
    assert client.post("/coffre/favoris/", {"ajouter": f"{share.id}/{folder.id}"}).status_code == 404
    assert there.post("/coffre/favoris/", {"ajouter": f"{share.id}/{folder.id}"}).status_code == 302
    assert shown(there.get("/coffre/favoris/").content.decode()) == ["Piste cyclable"]
    client.post(f"/coffre/partages/{share.id}/arreter/")
    assert shown(there.get("/coffre/favoris/").content.decode()) == []
    again = there.post("/coffre/favoris/", {"ajouter": f"{share.id}/{folder.id}"})
    assert again.status_code == 404


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


def test_a_script_hears_whether_a_star_was_put_and_not_where_a_page_would_go(
    drive: Drive, client: Client
) -> None:
    node = drive.file("note.txt")
    sent = {"ajouter": str(node.id), "page": "/coffre/"}
    script = {"accept": "application/json"}
    assert client.post("/coffre/favoris/", sent, headers=script).status_code == 204
    assert stars(drive) == {node.id}
    client.logout()
    assert client.post("/coffre/favoris/", sent, headers=script).status_code == 302, (
        "to the sign-in: nothing was put"
    )


def test_whose_session_ended_reads_it_once(drive: Drive, client: Client) -> None:
    sent = {"ajouter": str(drive.file("note.txt").id), "page": "/coffre/"}
    client.logout()
    assert client.post("/coffre/favoris/", sent, headers={"accept": "application/json"}).status_code == 302
    # The script sends the form itself then, whose page says it.
    page = client.post("/coffre/favoris/", sent, follow=True).content.decode()
    assert page.count("Votre session était terminée") == 1
