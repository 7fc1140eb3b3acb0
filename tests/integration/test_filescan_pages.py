"""Coffre: a file that is held says why; who sees it asks, the référent releases; the Département sees hashes alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import outbox, registry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.drive import release
from beffroi.drive.store import findings, frozen, look, shares, tree
from beffroi.drive.store.findings import Result
from beffroi.drive.store.model import EMPTY, AbsentNode, Node
from beffroi.drive.views import View
from beffroi.drive.who import Who
from beffroi.incidents.models import Incident
from beffroi.lib.errors import NotAllowed
from django.db import transaction
from django.test import Client

from tests.conftest import Commune, make_member
from tests.drive_meanwhile import meanwhile, told
from tests.drive_pages import Drive, client, drive
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client
from tests.markup import text_of

__all__ = ["client", "drive", "no_door"]
pytestmark = pytest.mark.django_db
SHA = hashlib.sha256(b"bad").hexdigest()
HELD = "Ce fichier est retenu"


def put(drive: Drive, name: str, parent: Node | None = None) -> Node:
    content = replace(EMPTY, sha256=SHA)
    above = (parent or drive.own).id
    return drive.database.write(lambda w: tree.put(w, drive.act, above, name, content))[0]


def find(drive: Drive, *codes: str, names: str = "Wolf", mark: str = "m") -> None:
    result = Result(SHA, mark, {code: [names] for code in codes}, True)
    drive.database.write(lambda w: findings.keep(w, [result], now_s=5))


def verbs() -> list[str]:
    rows = AuditEntry.objects.filter(verb__startswith="drive:finding").order_by("id")
    return [one.verb for one in rows]


def answer(client: Client, node: Node, what: str) -> str:
    page = client.post(f"/coffre/{node.id}/analyse/", {"what": what}, follow=True).content.decode()
    return page.replace("\u00a0", " ")


def text(client: Client, node: Node) -> str:
    return text_of(client.get(f"/coffre/{node.id}/"))


def test_a_page_says_whether_its_file_was_looked_at(drive: Drive, client: Client) -> None:
    node = put(drive, "note.txt")
    assert "Pas encore analysé" in text(client, node) and "Télécharger" in text(client, node)
    find(drive)
    assert "rien de dangereux n’a été trouvé" in text(client, node)
    partly = Result(SHA, "m", {}, False)
    drive.database.write(lambda w: findings.keep(w, [partly], now_s=6))
    assert "Analysé en partie" in text(client, node)


def test_malware_is_shown_asked_about_and_released_by_the_referent_alone(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    node = put(drive, "secret-name.exe", drive.common)
    find(drive, "malware")
    page = text(client, node)
    assert HELD in page and "programme malveillant" in page and "Wolf" in page
    assert "Télécharger" not in page and "Libérer" not in page and "Supprimer" in page
    assert client.post(f"/coffre/{node.id}/analyse/", {"what": "release"}).status_code == 403
    assert "C’est demandé" in answer(client, node, "ask")
    assert "Quelqu’un l’a déjà demandé" in answer(client, node, "ask")
    assert "Une vérification est demandée" in text(client, node)
    referent = portal_client(beaune.referent_membership)
    assert "Libérer ce fichier" in text(referent, node)
    assert "Le fichier est libéré" in answer(referent, node, "release")
    page = text(client, node)
    assert HELD not in page and "libéré dans votre collectivité" in page
    assert verbs() == ["drive:finding:asked", "drive:finding:asked", "drive:finding:released"]
    kinds = OutboxEvent.objects.filter(kind__in=("drive:review_asked", "drive:released"))
    assert kinds.count() == 2
    assert referent.post(f"/coffre/{node.id}/analyse/", {"what": "release"}).status_code == 404, "it is free"
    assert referent.post(f"/coffre/{node.id}/analyse/", {"what": "nonsense"}).status_code == 400


def test_what_is_held_is_offered_nothing_that_would_not_work(drive: Drive, client: Client) -> None:
    node, wish = put(drive, "notes.txt"), {"days": "30"}
    drive.database.write(lambda w: tree.put(w, drive.act, drive.own.id, "notes.txt", EMPTY))
    drive.database.write(
        lambda w: tree.put(w, drive.act, drive.own.id, "notes.txt", replace(EMPTY, sha256=SHA))
    )
    offered = ('value="copy"', "Partager par un lien", "Comparer")
    assert all(one in text(client, node) for one in offered)
    find(drive, "malware")
    page = text(client, node)
    assert not [one for one in offered if one in page] and "Liens ouverts" not in page
    assert 'value="move"' in page and 'value="delete"' in page and "Partager</a>" in page
    refused = client.post(f"/coffre/{node.id}/liens/", wish)
    assert refused.status_code == 403 and 'id="address"' not in refused.content.decode()
    assert "un lien n’ouvrirait rien" in text_of(refused)
    with drive.database.reading() as reading:
        assert shares.every(reading) == []
    drive.database.write(lambda w: w.run("UPDATE finding SET released_s = 1"))
    assert client.post(f"/coffre/{node.id}/liens/", wish).status_code == 200
    drive.database.write(lambda w: w.run("UPDATE finding SET released_s = 0"))
    assert "Liens ouverts" in text(client, node), "one that is open is ended there"
    page = client.get(f"/coffre/{node.id}/liens/").content.decode()
    assert "Arrêter" in page and "Créer le lien" not in page


def test_what_is_held_is_copied_and_shared_by_no_page_and_moved_by_each(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    folder, target = drive.folder("Reçus"), drive.folder("Rangés")
    node = put(drive, "facture.exe", folder)
    wish = {"with": f"person:{beaune.colleague.id}", "rights": "read", "days": ""}
    find(drive, "malware")

    def carry(what: str, one: Node) -> str:
        client.post("/coffre/agir/", {"dossier": str(one.parent), "what": what, "n": str(one.id)})
        page = client.post("/coffre/agir/", {"dossier": str(target.id), "what": "drop"}, follow=True)
        return text_of(page)

    for one in (node, folder):
        assert "mais ni le copier ni le partager" in carry("copy", one)
    with drive.database.reading() as reading:
        assert look.children(reading, target.id) == []
    refused = client.post(f"/coffre/{node.id}/partage/", wish)
    page = text_of(refused)
    assert refused.status_code == 403
    assert "Ce fichier est retenu : on ne le partage pas" in page and "Nouveau partage" not in page
    with drive.database.reading() as reading:
        assert shares.every(reading) == []
    assert "1 élément déplacé" in carry("move", node)
    drive.database.write(lambda w: w.run("UPDATE finding SET released_s = 1"))
    assert client.post(f"/coffre/{node.id}/partage/", wish).status_code == 302


def test_a_list_marks_what_is_held_until_it_is_released(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    folder = drive.folder("Reçus", drive.common)
    node = put(drive, "facture.exe", folder)
    drive.file("autre.txt", folder)
    marked = '<span class="tag bad">Retenu</span>'
    assert marked not in text(client, folder)
    find(drive, "malware")
    page = text(client, folder)
    assert page.count(marked) == 1 and f'<span class="name">facture.exe {marked}' in page
    answer(portal_client(beaune.referent_membership), node, "release")
    assert marked not in text(client, folder)
    drive.database.write(lambda w: frozen.freeze(w, sha256=SHA, decision_id="dec_x", now_s=1))
    assert text(client, folder).count(marked) == 1
    assert marked not in text(client, drive.own), "of this folder alone"


def test_what_a_mail_would_be_held_for_holds_what_came_by_a_link_and_who_may_write_releases_it(
    drive: Drive, client: Client, system: Actor, beaune: Commune
) -> None:
    node = put(drive, "acte.docm", drive.common)
    find(drive, "macro")
    assert HELD not in text(client, node), "members bring what they like"
    drive.database.write(lambda w: w.run("INSERT INTO handed VALUES (?, 'han_x', ?)", (node.id, SHA)))
    find(drive, "macro", mark="n")
    assert "contient des macros" in text(client, node)
    elu = portal_client(make_member(system, beaune.collectivite, "elu@beaune.test", "elu"))
    assert "Libérer" not in text(elu, node) and "Demander une vérification" in text(elu, node)
    assert elu.post(f"/coffre/{node.id}/analyse/", {"what": "release"}).status_code == 403
    assert "Le fichier est libéré" in answer(client, node, "release")


def test_what_is_known_as_malware_meanwhile_is_released_by_no_agent(
    drive: Drive, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = put(drive, "acte.docm", drive.common)
    drive.database.write(lambda w: w.run("INSERT INTO handed VALUES (?, 'han_x', ?)", (node.id, SHA)))
    find(drive, "macro")
    meanwhile(monkeypatch, lambda: find(drive, "malware", mark="n"))
    assert client.post(f"/coffre/{node.id}/analyse/", {"what": "release"}).status_code == 403
    assert HELD in text(client, node)
    assert told() == ["drive:finding:released", "not drive:finding:released: access.not_allowed"]
    assert not OutboxEvent.objects.filter(kind="drive:released").exists()


def test_what_came_by_a_link_says_that_it_waits(drive: Drive, client: Client) -> None:
    node = put(drive, "acte.pdf")
    drive.database.write(lambda w: w.run("INSERT INTO handed VALUES (?, 'han_x', ?)", (node.id, SHA)))
    page = text(client, node)
    assert "Il s’ouvrira dès qu’il aura été analysé" in page and "Télécharger" not in page
    find(drive)
    assert "Télécharger" in text(client, node)


def test_what_a_decision_holds_says_so_and_nobody_releases_it(drive: Drive, beaune: Commune) -> None:
    node = put(drive, "x.exe", drive.common)
    drive.database.write(lambda w: frozen.freeze(w, sha256=SHA, decision_id="dec_x", now_s=1))
    page = text(portal_client(beaune.referent_membership), node)
    assert "Le Département retient ce fichier partout" in page and "Libérer" not in page


def test_what_lies_with_a_colleague_or_elsewhere_is_no_such_file(
    drive: Drive, beaune: Commune, nuits: Commune
) -> None:
    node = put(drive, "mien.exe")
    find(drive, "malware")
    for other in (beaune.colleague_membership, beaune.referent_membership, nuits.referent_membership):
        status = portal_client(other).post(f"/coffre/{node.id}/analyse/", {"what": "ask"}).status_code
        assert status == 404
    member = nuits.referent_membership
    who = Who(member.person_id, member.id, beaune.id, "referent", "", "", "")
    actor = Actor("person", member.person_id, beaune.id, "referent")
    with pytest.raises(AbsentNode):
        release.release(actor=actor, view=View(drive.database, who), node_id=node.id)
    agent = Actor("person", beaune.agent.id, beaune.id, "agent")
    own = Who(beaune.agent.id, "", beaune.id, "agent", "", "", "")
    with pytest.raises(NotAllowed):
        release.release(actor=agent, view=View(drive.database, own), node_id=node.id)
    assert verbs() == []


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("backwards", [False, True], ids=["", "the last consumer first"])
def test_the_departement_sees_hashes_and_numbers_and_no_name(
    drive: Drive, client: Client, beaune: Commune, administrator: Actor, backwards: bool
) -> None:
    if backwards:
        for name, one in reversed(list(registry.consumers().items())):
            del registry.consumers()[name]
            registry.consumers()[name] = one
    node = put(drive, "secret-name.exe", drive.common)
    find(drive, "malware")
    with transaction.atomic():
        told = {"sha256": SHA, "code": "malware", "names": ["Wolf"], "files": 3, "versions": 0}
        outbox.publish("drive:found", told, collectivite_id=beaune.id)
    answer(client, node, "ask")
    while run_pending("main"):
        pass
    with on_listener("console"):
        page = text_of(console_client(administrator.id).get("/coffre/"))
    assert SHA in page and beaune.collectivite.name in page and "3 fichiers retenus (Wolf)" in page
    assert "demande de vérifier ce fichier" in page and "secret-name" not in page
    incident = Incident.objects.get()
    page = portal_client(beaune.referent_membership).get(f"/dossiers/{incident.id}/").content.decode()
    assert "Un fichier dangereux est retenu dans le Coffre" in page
