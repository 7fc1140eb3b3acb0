"""Coffre: lists, search and changes of the portal over the real metadata; what is another's is no such page."""

from __future__ import annotations

import html
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import tree
from beffroi.drive.store.model import EMPTY
from beffroi.drive.web.sync import push
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.conftest import Commune, make_member
from tests.drive_pages import Drive, client, do, drive, shown
from tests.fixtures_portal import no_door, portal_client

__all__ = ["client", "do", "drive", "no_door"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "page",
    [
        "",
        "commune/",
        "recents/",
        "favoris/",
        "recherche/?q=a",
        "corbeille/",
        "partages-avec-moi/",
        "partages/",
    ],
)
def test_the_very_first_page_of_a_commune_is_there_whichever_it_is(beaune: Commune, page: str) -> None:
    assert portal_client(beaune.agent_membership).get(f"/coffre/{page}").status_code == 200


def test_a_folder_lists_folders_first_by_name_as_people_order_them(drive: Drive, client: Client) -> None:
    for name in ("Zone", "Écoles", "Dossier 10", "Dossier 9"):
        drive.folder(name)
    for name in ("plan.pdf", "arrêté.pdf", "Budget.ods"):
        drive.file(name)
    page = client.get("/coffre/").content.decode()
    assert shown(page) == [
        "Dossier 9",
        "Dossier 10",
        "Écoles",
        "Zone",
        "arrêté.pdf",
        "Budget.ods",
        "plan.pdf",
    ]
    assert "7 éléments." in page and "Mes fichiers" in page


def test_a_folder_lists_the_last_changed_first_where_it_is_asked_to(drive: Drive, client: Client) -> None:
    for number, name in enumerate(("a", "b", "c")):
        drive.database.write(
            lambda writing, name=name, at=number: tree.put(
                writing, drive.act, drive.own.id, name, EMPTY, mtime_s=1000 + at
            )
        )
    assert shown(client.get("/coffre/?tri=date").content.decode()) == ["c", "b", "a"]


def test_a_large_folder_comes_in_parts_of_two_hundred(drive: Drive, client: Client) -> None:
    folder = drive.folder("Beaucoup")

    def fill(writing: Any) -> None:
        for number in range(401):
            tree.put(writing, drive.act, folder.id, f"{number:04d}.txt", EMPTY)

    drive.database.write(fill)
    address, found = f"/coffre/{folder.id}/", []
    for first, more in ((0, True), (200, True), (400, False)):
        part = client.get(
            f"{address}?rang={first}&part=rows", headers={"HX-Request": "true"}
        ).content.decode()
        assert "<html" not in part and ("La suite" in part) == more
        found += shown(part)
    assert found == [f"{number:04d}.txt" for number in range(401)]
    assert "rang=200" in client.get(address).content.decode()
    other = client.get("/coffre/?rang=200&part=rows&de=1-zzzzzz", headers={"HX-Request": "true"})
    assert other.status_code == 409, "a list of the other collectivité gets no rows of this one"


def test_who_reads_on_sees_nothing_twice_because_somebody_wrote_meanwhile(
    drive: Drive, client: Client
) -> None:
    folder = drive.folder("Beaucoup")

    def fill(writing: Any) -> None:
        for number in range(300):
            tree.put(writing, drive.act, folder.id, f"{number:04d}.txt", EMPTY)

    drive.database.write(fill)
    address = f"/coffre/{folder.id}/"
    page = client.get(address).content.decode()
    (more,) = re.findall(r'hx-get="([^"]*)"[^>]*>\s*<a class="more"', page)
    drive.database.write(lambda writing: tree.put(writing, drive.act, folder.id, "0.txt", EMPTY))
    part = client.get(address + html.unescape(more), headers={"HX-Request": "true"}).content.decode()
    assert shown(page) + shown(part) == [f"{number:04d}.txt" for number in range(300)]
    assert shown(client.get(address).content.decode())[0] == "0.txt"


def test_a_list_asks_the_database_the_same_number_of_questions(drive: Drive, client: Client) -> None:
    def questions() -> int:
        client.get("/coffre/")
        with CaptureQueriesContext(connection) as asked:
            assert client.get("/coffre/").status_code == 200
        return len(asked.captured_queries)

    drive.file("0")
    few = questions()
    for number in range(1, 40):
        drive.file(str(number))
    assert questions() == few


def test_who_changed_a_file_is_named_while_they_are_here(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    other = Drive(beaune.colleague_membership)
    other.file("note.txt", other.common)
    assert "collegue" in client.get("/coffre/commune/").content.decode()


def test_a_folder_is_made_renamed_and_named_again(
    drive: Drive, client: Client, do: Callable[..., str]
) -> None:
    page = do("folder", drive.own, name="  Délibérations ")
    assert "<h1>Délibérations</h1>" in page
    (folder,) = drive.children()
    page = do("rename", folder, n=[folder.id], name="Délibérations 2026")
    assert "<h1>Délibérations 2026</h1>" in page and "C’est renommé." in page
    assert "C’est annulé" in do("undo", drive.own)
    assert drive.names() == ["Délibérations"]
    for name, words in (
        ("délibérations", "déjà pris"),
        ("a/b", "ne convient pas"),
        ("..", "ne convient pas"),
        ("commune", "déjà pris"),
        ("x" * 300, "ne convient pas"),
    ):
        assert words in do("folder", drive.own, name=name), name
    assert drive.names() == ["Délibérations"]


def test_a_name_that_a_colleague_changed_meanwhile_is_not_taken_back(
    drive: Drive, beaune: Commune, do: Callable[..., str]
) -> None:
    one, other = drive.file("note.txt", drive.common), Drive(beaune.colleague_membership)
    assert "C’est renommé." in do("rename", drive.common, n=[one.id], name="avis.txt")
    other.database.write(lambda w: tree.move(w, other.act, one.id, drive.common.id, "arrêté.txt"))
    assert "entre-temps" in do("undo", drive.common)
    assert drive.names(drive.common) == ["arrêté.txt"]


def test_files_are_moved_whole_and_back(drive: Drive, client: Client, do: Callable[..., str]) -> None:
    target, one, two = drive.folder("Archives"), drive.file("a.pdf"), drive.file("b.pdf")
    drive.file("a.pdf", target)
    page = do("move", drive.own, n=[f"{one.id},{two.id}"])
    assert "2 éléments à déplacer." in page and "Déplacer ici" in page
    page = do("drop", target)
    assert "2 éléments déplacés." in page and "Annuler" in page
    assert drive.names(target) == ["a (2).pdf", "a.pdf", "b.pdf"] and drive.names() == ["Archives"]
    do("undo", target)
    assert drive.names(target) == ["a.pdf"] and drive.names() == ["Archives", "a.pdf", "b.pdf"]


def test_files_are_copied_and_the_copies_taken_back(drive: Drive, do: Callable[..., str]) -> None:
    one = drive.folder("Budget")
    drive.file("2026.ods", one)
    do("copy", drive.own, n=[one.id])
    assert "1 élément copié." in do("drop", drive.own)
    assert drive.names() == ["Budget", "Budget (2)"]
    do("undo", drive.own)
    assert drive.names() == ["Budget"] and drive.names(one) == ["2026.ods"]


def test_a_folder_does_not_go_into_itself(drive: Drive, do: Callable[..., str]) -> None:
    one = drive.folder("Budget")
    do("move", drive.own, n=[one.id])
    assert "ne peut pas aller dans lui-même" in do("drop", one)
    assert "Rien n’est coché" not in do("put_down", drive.own).partition("data-none")[0]
    assert drive.names() == ["Budget"]


def test_a_name_is_shown_in_the_order_of_its_letters(
    drive: Drive, client: Client, do: Callable[..., str]
) -> None:
    """In titles, fields, ways, and what a screen reader says, too."""
    folder = drive.folder("Pi\u202eèces")
    one = drive.file("facture\u202efdp.exe", folder)
    drive.file("arabe \u0639\u0642\u062f.txt", folder)
    pages = [client.get(f"/coffre/{page}").content.decode() for page in (f"{folder.id}/", f"{one.id}/")]
    pages += [client.get(f"/coffre/{one.id}/{page}/").content.decode() for page in ("liens", "partage")]
    pages.append(client.get("/coffre/recents/").content.decode())
    for page in pages:
        assert "\u202e" not in page and "facture\N{REPLACEMENT CHARACTER}fdp.exe" in page
    assert "Pi\N{REPLACEMENT CHARACTER}èces" in pages[1]
    assert "\u202e" not in do("rename", one, n=[one.id], name="facture\u202efdp.exe/")
    assert "arabe \u0639\u0642\u062f.txt" in shown(pages[0])


def test_what_is_dragged_lands_in_a_folder_that_takes_it_or_nothing_moves(
    drive: Drive, do: Callable[..., str], nuits: Commune
) -> None:
    folder, one, two = drive.folder("Budget"), drive.file("a.pdf"), drive.file("b.pdf")
    foreign = Drive(nuits.agent_membership).folder("Ailleurs")
    for goal in (two.id, 0, foreign.id + 9000, "x", ""):  # a file; what is nobody's
        do("into", drive.own, n=[one.id], vers=goal)
        assert drive.names() == ["Budget", "a.pdf", "b.pdf"]
    assert "ne peut pas aller dans lui-même" in do("into", drive.own, n=[one.id, folder.id], vers=folder.id)
    assert drive.names() == ["Budget", "a.pdf", "b.pdf"], "all or nothing"
    assert "1 élément déplacé." in do("into", drive.own, n=[one.id], vers=folder.id)
    assert drive.names(folder) == ["a.pdf"]
    do("undo", drive.own)
    assert drive.names(folder) == []


def test_what_is_deleted_is_gone_from_the_list_and_what_was_moved_meanwhile_stays(
    drive: Drive, client: Client, do: Callable[..., str]
) -> None:
    folder, one, two = drive.folder("Ailleurs"), drive.file("a"), drive.file("b")
    drive.database.write(lambda writing: tree.move(writing, drive.act, two.id, folder.id, "b"))
    assert "entre-temps" in do("delete", drive.own, n=[one.id, two.id])
    assert drive.names() == ["Ailleurs", "a"] and drive.names(folder) == ["b"]
    assert "1 élément mis à la corbeille." in do("delete", drive.own, n=[one.id])
    assert drive.names() == ["Ailleurs"]
    gone = client.get(f"/coffre/{one.id}/")
    assert gone.status_code == 404 and "Regardez dans la corbeille" in gone.content.decode()
    assert "Cochez d’abord" in do("delete", drive.own)


def test_a_locked_file_and_a_full_place_say_what_to_do(drive: Drive, do: Callable[..., str]) -> None:
    from beffroi.drive.store import locks

    one = drive.file("budget.ods")
    drive.database.write(
        lambda writing: locks.lock(
            writing, drive.act, one.id, deep=False, shared=False, owner="", timeout_s=60
        )
    )
    assert "ouvert pour le modifier" in do("rename", drive.own, n=[one.id], name="x.ods")
    big = drive.database.write(
        lambda writing: tree.put(writing, drive.act, drive.own.id, "gros", replace(EMPTY, size_bytes=900))
    )[0]
    drive.database.write(lambda writing: tree.set_limit(writing, drive.own.id, 1000))
    do("copy", drive.own, n=[big.id])
    assert "plus assez de place" in do("drop", drive.own)
    assert drive.names() == ["budget.ods", "gros"]


def test_search_and_recent_show_the_own_and_the_common_and_nobody_elses(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    other = Drive(beaune.colleague_membership)
    for one, parent, name in (
        (drive, drive.own, "Budget à moi.ods"),
        (other, other.own, "budget secret.ods"),
        (other, other.common, "BUDGET commun_1.ods"),
    ):
        one.file(name, parent)
    page = client.get("/coffre/recherche/?q=bUDGET").content.decode()
    assert shown(page) == ["BUDGET commun_1.ods", "Budget à moi.ods"] and "2 éléments trouvés" in page
    assert shown(client.get("/coffre/recherche/?q=commun_").content.decode()) == ["BUDGET commun_1.ods"]
    assert shown(client.get("/coffre/recherche/?q=%25").content.decode()) == []
    page = client.get("/coffre/recents/").content.decode()
    assert shown(page) == ["BUDGET commun_1.ods", "Budget à moi.ods"]


def test_an_elected_person_reads_the_common_folder_and_changes_nothing(
    drive: Drive, beaune: Commune, system: Any
) -> None:
    elected = portal_client(make_member(system, beaune.collectivite, "elu@beaune.test", "elu"))
    one = drive.file("pv.pdf", drive.common)
    page = elected.get("/coffre/commune/").content.decode()
    assert "pv.pdf" in page and 'value="delete"' not in page and "Nouveau dossier" not in page
    data = {"dossier": str(drive.common.id), "n": str(one.id), "name": "x"}
    for what in ("delete", "move", "rename", "folder"):
        answer = elected.post("/coffre/agir/", data | {"what": what}, follow=True)
        assert "pas le modifier" in answer.content.decode(), what
    assert drive.names(drive.common) == ["pv.pdf"]


def test_another_persons_and_another_communes_files_are_no_such_page(
    drive: Drive, client: Client, beaune: Commune, nuits: Commune
) -> None:
    for number in range(20):  # so that no number of the neighbour's is the same
        drive.file(str(number))
    one, folder = drive.file("secret.pdf"), drive.folder("Secrets")
    for stranger in (beaune.colleague_membership, beaune.referent_membership, nuits.agent_membership):
        other = portal_client(stranger)
        for node in (one, folder, *([drive.own] if stranger.collectivite_id == beaune.id else [])):
            assert other.get(f"/coffre/{node.id}/").status_code == 404
            data = {"what": "folder", "dossier": str(node.id), "name": "x"}
            assert other.post("/coffre/agir/", data).status_code == 404
        theirs = Drive(stranger)
        for what in ("delete", "move", "copy", "rename"):
            data = {"what": what, "dossier": str(theirs.own.id), "n": str(one.id), "name": "x"}
            page = other.post("/coffre/agir/", data, follow=True).content.decode()
            assert "n’est plus là" in page and "secret" not in page, what
    assert "secret.pdf" in drive.names() and drive.names(folder) == []
    assert client.get(f"/coffre/{one.id}/").status_code == 200


def test_what_is_carried_in_one_commune_is_not_put_down_in_another(
    drive: Drive, client: Client, do: Callable[..., str], beaune: Commune, nuits: Commune
) -> None:
    from beffroi.core.identity import actions as identity
    from beffroi.core.identity import sessions

    also = identity.add_membership(
        actor=Actor.system("tests"),
        person=beaune.agent_membership.person,
        collectivite=nuits.collectivite,
        role="agent",
    )
    one = drive.file("a.pdf")
    do("move", drive.own, n=[one.id])
    session = client.session
    session[sessions.MEMBERSHIP_KEY] = also.id
    session.save()
    there = Drive(also)
    page = client.get("/coffre/").content.decode()
    assert "à déplacer" not in page
    assert "entre-temps" in do("drop", there.own)
    assert drive.names() == ["a.pdf"] and there.names() == []


@pytest.mark.parametrize(
    "data",
    [
        {"what": "explode"},
        {"what": "delete", "n": "x"},
        {"what": "delete", "n": "9" * 40},
        {"dossier": "-1"},
        {"dossier": "9" * 30},
    ],
)
def test_a_form_that_no_page_makes_is_refused(drive: Drive, client: Client, data: dict[str, str]) -> None:
    answer = client.post("/coffre/agir/", {"what": "delete", "dossier": str(drive.own.id)} | data)
    assert answer.status_code in (400, 404)


def test_a_change_of_the_pages_is_told_to_those_who_wait_for_it(
    drive: Drive, do: Callable[..., str], beaune: Commune
) -> None:
    """The process of sync clients hears which commune to look at, and nothing else."""
    where = push.directory(settings.BEFFROI.run)
    where.mkdir(parents=True, exist_ok=True)
    letter = drive.file("lettre.txt")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waiting:
        waiting.bind(str(where / "test.sock"))
        waiting.settimeout(30)
        do("delete", drive.own, n=[str(letter.id)])
        assert waiting.recv(64).decode() == beaune.id
    (where / "test.sock").unlink()


def test_a_program_opens_a_file_in_the_browser_by_its_number(drive: Drive, client: Client) -> None:
    address = f"/index.php/f/{drive.file('plan.txt').id:08d}"
    page = client.get(address, follow=True)
    assert page.status_code == 200 and "plan.txt" in page.content.decode()
    nobody = Client().get(address, follow=True)
    assert "plan.txt" not in nobody.content.decode() and "/connexion" in nobody.redirect_chain[-1][0]
