"""Coffre: an earlier version is deleted for good: who may, what the page says first, what is refused, what is noted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.drive import alarms, version_actions
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Sign
from beffroi.drive.store import frozen, locks, seals, tree, versions
from beffroi.drive.store.model import EMPTY, Act, Node
from beffroi.drive.store.shares import Share
from beffroi.drive.store.versions import Version
from beffroi.drive.store.writing import Writing
from django.test import Client
from django.urls import reverse

from tests.conftest import Commune
from tests.drive_meanwhile import meanwhile, told
from tests.drive_pages import Drive, drive
from tests.drive_seal_rows import a_seal
from tests.drive_share_pages import colleague, make, text, there
from tests.fixtures_drive_visit import folder, share
from tests.fixtures_portal import confirmed, no_door, portal_client
from tests.integration.test_drive_past_pages import Aged, aged, plain

__all__ = ["aged", "colleague", "drive", "folder", "no_door", "share", "there"]
pytestmark = pytest.mark.django_db
DONE = "Cette version est supprimée pour de bon."


@pytest.fixture
def client(beaune: Commune) -> Client:
    return confirmed(beaune.agent_membership)


def written(drive: Drive, into: Node, *contents: str, name: str = "salaires.ods") -> Node:
    """A file that had these contents, one after the other."""
    for one in contents:
        content = replace(EMPTY, size_bytes=len(one), sha256=one.ljust(64, "0"))
        node = drive.database.write(
            lambda w, content=content: tree.put(w, drive.act, into.id, name, content)
        )[0]
    return node


def history(drive: Drive, node: Node) -> list[Version]:
    """Newest first."""
    with drive.database.reading() as reading:
        return versions.of(reading, node.id)


def address(one: Version) -> str:
    return f"/coffre/{one.node}/versions/{one.etag}/supprimer/"


def asked(client: Client, one: Version) -> str:
    """The page after the button was pressed."""
    return plain(client.post(address(one), follow=True).content.decode())


def lines() -> list[dict[str, Any]]:
    rows = AuditEntry.objects.filter(verb="drive:version:deleted").order_by("id")
    return [{"object": row.object_id} | msgspec.json.decode(row.details) for row in rows]


def test_an_own_version_is_deleted_after_a_page_that_says_what_it_means(drive: Drive, client: Client) -> None:
    node = written(drive, drive.own, "personnel", "b", "c")
    newer, older = history(drive, node)
    for page in (f"/coffre/{node.id}/", f"/coffre/{node.id}/versions/{older.etag}/"):
        assert f'href="{address(older)}"' in text(client, page)
    page = plain(text(client, address(older)))
    assert "C’est définitif" in page and "salaires.ods" in page and "archives publiques" not in page
    assert "contient la même chose" not in page and "au plus tard dans" in page
    assert history(drive, node) == [newer, older], "looking deletes nothing"
    assert DONE in asked(client, older)
    assert history(drive, node) == [newer]
    assert lines() == [
        {
            "object": str(node.id),
            "version": older.etag,
            "size_bytes": 9,
            "replaced_s": older.replaced_s,
        }
    ]
    assert client.get(address(older)).status_code == 404
    assert "Cette version n’existe plus" in asked(client, older)
    assert len(lines()) == 1


def test_a_session_alone_deletes_no_version(drive: Drive, beaune: Commune) -> None:
    node = written(drive, drive.own, "a", "b")
    (old,) = history(drive, node)
    stolen = portal_client(beaune.agent_membership)
    answer = stolen.post(address(old))
    assert answer["Location"].startswith(reverse("account_reauthenticate"))
    assert history(drive, node) == [old] and not lines()


def test_no_picture_of_the_metadata_is_open_while_a_version_is_deleted(
    drive: Drive, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = history(drive, written(drive, drive.own, "a", "b"))[0]
    delete, readers = version_actions.delete, []

    def counted(**said: Any) -> None:
        readers.append(drive.database._readers_at_work)
        delete(**said)

    monkeypatch.setattr(version_actions, "delete", counted)
    assert DONE in asked(client, old) and readers == [0]


def test_who_deletes_is_told_where_the_same_content_is_still(drive: Drive, client: Client) -> None:
    node = written(drive, drive.own, "a", "b", "a", "b", "a", "c", "a")
    page = plain(text(client, address(history(drive, node)[-1])))
    assert "Le fichier contient la même chose aujourd’hui" in page
    assert "2 autres versions contiennent la même chose" in page


def test_of_the_commune_the_referent_alone_deletes(drive: Drive, client: Client, beaune: Commune) -> None:
    node = written(drive, drive.common, "a", "b")
    (old,) = history(drive, node)
    page = plain(text(client, f"/coffre/{node.id}/"))
    assert address(old) not in page and "la personne référente peut la supprimer" in page
    page = plain(text(client, address(old)))
    assert "Seul le propriétaire" in page and "Supprimer pour de bon" not in page
    assert "Seul le propriétaire" in asked(client, old) and history(drive, node) == [old] and not lines()
    referent = confirmed(beaune.referent_membership)
    assert address(old) in text(referent, f"/coffre/{node.id}/")
    assert "archives publiques" in text(referent, address(old))
    assert DONE in asked(referent, old) and history(drive, node) == []


def test_a_share_gives_no_right_to_delete_for_good(
    drive: Drive, client: Client, colleague: Client, beaune: Commune
) -> None:
    node = written(drive, drive.own, "a", "b")
    (old,) = history(drive, node)
    assert colleague.get(address(old)).status_code == colleague.post(address(old)).status_code == 404
    make(client, node.id, f"person:{beaune.colleague.id}", "write")
    assert address(old) not in text(colleague, f"/coffre/{node.id}/")
    assert "Seul le propriétaire" in asked(colleague, old)
    assert history(drive, node) == [old] and not lines()


def test_another_commune_deletes_nothing_of_what_is_shared_with_it(
    drive: Drive, client: Client, folder: Node, share: Share, there: Client
) -> None:
    node = written(drive, folder, "a", "b")
    (old,) = history(drive, node)
    page = text(there, f"/coffre/chez/{share.id}/{node.id}/")
    assert "Télécharger" in page and "supprimer/" not in page
    at = f"/coffre/chez/{share.id}/{node.id}/versions/{old.etag}/"
    assert "supprimer/" not in text(there, at)
    assert there.post(f"{at}supprimer/").status_code == there.post(address(old)).status_code == 404
    assert history(drive, node) == [old] and not lines()


def _alarm(writing: Writing) -> None:
    alarm = Alarm("apw_1", 1.0, 3, {Sign.LOST: 3})
    alarms.raise_(writing, alarm, now_s=1)


REFUSED: dict[str, tuple[Callable[[Writing, Node, Act], Any], str]] = {
    "sealed": (
        lambda w, node, act: seals.begin(w, a_seal(tree.node_at(w, node.parent))),
        "C’est scellé",
    ),
    "frozen": (
        lambda w, node, act: frozen.freeze(
            w, sha256=versions.of(w, node.id)[0].sha256, decision_id="d", now_s=1
        ),
        "cette version se supprime quand il ne le retient plus",
    ),
    "locked": (
        lambda w, node, act: locks.lock(
            w, replace(act, person_id="x"), node.id, deep=False, shared=False, owner="", timeout_s=600
        ),
        "Quelqu’un l’a ouvert",
    ),
    "alarm": (lambda w, node, act: _alarm(w), "Répondez d’abord à l’alerte"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_may_not_go_says_why_and_nothing_is_noted(drive: Drive, beaune: Commune, why: str) -> None:
    referent = confirmed(beaune.referent_membership)
    node = written(drive, drive.folder("Budget", drive.common), "a", "b")
    (old,) = history(drive, node)
    hinder, words = REFUSED[why]
    drive.database.write(lambda w: hinder(w, node, drive.act))
    assert referent.get(address(old)).status_code == 200
    assert words in asked(referent, old)
    assert history(drive, node) == [old] and not lines()


def test_a_version_that_somebody_deleted_meanwhile_is_told_twice_and_deleted_once(
    drive: Drive, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = history(drive, written(drive, drive.own, "a", "b"))
    meanwhile(
        monkeypatch,
        lambda: drive.database.write(lambda w: versions.delete(w, drive.act, old.node, old.etag)),
    )
    assert "Cette version n’existe plus" in asked(client, old)
    assert told() == ["drive:version:deleted", "not drive:version:deleted: drive.version_absent"]


def test_a_folder_s_past_says_that_a_version_was_deleted(aged: Aged, client: Client, beaune: Commune) -> None:
    aged.spoil()
    (old,) = history(aged.drive, aged.changed)
    assert DONE in asked(confirmed(beaune.referent_membership), old)
    page = plain(text(client, aged.then))
    assert page.count("cette version a été supprimée") == 1 and "n’existe plus" not in page
    assert "1 fichier garde son contenu présent" in page
    assert (
        client.get(f"/coffre/octets/avant/{aged.folder.id}/{aged.now_s}/{aged.changed.id}").status_code == 404
    )
    assert "Dossier remis comme il était" in plain(aged.back(client).content.decode())
    assert aged.drive.names(aged.folder) == ["Annexes", "changed.ods", "gone.ods", "kept.ods"]
    with aged.drive.database.reading() as reading:
        found = reading.one("SELECT size_bytes FROM node WHERE id = ?", (aged.changed.id,))
    assert found == (77,)
