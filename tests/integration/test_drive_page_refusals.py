"""Coffre: what is refused says why where it was typed, keeps what was typed, and is no dead end."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import preparing
from beffroi.portal.web import drive_act
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, client, do, drive
from tests.drive_share_pages import make, only_share
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_tag_pages import known, put
from tests.markup import flat, text_of

__all__ = ["client", "do", "drive", "no_door"]
pytestmark = pytest.mark.django_db


def test_a_folder_s_name_that_is_taken_is_still_in_its_field_beside_why(drive: Drive, do: Any) -> None:
    drive.folder("Conseil")
    page = flat(do("folder", drive.own, name="conseil"))
    field = page.split('id="id_name"')[1].split(">")[0]
    assert 'value="conseil"' in field and 'aria-invalid="true"' in field
    assert '<details class="card" open><summary>' in page and "déjà pris" in page
    assert drive.names() == ["Conseil"]


@pytest.mark.parametrize("name", ["a/b", "é" * 128, "un\tdeux", ".."])
def test_a_name_that_nothing_may_have_is_told_why(drive: Drive, do: Any, name: str) -> None:
    page = do("folder", drive.own, name=name).replace("\u00a0", " ")
    assert "compte double" in page and "« / »" in page and "tabulation" in page and drive.names() == []
    do("folder", drive.own, name="é" * 127)
    assert drive.names() == ["é" * 127]


def test_who_ticks_more_than_is_changed_at_once_reads_how_many_may_be(drive: Drive, do: Any) -> None:
    numbers = ",".join(str(number) for number in range(1, drive_act.MAX_NODES + 2))
    page = do("delete", drive.own, n=numbers).replace("\u00a0", "")
    assert f"{drive_act.MAX_NODES} éléments au plus" in page


def test_it_is_shown_once_and_on_its_own_page_alone(drive: Drive, client: Client) -> None:
    folder = drive.folder("Conseil")
    client.post("/coffre/agir/", {"what": "folder", "dossier": str(drive.own.id), "name": "a/b"})
    assert "a/b" not in text_of(client.get(f"/coffre/{folder.id}/"))
    assert 'value="a/b"' in text_of(client.get("/coffre/"))
    assert "a/b" not in text_of(client.get("/coffre/"))


def test_a_file_s_new_name_that_is_refused_stays_on_the_file_s_page(drive: Drive, client: Client) -> None:
    node = drive.file("plan.pdf")
    drive.file("budget.ods")
    sent = {"what": "rename", "dossier": str(drive.own.id), "n": str(node.id), "name": "Budget.ods"}
    answer = client.post("/coffre/agir/", sent)
    assert answer.headers["Location"] == f"/coffre/{node.id}/", "no name in an address"
    page = text_of(client.get(f"/coffre/{node.id}/"))
    assert 'value="Budget.ods"' in page and 'aria-describedby="id_new_name-wrong"' in page
    assert 'value="plan.pdf"' in text_of(client.get(f"/coffre/{node.id}/"))


def test_a_refused_name_leads_to_no_other_commune_s_page(drive: Drive, nuits: Commune) -> None:
    node, there = drive.file("plan.pdf"), portal_client(nuits.agent_membership)
    own = Drive(nuits.agent_membership).own
    sent = {"what": "rename", "dossier": str(own.id), "n": str(node.id + 1000), "name": "a/b"}
    assert there.post("/coffre/agir/", sent, follow=True).status_code == 404


@pytest.fixture
def counted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of one commune is one of another, too, as it may be by chance."""
    monkeypatch.setattr(preparing, "FIRST_NUMBERS", 1)


@pytest.mark.usefixtures("counted_alike")
def test_a_page_of_a_commune_that_one_left_changes_nothing_in_the_other(
    drive: Drive, beaune: Commune, nuits: Commune
) -> None:
    ended = beaune.agent_membership
    second = identity.add_membership(
        actor=Actor.system("tests"), person=ended.person, collectivite=nuits.collectivite, role="agent"
    )
    there, other = portal_client(ended), Drive(second)
    sent = {"what": "folder", "dossier": str(other.own.id), "name": "a"}
    there.post("/coffre/agir/", sent)
    assert (drive.names(), other.names()) == (["a"], []), "both folders have the same number"
    identity.end_access(actor=beaune.referent, membership=ended)
    page = text_of(there.post("/coffre/agir/", sent | {"name": "b"}, follow=True))
    assert "Votre session était terminée" in page and (drive.names(), other.names()) == (["a"], [])


def test_who_only_reads_a_share_is_told_so_where_they_would_pass_it_on(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    folder = drive.folder("Conseil")
    make(client, folder.id, f"person:{beaune.colleague_membership.person_id}")
    colleague = portal_client(beaune.colleague_membership)
    for page in ("partage", "liens", "depots"):
        answer = colleague.get(f"/coffre/{folder.id}/{page}/")
        said = text_of(answer)
        assert answer.status_code == 403 and "Vous pouvez le lire, pas le modifier ni le partager" in said
        assert "Vérifiez ce que vous avez saisi" not in said
        assert "Revenir au Coffre" in said and 'href="/coffre/"' in said
    assert "Revenir au Coffre" in text_of(colleague.get("/coffre/999999/"))
    assert "Revenir au Coffre" not in text_of(colleague.get("/courrier/999999/"))


def test_a_search_that_finds_nobody_offers_no_form_and_a_way_back(drive: Drive, client: Client) -> None:
    folder = drive.folder("Conseil")
    page = text_of(client.get(f"/coffre/{folder.id}/partage/?q=zzzz"))
    assert "ne porte ce nom" in page and "Voir qui est proposé" in page and 'name="rights"' not in page
    assert 'name="rights"' in text_of(client.get(f"/coffre/{folder.id}/partage/"))


def test_what_was_done_takes_the_focus_once(drive: Drive, do: Any, client: Client) -> None:
    node = drive.file("plan.pdf")
    assert 'tabindex="-1" data-focus' in do("delete", drive.own, n=str(node.id))
    page = text_of(client.get("/coffre/"))
    assert "mis à la corbeille" in page and "data-focus" not in page


def test_a_visitor_s_refused_name_is_in_its_field_there(
    drive: Drive, beaune: Commune, nuits: Commune
) -> None:
    folder = drive.folder("Conseil")
    drive.file("plan.pdf", folder)
    make(portal_client(beaune.agent_membership), folder.id, f"collectivite:{nuits.id}", "write")
    share_id = only_share(drive).id
    sent = {"partage": share_id, "what": "accept"}
    portal_client(nuits.referent_membership).post("/coffre/partages-avec-moi/", sent)
    there, path = portal_client(nuits.agent_membership), f"/coffre/chez/{share_id}/"
    answer = there.post(path, {"what": "folder", "name": "a/b"})
    page = text_of(there.get(answer.headers["Location"]))
    assert 'value="a/b"' in page and 'aria-describedby="id_folder-wrong"' in page
    assert "a/b" not in text_of(there.get(answer.headers["Location"]))
    node = next(one for one in drive.children(folder.id) if one.name == "plan.pdf")
    there.post(f"{path}{node.id}/", {"what": "rename", "name": ".."})
    assert 'aria-describedby="id_new_name-wrong"' in text_of(there.get(f"{path}{node.id}/"))


def test_a_label_s_refused_name_is_in_its_field(drive: Drive, client: Client) -> None:
    node = drive.file("plan.pdf")
    for name in ("Urgent", "Urbanisme"):
        put(client, node, name)
    path = f"/coffre/etiquettes/{known(drive)['Urgent']}/"
    client.post(path, {"what": "rename", "name": "urbanisme"})
    page = text_of(client.get(path))
    assert 'value="urbanisme"' in page and "porte déjà ce nom" in page and 'aria-invalid="true"' in page
    assert 'value="Urgent"' in text_of(client.get(path))
