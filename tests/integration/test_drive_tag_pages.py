"""Coffre: labels on the pages: put by who may write, seen by who sees, of one commune alone."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import chain
from typing import LiteralString

import pytest
from beffroi.drive.store import seals, sqlite, tags
from beffroi.drive.store.model import Node
from beffroi.drive.store.seals import Seal
from beffroi.drive.store.shares import Share
from beffroi.drive.store.writing import Row, Writing
from beffroi.lib.ids import new_id
from beffroi.portal.web import drive as drive_page
from beffroi.portal.web import drive_tags
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, client, drive, shown
from tests.drive_share_pages import colleague, make, there
from tests.fixtures_drive_visit import folder, share
from tests.fixtures_portal import no_door, portal_client
from tests.markup import flat

__all__ = ["client", "colleague", "drive", "folder", "no_door", "share", "there"]
pytestmark = pytest.mark.django_db


def put(client: Client, node: Node, name: str) -> str:
    """What the page says then."""
    sent = {"what": "put", "n": str(node.id), "name": name}
    answer = client.post("/coffre/etiquettes/", sent, follow=True)
    return answer.content.decode()


def labels(page: str) -> list[str]:
    return re.findall(r'href="/coffre/etiquettes/\d+/"[^>]*>.*?<span>(.*?)</span>', page)


def chips(page: str) -> list[str]:
    """What the rows of a list say of labels, in their order."""
    return re.findall(r'<span class="chip"[^>]*>(.*?)</span>', page)


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
    assert shown(page) == ["note.txt", "Dossier"] and "Mes fichiers › Dossier" in page
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


def test_rows_say_three_labels_and_how_many_more(drive: Drive, client: Client) -> None:
    box = drive.folder("Dossier")
    node = drive.file("note.txt", box)
    pages = (f"/coffre/{box.id}/", "/coffre/recents/", "/coffre/recherche/?q=note", "/coffre/favoris/")
    client.post("/coffre/favoris/", {"ajouter": str(node.id)})
    assert [chips(client.get(one).content.decode()) for one in pages] == [[]] * 4
    put(client, node, "<b>")
    assert chips(client.get(pages[0]).content.decode()) == ["&lt;b&gt;"]
    for name in ("Urbanisme", "À signer", "Élections", "Budget"):
        put(client, node, name)
    for one in pages:
        page = client.get(one).content.decode()
        assert chips(page) == ["&lt;b&gt;", "À signer", "Budget", "+2"], one
        assert "et 2 autres" in page
    part = client.get(f"{pages[0]}?part=rows", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part and len(chips(part)) == 4


def test_labels_of_rows_cost_two_questions_however_many_rows(
    drive: Drive, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    all_of = sqlite.Connection.all

    def watched(on: sqlite.Connection, sql: LiteralString, parameters: Sequence[object] = ()) -> list[Row]:
        asked.append(sql)
        return all_of(on, sql, parameters)

    for number in range(30):
        put(client, drive.file(f"{number}.txt"), f"Dossier {number % 4}")
    monkeypatch.setattr(sqlite.Connection, "all", watched)
    assert len(chips(client.get("/coffre/").content.decode())) == 30
    assert sum("FROM tag" in one for one in asked) == 2


def test_rows_show_no_label_that_others_keep_hidden(drive: Drive, client: Client, colleague: Client) -> None:
    node = drive.file("pv.txt", drive.common)

    def hide(writing: Writing) -> None:
        made = tags.make(writing, drive.act, "Caché", visible=False, assignable=False)
        tags.assign(writing, drive.who, node.id, made.id)

    drive.database.write(hide)
    put(client, node, "Public")
    assert chips(client.get("/coffre/commune/").content.decode()) == ["Caché", "Public"]
    assert chips(colleague.get("/coffre/commune/").content.decode()) == ["Public"]


def test_rows_show_no_label_of_another_commune(
    drive: Drive, folder: Node, share: Share, client: Client, nuits: Commune
) -> None:
    put(client, drive.file("plan.txt", folder), "Confidentiel")
    for visitor in (nuits.agent_membership, nuits.referent_membership):
        for page in (
            f"/coffre/chez/{share.id}/{folder.id}/",
            "/coffre/recents/",
            "/coffre/recherche/?q=plan",
        ):
            said = portal_client(visitor).get(page).content.decode()
            assert "plan.txt" in said and chips(said) == [], page


def test_a_labels_list_goes_on_to_its_end_past_what_is_not_seen(
    drive: Drive, client: Client, colleague: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive_tags, "MOST_LOOKED_AT", 7)
    monkeypatch.setattr(drive_page, "PAGE_ROWS", 5)
    nodes = [drive.file("c0.txt", drive.common)]
    nodes += [drive.file(f"p{n}.txt") for n in range(16)]
    nodes += [drive.file(f"c{n}.txt", drive.common) for n in range(1, 7)]
    put(client, nodes[0], "Urgent")
    number = known(drive)["Urgent"]
    drive.database.write(
        lambda w: w.many("INSERT INTO tagged (node, tag) VALUES (?, ?)", [(n.id, number) for n in nodes[1:]])
    )

    def parts(of: Client) -> list[list[str]]:
        out, query = [], ""
        while True:
            page = flat(of.get(f"/coffre/etiquettes/{number}/?{query}").content.decode())
            out.append(shown(page))
            more = re.search(r'<a class="more" href="\?([^"]*)"', page)
            if more is None:
                return out
            query = html.unescape(more[1])

    every = [node.name for node in reversed(nodes)]
    assert [*chain(*parts(client))] == every and {len(one) for one in parts(client)[:-1]} == {5}
    assert [*chain(*parts(colleague))] == [
        "c6.txt",
        "c5.txt",
        "c4.txt",
        "c3.txt",
        "c2.txt",
        "c1.txt",
        "c0.txt",
    ]
    assert [] in parts(colleague), "a part of which one sees nothing leads on"
    part = client.get(
        f"/coffre/etiquettes/{number}/?part=rows", headers={"HX-Request": "true"}
    ).content.decode()
    assert "<html" not in part and len(shown(part)) == 5
