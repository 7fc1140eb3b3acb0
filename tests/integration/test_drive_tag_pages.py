"""Coffre: labels on the pages: put by who may write, seen by who sees, of one commune alone."""

from __future__ import annotations

import re

import pytest
from beffroi.drive.store import seals, tags
from beffroi.drive.store.model import Node
from beffroi.drive.store.seals import Seal
from beffroi.drive.store.shares import Share
from beffroi.lib.ids import new_id
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_pages import Drive, client, drive, shown
from tests.integration.test_drive_share_pages import colleague, make, there
from tests.integration.test_drive_visit_pages import folder, share

__all__ = ["client", "colleague", "drive", "folder", "no_door", "share", "there"]
pytestmark = pytest.mark.django_db


def put(client: Client, node: Node, name: str) -> str:
    """What the page says then."""
    sent = {"what": "put", "n": str(node.id), "name": name}
    answer = client.post("/coffre/etiquettes/", sent, follow=True)
    return answer.content.decode()


def labels(page: str) -> list[str]:
    return re.findall(r'href="/coffre/etiquettes/\d+/"[^>]*>.*?<span>(.*?)</span>', page)


def known(drive: Drive) -> dict[str, int]:
    with drive.database.reading() as reading:
        return {one.name: one.id for one in tags.seen(reading, drive.who)}


def test_a_label_is_put_seen_listed_and_taken_away(drive: Drive, client: Client) -> None:
    box = drive.folder("Dossier")
    node = drive.file("note.txt", box)
    assert "Aucune étiquette" in client.get("/coffre/etiquettes/").content.decode()
    assert labels(client.get(f"/coffre/{node.id}/").content.decode()) == []
    assert "Étiquette posée." in put(client, node, "  à   <signer> ")
    assert labels(put(client, box, "À <Signer>")) == ["à &lt;signer&gt;"], "capitals make no other label"
    assert labels(put(client, node, "Urbanisme")) == ["à &lt;signer&gt;", "Urbanisme"]
    assert labels(put(client, node, "urbanisme")) == ["à &lt;signer&gt;", "Urbanisme"], "it is on it already"
    assert set(known(drive)) == {"à <signer>", "Urbanisme"}
    signed = known(drive)["à <signer>"]
    page = client.get(f"/coffre/etiquettes/{signed}/").content.decode()
    assert shown(page) == ["Dossier", "note.txt"] and "Mes fichiers › Dossier" in page
    assert 'value="Urbanisme"' in client.get(f"/coffre/{box.id}/").content.decode(), "offered while one types"
    taken = {"what": "take", "n": str(node.id), "tag": str(signed)}
    assert labels(client.post("/coffre/etiquettes/", taken, follow=True).content.decode()) == ["Urbanisme"]
    assert "n’est plus là" in client.post("/coffre/etiquettes/", taken, follow=True).content.decode()
    assert shown(client.get(f"/coffre/etiquettes/{signed}/").content.decode()) == ["Dossier"]
    with drive.database.reading() as reading:
        assert reading.one("SELECT etag FROM node WHERE id = ?", (node.id,)) == (node.etag,), (
            "no etag changes"
        )


def test_a_label_has_a_name_and_no_root_has_one(drive: Drive, client: Client) -> None:
    node = drive.file("note.txt")
    assert "64 signes" in put(client, node, "x" * 65)
    assert "Ce nom ne convient pas" in put(client, node, "   ")
    assert known(drive) == {}
    for wrong in ({"what": "put", "n": "x", "name": "y"}, {"what": "put", "n": str(1 << 62), "name": "y"}):
        assert client.post("/coffre/etiquettes/", wrong).status_code == 404
    assert client.post("/coffre/etiquettes/", {"what": "x", "n": str(node.id)}).status_code == 400
    assert 'id="h-tags"' not in client.get("/coffre/").content.decode()
    assert 'id="h-tags"' not in client.get("/coffre/commune/").content.decode()


def test_who_made_it_and_the_referent_rename_and_delete_it(
    drive: Drive, client: Client, colleague: Client, beaune: Commune
) -> None:
    node = drive.file("pv.txt", drive.common)
    put(client, node, "Urgent")
    page = f"/coffre/etiquettes/{known(drive)['Urgent']}/"
    assert "Supprimer cette étiquette" not in colleague.get(page).content.decode()
    for sent in ({"what": "rename", "name": "x"}, {"what": "delete"}):
        assert "Seuls la personne" in colleague.post(page, sent, follow=True).content.decode()
    referent = portal_client(beaune.referent_membership)
    assert "Supprimer cette étiquette" in referent.get(page).content.decode()
    put(colleague, node, "Pris")
    assert (
        "porte déjà ce nom"
        in client.post(page, {"what": "rename", "name": "PRIS"}, follow=True).content.decode()
    )
    assert (
        "Le nom est changé"
        in client.post(page, {"what": "rename", "name": "Très urgent"}, follow=True).content.decode()
    )
    assert set(known(drive)) == {"Très urgent", "Pris"}
    assert client.post(page, {"what": "x"}).status_code == 400
    said = referent.post(page, {"what": "delete"}, follow=True).content.decode()
    assert "est supprimée. Les fichiers restent." in said and set(known(drive)) == {"Pris"}
    assert client.get(page).status_code == 404


def test_who_only_reads_sees_labels_and_changes_none(
    drive: Drive, client: Client, colleague: Client, beaune: Commune
) -> None:
    box = drive.folder("Plans")
    put(client, box, "Urbanisme")
    make(client, box.id, f"person:{beaune.colleague.id}")
    page = colleague.get(f"/coffre/{box.id}/").content.decode()
    assert labels(page) == ["Urbanisme"] and "Étiquette à poser" not in page
    assert "Retirer l’étiquette" not in page
    number = known(drive)["Urbanisme"]
    for sent in ({"what": "put", "name": "y"}, {"what": "take", "tag": str(number)}):
        said = colleague.post("/coffre/etiquettes/", {"n": str(box.id)} | sent, follow=True).content.decode()
        assert "Vous pouvez lire ici" in said
    assert set(known(drive)) == {"Urbanisme"}
    assert shown(colleague.get(f"/coffre/etiquettes/{number}/").content.decode()) == ["Plans"]
    secret = drive.file("secret.txt")
    put(client, secret, "Urbanisme")
    assert shown(colleague.get(f"/coffre/etiquettes/{number}/").content.decode()) == ["Plans"]


def test_nothing_sealed_gets_a_label(drive: Drive, client: Client) -> None:
    box = drive.folder("Registre", drive.common)
    node = drive.file("pv.txt", box)
    put(client, node, "Urgent")
    seal = Seal(
        new_id("seal"), box.id, "sealing", box.name, drive.act.now_s, 0, "", drive.act.person_id, 1, "ab" * 32,
        0, 0, 0, 0, 0, "none", 0, 1, 0, "",
    )  # fmt: skip
    drive.database.write(lambda writing: seals.begin(writing, seal))
    page = client.get(f"/coffre/{node.id}/").content.decode()
    assert labels(page) == ["Urgent"] and "Étiquette à poser" not in page
    assert "C’est scellé" in put(client, node, "Autre") and set(known(drive)) == {"Urgent"}


def test_labels_of_a_commune_are_nobody_elses(
    drive: Drive, folder: Node, share: Share, client: Client, there: Client
) -> None:
    for number in range(9):  # a number that no neighbour has reached
        drive.file(str(number))
    put(client, folder, "Confidentiel")
    number = known(drive)["Confidentiel"]
    for method in ("get", "post"):
        assert getattr(there, method)(f"/coffre/etiquettes/{number}/", {"what": "delete"}).status_code == 404
    assert "Confidentiel" not in there.get("/coffre/etiquettes/").content.decode()
    assert "Confidentiel" not in there.get(f"/coffre/chez/{share.id}/{folder.id}/").content.decode()
    assert (
        there.post("/coffre/etiquettes/", {"what": "put", "n": str(folder.id), "name": "y"}).status_code
        == 404
    )
    assert set(known(drive)) == {"Confidentiel"}
