"""Coffre: what was deleted comes back or goes for good; an earlier content of a file is put in force again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.drive.store import trash, tree, versions
from beffroi.drive.store.model import EMPTY
from django.test import Client
from django.urls import reverse

from tests.conftest import PASSWORD, Commune, make_member
from tests.drive_pages import Drive, client, do, drive, shown
from tests.fixtures_portal import confirmed, no_door, portal_client

__all__ = ["client", "do", "drive", "no_door"]
pytestmark = pytest.mark.django_db
TRASH = "/coffre/corbeille/"


def test_deletion_is_taken_back_at_once(drive: Drive, do: Callable[..., str]) -> None:
    folder = drive.folder("Budget")
    drive.file("2026.ods", folder)
    page = do("delete", drive.own, n=[folder.id])
    assert "1 élément mis à la corbeille." in page and "Annuler" in page
    assert "C’est annulé" in do("undo", drive.own)
    assert drive.names() == ["Budget"] and drive.names(folder) == ["2026.ods"]


def test_what_lies_in_the_trash_is_given_back_to_its_place(
    drive: Drive, client: Client, do: Callable[..., str]
) -> None:
    folder = drive.folder("Budget")
    one, two = drive.file("a.ods", folder), drive.file("b.ods", folder)
    do("delete", folder, n=[one.id, two.id])
    drive.file("a.ods", folder)
    page = client.get(TRASH).content.decode()
    assert sorted(one.strip() for one in shown(page)) == ["a.ods", "b.ods"] and "Budget" in page
    page = client.post(TRASH, {"what": "restore", "n": f"{one.id},{two.id}"}, follow=True).content.decode()
    assert "2 éléments rendus à leur place." in page and "La corbeille est vide" in page
    assert drive.names(folder) == ["a (2).ods", "a.ods", "b.ods"]
    do("undo", folder)
    assert drive.names(folder) == ["a.ods"]


def test_a_search_finds_what_was_deleted_also_within_a_folder_that_a_colleague_deleted(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    """The field for it stands on the page of the trash, too."""
    colleague = replace(drive.act, person_id=beaune.referent_membership.person_id)
    mine, shared = drive.file("Budget 2026.ods"), drive.folder("Travaux")
    finances = drive.folder("Finances", drive.common)
    drive.file("Budget annexe.ods", drive.folder("2025", finances))
    for act, node in ((drive.act, mine), (colleague, shared), (colleague, finances)):
        drive.database.write(lambda w, it=(act, node.id): tree.delete(w, *it))
    page = client.get("/coffre/recherche/?q=budgets").content.decode()
    assert "Rien de présent ne correspond" in page
    _, own, common = page.split('<section class="card"')[1:4]
    assert "Dans votre corbeille" in own and "Budget 2026.ods" in own and "contient" not in own
    assert "Dans la corbeille de la commune" in common and "contient Budget annexe.ods" in common
    assert beaune.referent_membership.person.name in common
    assert "Travaux" not in page
    client.post(TRASH, {"what": "restore", "de": "commune", "n": str(finances.id)})
    page = client.get("/coffre/recherche/?q=budget annexe").content.decode()
    assert "corbeille de la commune" not in page and "Budget annexe.ods" in page
    assert beaune.referent_membership.person.name in client.get(TRASH).content.decode(), (
        "a colleague deleted it"
    )


def test_a_search_finds_nothing_in_the_trash_of_somebody_else(
    drive: Drive, client: Client, beaune: Commune, nuits: Commune
) -> None:
    for membership in (beaune.referent_membership, nuits.agent_membership):
        other = Drive(membership)
        for parent in (other.own, other.common) if membership is nuits.agent_membership else (other.own,):
            node = other.file("Budget secret.ods", parent)
            other.database.write(lambda w, it=(other.act, node.id): tree.delete(w, *it))
    assert "Budget secret" not in client.get("/coffre/recherche/?q=budget").content.decode()


def test_the_trash_is_emptied_for_good(drive: Drive, client: Client, do: Callable[..., str]) -> None:
    one = drive.file("a.ods")
    do("delete", drive.own, n=[one.id])
    assert "effacé pour de bon" in client.get(TRASH).content.decode()
    answer = client.post(TRASH, {"what": "empty"})
    assert answer["Location"].startswith(reverse("account_reauthenticate"))
    with drive.database.reading() as reading:
        assert [item.node for item in trash.page(reading, drive.own.id)] == [one.id], "a session alone"
    client.post("/confirmer/", {"password": PASSWORD})
    assert "La corbeille est vide." in client.post(TRASH, {"what": "empty"}, follow=True).content.decode()
    with drive.database.reading() as reading:
        assert trash.page(reading, drive.own.id) == []
    client.post(TRASH, {"what": "empty"})
    (line,) = AuditEntry.objects.filter(verb="drive:trash:emptied")  # none for nothing
    assert (line.object_id, line.collectivite_id) == (str(drive.own.id), drive.collectivite_id)
    assert line.details == '{"items":1}'
    assert (
        "n’est plus là" in client.post(TRASH, {"what": "restore", "n": one.id}, follow=True).content.decode()
    )


def test_the_communes_trash_is_emptied_by_its_referent_alone(
    drive: Drive, client: Client, do: Callable[..., str], beaune: Commune, system: Any
) -> None:
    one = drive.file("pv.pdf", drive.common)
    do("delete", drive.common, n=[one.id])
    data = {"what": "empty", "de": "commune"}
    elected = portal_client(make_member(system, beaune.collectivite, "elu@beaune.test", "elu"))
    assert "Effacer pour de bon" not in client.get(TRASH + "?de=commune").content.decode()
    assert "pas le modifier" in client.post(TRASH, data, follow=True).content.decode()
    restore = {"what": "restore", "n": one.id, "de": "commune"}
    assert "pas le modifier" in elected.post(TRASH, restore, follow=True).content.decode()
    referent = confirmed(beaune.referent_membership)
    page = referent.get(TRASH + "?de=commune").content.decode()
    assert "pv.pdf" in page and "agent" in page and "archives publiques" in page
    referent.post(TRASH, data)
    assert "pv.pdf" not in referent.get(TRASH + "?de=commune").content.decode()


def test_another_persons_and_another_communes_trash_stays_shut(
    drive: Drive, client: Client, do: Callable[..., str], beaune: Commune, nuits: Commune
) -> None:
    for number in range(20):
        drive.file(str(number))
    one = drive.file("secret.pdf")
    do("delete", drive.own, n=[one.id])
    for stranger in (beaune.colleague_membership, beaune.referent_membership, nuits.agent_membership):
        other = portal_client(stranger)
        assert "secret" not in other.get(TRASH).content.decode()
        page = other.post(TRASH, {"what": "restore", "n": one.id}, follow=True).content.decode()
        assert "n’est plus là" in page and "secret" not in page
        other.post(TRASH, {"what": "empty"})
    assert "secret.pdf" in client.get(TRASH).content.decode()


@pytest.mark.parametrize("query", ["apres=x", "apres=1-", f"apres={'9' * 50}-1", "apres=1-2"])
def test_an_odd_address_shows_the_beginning_or_nothing(drive: Drive, client: Client, query: str) -> None:
    assert client.get(f"{TRASH}?{query}").status_code == 200
    assert client.post(TRASH, {"what": "explode"}).status_code == 400


def test_an_earlier_version_is_put_in_force_again(
    drive: Drive, client: Client, beaune: Commune, nuits: Commune
) -> None:
    for number in range(20):
        drive.file(str(number))
    one = drive.file("budget.ods")

    def write(size: int) -> None:
        content = replace(EMPTY, size_bytes=size)
        drive.database.write(
            lambda writing: tree.put(writing, drive.act, drive.own.id, "budget.ods", content)
        )

    write(4000)
    write(7000)
    page = client.get(f"/coffre/{one.id}/").content.decode()
    assert page.count("Rétablir") == 2
    with drive.database.reading() as reading:
        etag = versions.of(reading, one.id)[0].etag
    data = {"what": "version", "dossier": drive.own.id, "n": one.id, "etag": etag}
    for stranger in (beaune.colleague_membership, nuits.agent_membership):
        theirs = Drive(stranger)
        other = portal_client(stranger)
        assert (
            "n’est plus là"
            in other.post("/coffre/agir/", data | {"dossier": theirs.own.id}, follow=True).content.decode()
        )
    page = client.post("/coffre/agir/", data, follow=True).content.decode()
    assert "Cette version est rétablie." in page and "4\u00a0ko" in page and page.count("Rétablir") == 3
    assert (
        "Cette version n’existe plus"
        in client.post("/coffre/agir/", data | {"etag": 1}, follow=True).content.decode()
    )


@pytest.mark.parametrize("path", ["corbeille/?apres=" + "9" * 20 + "-1", "corbeille/?apres=1-" + "9" * 20])
def test_a_page_after_no_page_is_the_first(client: Client, path: str) -> None:
    assert client.get(f"/coffre/{path}").status_code == 200


def test_numbers_that_no_file_can_have_are_absent(client: Client) -> None:
    for number in (1 << 63, 1 << 70, 0):
        assert client.get(f"/coffre/{number}/").status_code == 404


def test_a_page_takes_back_its_own_change_and_no_later_one(
    drive: Drive, client: Client, do: Callable[..., str]
) -> None:
    """Two tabs: the first one still offers to take back what is not the last change any more."""
    folder, one, two = drive.folder("Budget"), drive.file("a.pdf"), drive.file("b.pdf")
    old = do("delete", drive.own, n=[one.id])
    mark = re.search(r'name="fait" value="([0-9a-f]+)"', old)
    assert mark is not None
    do("move", folder, n=[two.id])
    do("drop", folder)
    assert "entre-temps" in do("undo", drive.own, fait=mark[1])
    assert drive.names(folder) == ["b.pdf"] and drive.names() == ["Budget"]
    later = re.search(
        r'name="fait" value="([0-9a-f]+)"', client.get(f"/coffre/{folder.id}/").content.decode()
    )
    assert later is not None and "C’est annulé" in do("undo", folder, fait=later[1])
    assert drive.names() == ["Budget", "b.pdf"]


def test_a_page_puts_down_what_it_says_and_nothing_that_was_taken_up_later(
    drive: Drive, do: Callable[..., str]
) -> None:
    """A tab says *Déplacer ici*; what another one took up since was to be copied."""
    folder, one, two = drive.folder("Budget"), drive.file("a.pdf"), drive.file("b.pdf")
    page = do("move", folder, n=[one.id])
    mark = re.search(r'name="fait" value="([0-9a-f]+)"', page)
    assert mark is not None and "Déplacer ici" in page
    do("copy", drive.own, n=[two.id])
    assert "entre-temps" in do("drop", folder, fait=mark[1])
    assert drive.names(folder) == []
    do("drop", folder)
    assert drive.names(folder) == ["b.pdf"] and drive.names() == ["Budget", "a.pdf", "b.pdf"]
