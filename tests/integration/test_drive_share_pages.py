"""Shares in the portal: made, seen by both sides, answered by the référent, ended in one press, each on record."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from beffroi.core.events import Event
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.drive import consumers
from beffroi.drive.sharing import Line, Sharing
from beffroi.drive.store import seen, shares
from beffroi.drive.store.model import AbsentNode, StoreFull
from beffroi.drive.views import View
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from django.test import Client

from tests.conftest import STATE, Commune, make_member
from tests.drive_browser import Browser
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served, served
from tests.drive_share_pages import colleague, make, only_share, recorded, text, there
from tests.fixtures_portal import no_door, portal_client

__all__ = ["client", "colleague", "drive", "no_door", "there"]
pytestmark = pytest.mark.django_db


def test_a_colleague_finds_what_is_shared_and_the_maker_ends_it(
    drive: Drive, beaune: Commune, client: Client, colleague: Client
) -> None:
    folder = drive.folder("Marchés")
    file = drive.file("plan.pdf", folder)
    assert colleague.get(f"/coffre/{file.id}/").status_code == 404
    assert "Vous seul" in text(client, f"/coffre/{folder.id}/partage/")
    assert make(client, folder.id, f"person:{beaune.colleague.id}").status_code == 302
    assert "Lire" in text(client, f"/coffre/{folder.id}/partage/")
    assert "par le dossier «" in text(client, f"/coffre/{file.id}/partage/")
    assert "Vous le partagez" in text(client, f"/coffre/{folder.id}/")
    assert "nouveau partage avec vous" in text(colleague, "/")
    page = text(colleague, "/coffre/partages-avec-moi/")
    assert "Marchés" in page and beaune.agent_membership.person.name in page
    assert "nouveau partage avec vous" not in text(colleague, "/")
    assert "plan.pdf" in text(colleague, f"/coffre/{folder.id}/")
    shown = text(colleague, f"/coffre/{file.id}/")
    assert 'value="delete"' not in shown and "Renommer ce fichier" not in shown
    assert "Partager par un lien" not in shown
    share = only_share(drive)
    assert "Marchés" in text(client, "/coffre/partages/")
    assert client.post(f"/coffre/partages/{share.id}/arreter/").status_code == 302
    assert colleague.get(f"/coffre/{file.id}/").status_code == 404
    assert recorded(beaune.id) == ["made", "ended"]


def test_folders_above_what_is_shared_stay_their_owner_s(
    drive: Drive, beaune: Commune, client: Client, colleague: Client
) -> None:
    secret = drive.folder("Sanctions")
    inner = drive.folder("Plans", secret)
    file = drive.file("a.pdf", inner)
    make(client, inner.id, f"person:{beaune.colleague.id}", "write")
    for node in (inner, file):
        page = text(colleague, f"/coffre/{node.id}/")
        assert "Sanctions" not in page and "Partagé avec moi" in page
    assert colleague.get(f"/coffre/{secret.id}/").status_code == 404


def test_who_may_write_neither_takes_nor_renames_nor_passes_on_what_is_shared(
    drive: Drive, beaune: Commune, client: Client, colleague: Client
) -> None:
    folder = drive.folder("Marchés")
    file = drive.file("plan.pdf", folder)
    make(client, folder.id, f"person:{beaune.colleague.id}", "write")
    theirs = Drive(beaune.colleague_membership)
    for path in ("partage", "liens"):
        assert colleague.get(f"/coffre/{folder.id}/{path}/").status_code == 403
        assert colleague.get(f"/coffre/{file.id}/{path}/").status_code == 403
    press = {"dossier": str(folder.id), "n": str(folder.id)}
    for what in ("rename", "delete"):
        colleague.post("/coffre/agir/", {**press, "what": what, "name": "Pris"})
    colleague.post("/coffre/agir/", {**press, "what": "move"})
    colleague.post("/coffre/agir/", {"what": "drop", "dossier": str(theirs.own.id)})
    assert drive.names() == ["Marchés"] and theirs.names() == []
    colleague.post("/coffre/agir/", {"what": "move", "dossier": str(folder.id), "n": str(file.id)})
    colleague.post("/coffre/agir/", {"what": "drop", "dossier": str(theirs.own.id)})
    assert theirs.names() == ["plan.pdf"]
    assert "plan.pdf" in text(client, "/coffre/corbeille/")  # its owner has it back when they like


def test_what_somebody_deletes_in_a_share_they_take_back(
    drive: Drive, beaune: Commune, client: Client, colleague: Client
) -> None:
    folder = drive.folder("Marchés")
    file = drive.file("plan.pdf", folder)
    make(client, folder.id, f"person:{beaune.colleague.id}", "write")
    press = {"dossier": str(folder.id), "n": str(file.id)}
    colleague.post("/coffre/agir/", {**press, "what": "delete"})
    assert drive.names(folder) == []
    colleague.post("/coffre/agir/", {"dossier": str(folder.id), "what": "undo"})
    assert drive.names(folder) == ["plan.pdf"]
    colleague.post("/coffre/agir/", {**press, "what": "delete"})
    client.post(f"/coffre/partages/{only_share(drive).id}/arreter/")
    colleague.post("/coffre/agir/", {"dossier": str(folder.id), "what": "undo"})
    assert drive.names(folder) == []


def test_a_receiver_leaves_a_share_and_takes_it_up_again(
    drive: Drive, beaune: Commune, client: Client, colleague: Client
) -> None:
    folder = drive.folder("Marchés")
    make(client, folder.id, "role:agent")
    share = only_share(drive)
    colleague.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "leave"})
    assert "Le reprendre" in text(colleague, "/coffre/partages-avec-moi/")
    assert colleague.get(f"/coffre/{folder.id}/").status_code == 404
    colleague.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "back"})
    assert colleague.get(f"/coffre/{folder.id}/").status_code == 200
    assert recorded(beaune.id) == ["made", "left", "returned"]


def test_the_form_takes_nobody_from_elsewhere_and_says_what_lacks(
    drive: Drive, beaune: Commune, nuits: Commune, client: Client
) -> None:
    node = drive.file("x")
    for target in (
        f"person:{nuits.agent.id}",
        f"person:{beaune.agent.id}",
        f"collectivite:{beaune.id}",
        "collectivite:col_rien",
        "role:maire",
        "link:x",
        "",
    ):
        answer = make(client, node.id, target)
        assert answer.status_code == 400 and "de la liste" in answer.content.decode(), target
    assert make(client, node.id, "role:elu", rights="drop").status_code == 400
    assert make(client, node.id, "role:elu", days="9999").status_code == 400
    assert recorded(beaune.id) == []


def test_people_and_communes_are_found_by_name(
    drive: Drive, beaune: Commune, nuits: Commune, client: Client
) -> None:
    node = drive.file("x")
    page = text(client, f"/coffre/{node.id}/partage/?q=nuits")
    assert f"collectivite:{nuits.id}" in page and "sa personne référente doit accepter" in page
    assert nuits.agent.id not in page
    assert beaune.colleague.id in text(client, f"/coffre/{node.id}/partage/")


def test_another_share_with_the_same_takes_the_place_of_the_first(
    drive: Drive, beaune: Commune, client: Client
) -> None:
    node = drive.file("x")
    make(client, node.id, "role:elu")
    make(client, node.id, "role:elu", "write", "30")
    share = only_share(drive)
    assert (share.rights, share.expires_s > 0) == ("write", True)
    assert recorded(beaune.id) == ["made", "made", "ended"]


def test_another_commune_sees_nothing_before_its_referent_accepts(
    drive: Drive, beaune: Commune, nuits: Commune, client: Client, there: Client
) -> None:
    folder = drive.folder("Piste cyclable")
    drive.file("plan.pdf", folder)
    assert make(client, folder.id, f"collectivite:{nuits.id}", "read", "30").status_code == 302
    share = only_share(drive)
    agent = portal_client(nuits.agent_membership)
    for client_there in (there, agent):
        assert client_there.get(f"/coffre/chez/{share.id}/").status_code == 404
    assert "propose de partager" in text(there, "/") and "propose de partager" not in text(agent, "/")
    assert "Piste cyclable" not in text(agent, "/coffre/partages-avec-moi/")
    said = {"partage": share.id, "what": "accept"}
    assert "a accepté" not in text(agent, "/")
    assert agent.post("/coffre/partages-avec-moi/", said).status_code in (403, 404)
    assert "Pas encore de réponse" in text(client, f"/coffre/{folder.id}/partage/")
    there.post("/coffre/partages-avec-moi/", said)
    assert "Accepté" in text(client, f"/coffre/{folder.id}/partage/")
    page = text(agent, f"/coffre/chez/{share.id}/")
    assert "plan.pdf" in page and "Beaune" in page and "Nouveau dossier" not in page
    assert recorded(beaune.id) == ["made", "accepted", "crossed"]
    assert recorded(nuits.id) == ["made", "accepted"]
    at_s = clock.epoch_s() - 60  # of the look above; what comes within its second is not new
    nuits_drive = Drive(nuits.agent_membership)
    nuits_drive.database.write(lambda w: seen.look(w, nuits.agent.id, now_s=at_s))
    assert "a accepté 1 partage" in text(agent, "/") and "a accepté" not in text(there, "/"), (
        "who answered knows"
    )
    assert recorded(beaune.id) == ["made", "accepted", "crossed"], "a count is no access"
    text(agent, "/coffre/partages-avec-moi/")
    assert "a accepté" not in text(agent, "/"), "seen"
    nuits_drive.database.write(lambda w: seen.look(w, nuits.agent.id, now_s=at_s))
    there.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "refuse"})
    assert agent.get(f"/coffre/chez/{share.id}/").status_code == 404
    assert "a accepté" not in text(agent, "/")


def test_a_third_commune_has_no_way_in(
    drive: Drive, nuits: Commune, make_commune: Any, client: Client, there: Client
) -> None:
    folder = drive.folder("Piste cyclable")
    make(client, folder.id, f"collectivite:{nuits.id}", "write")
    share = only_share(drive)
    there.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "accept"})
    third = make_commune("Seurre", "seurre.test")
    for membership in (third.agent_membership, third.referent_membership):
        stranger = portal_client(membership)
        assert stranger.get(f"/coffre/chez/{share.id}/").status_code == 404
        assert stranger.get(f"/coffre/chez/{share.id}/{folder.id}/").status_code == 404
        form = {"what": "folder", "name": "x"}
        assert stranger.post(f"/coffre/chez/{share.id}/{folder.id}/", form).status_code == 404
        assert stranger.post(f"/coffre/partages/{share.id}/arreter/").status_code == 404
        said = {"partage": share.id, "what": "accept"}
        assert stranger.post("/coffre/partages-avec-moi/", said).status_code in (403, 404)
    assert drive.names(folder) == []


def test_a_visit_stays_below_what_is_shared_and_changes_it_by_its_rights(
    drive: Drive, beaune: Commune, nuits: Commune, client: Client, there: Client
) -> None:
    folder, secret = drive.folder("Piste cyclable"), drive.file("secret.pdf")
    make(client, folder.id, f"collectivite:{nuits.id}", "write")
    share = only_share(drive)
    there.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "accept"})
    at = f"/coffre/chez/{share.id}"
    assert there.get(f"{at}/{secret.id}/").status_code == 404
    there.post(f"{at}/", {"what": "folder", "name": "Plans"})
    assert drive.names(folder) == ["Plans"]
    (plans,) = drive.children(folder.id)
    there.post(f"{at}/{plans.id}/", {"what": "rename", "name": "Relevés"})
    assert drive.names(folder) == ["Relevés"]
    for what in ("rename", "delete"):
        there.post(f"{at}/{folder.id}/", {"what": what, "name": "Pris"})
    assert "Piste cyclable" in drive.names()
    there.post(f"{at}/{plans.id}/", {"what": "delete"})
    assert "Relevés" in text(client, "/coffre/corbeille/")
    client.post(f"/coffre/partages/{share.id}/arreter/")
    assert there.get(f"{at}/").status_code == 404
    assert there.post(f"{at}/", {"what": "folder", "name": "x"}).status_code == 404


@pytest.fixture
def server() -> Iterator[Served]:
    with served(STATE) as one:
        yield one


@pytest.mark.django_db(transaction=True)
def test_bytes_of_a_visit_go_by_the_owner_s_key_and_leave_a_line(
    drive: Drive, nuits: Commune, client: Client, there: Client, server: Served
) -> None:
    folder = drive.folder("Piste cyclable")
    make(client, folder.id, f"collectivite:{nuits.id}", "write")
    share = only_share(drive)
    there.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "accept"})
    guest, owner = Browser(server, there), Browser(server, client)
    sent = {"folder": folder.id, "name": "relevé.txt", "size_bytes": 3}
    status, _, made = guest.ask("POST", f"/coffre/envoi/chez/{share.id}/fichier", b"oui", sent)
    assert status == 201
    node = json.loads(made)["node"]
    assert owner.ask("GET", f"/coffre/octets/{node}")[2] == b"oui"
    assert guest.ask("GET", f"/coffre/octets/chez/{share.id}/{node}")[2] == b"oui"
    assert guest.ask("GET", f"/coffre/octets/{node}")[0] == 404
    stranger = Browser(server, portal_client(nuits.agent_membership))
    assert stranger.ask("GET", f"/coffre/octets/chez/{share.id}/{node}")[0] == 200  # all of the receiver's
    lines = [json.loads(line) for line in (server.directory / "told-crossings").read_text().splitlines()]
    assert [one["what"] for one in lines if one["share_id"] == share.id] == ["change", "read", "read"]
    for path in ("octets/chez/{}/zip", "envoi/chez/{}/fichier"):  # another site enters nowhere
        assert (
            guest.ask("POST", f"/coffre/{path.format(share.id)}", b"n=1", Origin="https://evil.test")[0]
            == 403
        )
    for _ in range(2):  # a ZIP is whole, whatever part of it is asked for: each one is told
        guest.ask(
            "POST",
            f"/coffre/octets/chez/{share.id}/zip",
            f"n={node}".encode(),
            Origin=f"http://127.0.0.1:{server.port}",
            Range="bytes=9-",
        )
    assert len((server.directory / "told-crossings").read_text().splitlines()) == len(lines) + 2
    upload, sent = f"/coffre/envoi/chez/{share.id}/{'ab' * 20}", sent | {"name": "grand.bin"}
    assert guest.ask("POST", upload, sent=sent)[0] == 200 and guest.ask("GET", upload)[0] == 200
    for part in (1, 2, 2):  # one line for all of them
        assert guest.ask("PUT", f"{upload}/{part}", b"oui")[0] == 204
    last = [json.loads(line) for line in (server.directory / "told-crossings").read_text().splitlines()][-3:]
    assert [one["what"] for one in last] == ["change", "list", "change"]
    client.post(f"/coffre/partages/{share.id}/arreter/")
    assert guest.ask("PUT", f"{upload}/1", b"non")[0] == 404, "its owner takes no more parts, either"
    assert guest.ask("GET", f"/coffre/octets/chez/{share.id}/{node}")[0] == 404
    assert guest.ask("POST", f"/coffre/envoi/chez/{share.id}/fichier", b"oui", sent)[0] == 404


def test_a_member_who_only_reads_writes_in_no_other_commune(
    drive: Drive, nuits: Commune, client: Client, there: Client, system: Actor
) -> None:
    folder = drive.folder("Piste cyclable")
    make(client, folder.id, f"collectivite:{nuits.id}", "write")
    share = only_share(drive)
    there.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "accept"})
    elu = portal_client(make_member(system, nuits.collectivite, "elu@nuits.test", "elu"))
    elu.post(f"/coffre/chez/{share.id}/", {"what": "folder", "name": "x"})
    assert drive.names(folder) == []


def test_who_leaves_shares_their_own_files_no_more_and_the_commune_s_stay(
    drive: Drive, beaune: Commune, nuits: Commune, client: Client, system: Actor
) -> None:
    mine, ours = drive.folder("À moi"), drive.folder("À nous", drive.common)
    make(client, mine.id, "role:elu")
    make(client, mine.id, f"collectivite:{nuits.id}")
    make(client, ours.id, "role:elu", "write")
    actions.end_access(actor=system, membership=beaune.agent_membership)
    payload = {"membership_id": beaune.agent_membership.id}
    consumers.end_shares(Event(1, "identity:access_ended", beaune.id, payload, clock.now()))
    with drive.database.reading() as reading:
        assert [one.node for one in shares.all_open(reading, now_s=clock.epoch_s())] == [ours.id]
    assert recorded(beaune.id) == ["made", "made", "made", "ended", "ended"]
    assert recorded(nuits.id) == ["made", "ended"]


def test_what_is_shared_is_listed_while_nothing_can_be_written(
    drive: Drive, beaune: Commune, client: Client, colleague: Client
) -> None:
    make(client, drive.folder("Marchés").id, f"person:{beaune.colleague.id}")
    assert "Marchés" in text(colleague, "/coffre/partages-avec-moi/")  # its roots are made
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises((StoreFull, Unavailable)):
            drive.folder("Ne tient pas")
        answer = colleague.get("/coffre/partages-avec-moi/")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert answer.status_code == 200 and "Marchés" in answer.content.decode()


class Meanwhile:
    """What is told, and what somebody else does between that and the change."""

    def __init__(self, then: Callable[[], object]) -> None:
        self.then, self.lines = then, list[Line]()

    def __call__(self, line: Line) -> None:
        self.lines.append(line)
        if line.what != "failed":
            self.then()


def test_a_change_that_somebody_else_was_quicker_than_is_told_as_failed(
    drive: Drive, beaune: Commune, client: Client
) -> None:
    folder = drive.folder("Marchés")
    make(client, folder.id, f"person:{beaune.colleague.id}")
    share_id = only_share(drive).id

    def end() -> None:
        drive.database.write(lambda writing: shares.end(writing, share_id, now_s=drive.act.now_s))

    told = Meanwhile(end)
    sharing = Sharing(View(drive.database, drive.who), drive.act, told)
    with pytest.raises(AbsentNode):
        sharing.change(share_id, rights="write", expires_s=shares.NEVER)
    assert [(one.what, one.details.get("code")) for one in told.lines] == [
        ("changed", None),
        ("failed", "drive.absent"),
    ]
    with drive.database.reading() as reading:
        assert shares.find(reading, share_id).rights == "read"


def test_what_was_left_of_another_commune_is_listed_without_a_term_that_nobody_looked_up(
    drive: Drive, nuits: Commune, client: Client, there: Client
) -> None:
    make(client, drive.folder("Marchés").id, f"collectivite:{nuits.id}", days="7")
    share_id = only_share(drive).id
    for what in ("accept", "leave"):
        there.post("/coffre/partages-avec-moi/", {"partage": share_id, "what": what})
    page = text(there, "/coffre/partages-avec-moi/").split('id="h-shared"')[1]
    assert "Le reprendre" in page and "sans fin" not in page
