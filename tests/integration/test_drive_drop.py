"""Drop links: people without an account hand files in, within limits and types by content, and see nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import pytest
from beffroi.core.audit.actions import personal_of
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.drive.__main__ import tell_handed
from beffroi.drive.store import drops, findings, look, shares, tree
from beffroi.drive.store.findings import Result
from beffroi.drive.store.model import Node
from beffroi.drive.web import granted
from beffroi.drive.web.dropped import Handed
from beffroi.lib import clock
from django.conf import settings
from django.test import Client

from tests.conftest import Commune, make_member
from tests.drive_browser import server
from tests.drive_dropping import EXE, FORM, PDF, Sender, folder, make, sender
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served
from tests.drive_trees import content
from tests.drive_visitors import verbs
from tests.fixtures_portal import no_door, portal_client
from tests.markup import text_of
from tests.waiting import PATIENCE_S

__all__ = ["client", "drive", "folder", "no_door", "sender", "server"]
pytestmark = pytest.mark.django_db


def scanned(drive: Drive, node: Node, *codes: str) -> None:
    result = Result(node.sha256, "m", {code: [] for code in codes}, True)
    drive.database.write(lambda w: findings.keep(w, [result], now_s=5))


def only(drive: Drive, folder: Node) -> Node:
    with drive.database.reading() as reading:
        (found,) = look.children(reading, folder.id)
    return found


def test_a_notary_hands_files_in_gets_a_receipt_and_sees_nothing(
    drive: Drive, client: Client, folder: Node, sender: Sender, beaune: Commune
) -> None:
    drive.file("secret.txt", folder)
    page = sender.page()
    assert beaune.collectivite.name in page and "Taille d’un fichier" in page and "5 Mo" in page
    assert "secret" not in page and "Pièces du marché" not in page, "the folder's name is the maker's"
    status, first = sender.hand("Acte n° 3.pdf", message="Bonjour,\nvoici l’acte.\x00\u202e")
    assert status == 201 and first["name"] == "Acte n° 3.pdf"
    status, second = sender.hand("Acte n° 3.pdf")
    assert status == 201 and second["name"] == "Acte n° 3 (2).pdf", "nothing is replaced"
    assert first["reference"] == second["reference"]
    page = text_of(client.get(f"/coffre/{folder.id}/depots/"))
    assert "Me Durand" in page and "2 fichiers" in page and first["reference"] in page
    assert "voici l’acte." in page and "\x00" not in page and "\u202e" not in page
    for method, what in (("GET", "fichier"), ("GET", ""), ("PROPFIND", ""), ("GET", "zip"), ("GET", "1")):
        assert sender.ask(method, what)[0] == 404, what
    assert sender.ask("GET", str(only_named(drive, folder, "secret.txt").id), at="/coffre/lien/x/")[0] == 303


def only_named(drive: Drive, folder: Node, name: str) -> Node:
    with drive.database.reading() as reading:
        found = look.child(reading, folder.id, name)
    assert found is not None
    return found


def test_a_file_whose_answer_was_lost_is_there_once(
    drive: Drive, client: Client, folder: Node, sender: Sender, server: Served
) -> None:
    _, first = sender.hand("acte.pdf")
    told = (server.directory / "told-handed").read_text()
    assert sender.hand("acte.pdf", again=True) == (201, first)
    assert drive.names(folder) == ["acte.pdf"]
    assert (server.directory / "told-handed").read_text() == told
    assert sender.hand("acte.pdf", PDF + b"2", again=True)[1]["name"] == "acte (2).pdf", "another file"
    other = Sender(server, make(client, folder))
    other.page()
    assert other.hand("acte (2).pdf", PDF + b"2", again=True)[1]["name"] == "acte (2) (2).pdf", (
        "another visit"
    )
    with drive.database.reading() as reading:
        assert sorted(one.files for one in drops.handings(reading, folder.id)) == [1, 2]


def test_a_file_whose_answer_was_lost_is_known_though_others_sent_one_of_its_name_since(
    drive: Drive, client: Client, folder: Node, sender: Sender, server: Served
) -> None:
    first = sender.hand("plan.pdf")[1]
    other = Sender(server, make(client, folder))
    other.page()
    second = other.hand("plan.pdf", PDF + b"2")[1]
    assert (first["name"], second["name"]) == ("plan.pdf", "plan (2).pdf")
    assert sender.hand("plan.pdf", again=True) == (201, first)
    assert other.hand("plan.pdf", PDF + b"2", again=True) == (201, second)
    assert sorted(drive.names(folder)) == ["plan (2).pdf", "plan.pdf"]
    with drive.database.reading() as reading:
        assert [one.files for one in drops.handings(reading, folder.id)] == [1, 1]


def test_members_read_which_file_came_from_whom(
    drive: Drive, client: Client, folder: Node, sender: Sender
) -> None:
    _, told = sender.hand("acte <3>.pdf", sender="Me <b>Durand</b>")
    other = Sender(sender.server, make(client, folder))
    other.page()
    other.hand("plan.pdf", sender="Mme Petit")
    node, own = only_named(drive, folder, "acte <3>.pdf"), drive.file("à nous.pdf", folder)
    page, address = client.get(f"/coffre/{folder.id}/depots/").content.decode(), f"/coffre/{node.id}/"
    durand, petit = page.index("Me &lt;b&gt;Durand&lt;/b&gt;"), page.index("Mme Petit")
    mine = page.index(f'<a href="{address}">acte &lt;3&gt;.pdf</a>')
    assert (petit < durand < mine or durand < mine < petit) and "à nous.pdf" not in page
    assert client.get(f"/coffre/{folder.id}/").content.decode().count("un lien de dépôt</span>") == 2
    page = client.get(address).content.decode()
    assert (
        "par un lien de dépôt" in page
        and "Déposé par" in page
        and "Me &lt;b&gt;Durand&lt;/b&gt;" in page
        and told["reference"] in page
    )
    assert "Déposé par" not in client.get(f"/coffre/{own.id}/").content.decode()


def test_a_file_that_was_moved_away_is_not_named_any_more(
    drive: Drive, client: Client, folder: Node, sender: Sender
) -> None:
    sender.hand("secret.pdf")
    sender.hand("acte.pdf")
    node = only_named(drive, folder, "secret.pdf")
    drive.database.write(lambda w: tree.move(w, drive.act, node.id, drive.own.id, node.name))
    page = text_of(client.get(f"/coffre/{folder.id}/depots/"))
    assert "acte.pdf" in page and "secret.pdf" not in page and "1 fichier n’est plus dans ce dossier" in page
    assert "Déposé par" in client.get(f"/coffre/{node.id}/").content.decode(), (
        "its owner reads where it came from"
    )


def test_what_came_opens_for_members_once_it_was_looked_at(
    drive: Drive, client: Client, folder: Node, sender: Sender, server: Served
) -> None:
    assert sender.hand("acte.pdf")[0] == 201
    node = only(drive, folder)
    client.get("/coffre/")
    assert fetched(server, client, node)[0] == 423
    assert sender.hand("encore.pdf")[0] == 201, "the same content again is no mistake"
    scanned(drive, node)
    assert fetched(server, client, node) == (200, PDF)
    other = PDF + b"other"
    assert sender.hand("macro.pdf", other)[0] == 201
    held = only_named(drive, folder, "macro.pdf")
    scanned(drive, held, "active_pdf")
    assert fetched(server, client, held)[0] == 403
    assert "un programme qui se lance" in client.get(f"/coffre/{held.id}/").content.decode()
    assert sender.hand("macro.pdf", other) == (403, {"code": "drive.drop_held"}), (
        "nobody is told that it is dangerous"
    )
    assert (
        "doit d’abord être vérifié" in Client().get("/partage/depot/?refus=drive.drop_held").content.decode()
    )
    scanned(drive, held, "malware")
    assert sender.hand("macro.pdf", other) == (403, {"code": "drive.found"})


def fetched(server: Served, client: Client, node: Node) -> tuple[int, bytes]:
    cookie = client.cookies[granted.COOKIES[granted.OUT_PATH]]
    line = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    line.request("GET", f"{granted.OUT_PATH}/{node.id}", None, {"Cookie": f"{cookie.key}={cookie.value}"})
    answer = line.getresponse()
    return answer.status, answer.read()


def test_two_senders_of_one_second_have_two_receipts(
    drive: Drive, folder: Node, sender: Sender, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = clock.epoch_s()
    monkeypatch.setattr(clock, "epoch_s", lambda: now_s)
    other = Sender(server, sender.path)
    for one in (sender, other):
        one.page()
    told = [
        one.hand(f"{who}.pdf", sender=who)[1]["reference"]
        for one, who in ((sender, "Me Durand"), (other, "Me Petit"))
    ]
    assert told[0] != told[1]
    with drive.database.reading() as reading:
        found = drops.handings(reading, folder.id)
    assert {(one.sender, one.files) for one in found} == {("Me Durand", 1), ("Me Petit", 1)}


def test_a_plain_form_sends_one_file_and_reads_its_receipt(
    drive: Drive, folder: Node, sender: Sender
) -> None:
    def form(body: bytes, name: str = "acte.pdf", who: str = "M. Martin") -> str:
        cut = b"--cut\r\nContent-Disposition: form-data; name="
        whole = (
            cut
            + b'"expediteur"\r\n\r\n'
            + who.encode()
            + b"\r\n"
            + cut
            + b'"message"\r\n\r\nvoici\r\n'
            + cut
            + f'"fichier"; filename="{name}"\r\n\r\n'.encode()
            + body
            + b"\r\n--cut--\r\n"
        )
        kind = {"Content-Type": "multipart/form-data; boundary=cut", "Origin": "null"}
        status, headers, _ = sender.ask("POST", "formulaire", whole, **kind)
        assert status == 303
        return headers["location"]

    location = form(PDF)
    assert re.fullmatch(r"/partage/depot/\?recu=[0-9A-F]{12}", location)
    assert location[-12:] in Client().get(location).content.decode()
    assert form(EXE) == "/partage/depot/?refus=drive.drop_type"
    assert form(PDF, who="") == "/partage/depot/?refus=input.invalid"
    assert drive.names(folder) == ["acte.pdf"]


def test_a_password_is_asked_first(client: Client, server: Served, folder: Node) -> None:
    sender = Sender(server, make(client, folder, password="un mot de passe"))
    assert "attend des fichiers de vous" in sender.page()
    assert granted.DROP_COOKIE not in sender.client.cookies
    assert sender.hand("a.pdf")[0] in (401, 403)
    assert sender.client.post(sender.path, {"password": "un mot de passe"}).status_code == 302
    assert "Votre nom" in sender.page()
    assert sender.hand("a.pdf")[0] == 201


def test_a_grant_of_one_link_opens_no_other_and_none_that_gives(
    drive: Drive, client: Client, server: Served, folder: Node, sender: Sender
) -> None:
    other = drive.folder("Autre")
    make(client, other)
    with drive.database.reading() as reading:
        (share,) = shares.of_node(reading, other.id, now_s=clock.epoch_s())
    told = {
        granted.FILE_HEADER.decode(): quote(json.dumps({"name": "a.pdf", "size_bytes": 1, "sender": "x"}))
    }
    assert sender.ask("PUT", "fichier", b"x", at=f"{granted.DROP_PATH}/{share.id}/", **told)[0] == 404
    cookie = sender.client.cookies[granted.DROP_COOKIE]
    assert (
        cookie["httponly"] and cookie["samesite"] == "Strict" and cookie["path"].startswith("/coffre/depot/")
    )
    line = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    line.request(
        "GET", f"/coffre/lien/{share.id}/zip", None, {"Cookie": f"beffroi_coffre_lien={cookie.value}"}
    )
    assert line.getresponse().status == 303
    assert drive.names(other) == []


# -- who makes them ----------------------------------------------------------------------------------------------


def test_making_is_on_record_and_asks_for_a_folder(drive: Drive, client: Client, folder: Node) -> None:
    make(client, folder)
    assert verbs() == ["made"]
    assert "Lien de dépôt" in client.get(f"/coffre/{folder.id}/liens/").content.decode()
    assert "Lien de dépôt" in client.get("/coffre/liens/").content.decode()
    assert client.get(f"/coffre/{drive.file('x.pdf').id}/depots/").status_code == 409
    wrong = {"days": "9999", "types": "exe", "size": "x", "files": "0", "total": "", "password": "court"}
    for field, value in wrong.items():
        answer = client.post(f"/coffre/{folder.id}/depots/", FORM | {field: value})
        assert answer.status_code == 400 and f'id="id_{field}_error"' in answer.content.decode(), field


def test_only_who_may_write_there_makes_them(
    drive: Drive, folder: Node, system: Actor, beaune: Commune, nuits: Commune
) -> None:
    common = drive.folder("Commun", drive.common)
    elu = portal_client(make_member(system, beaune.collectivite, "elu@beaune.test", "elu"))
    assert elu.post(f"/coffre/{common.id}/depots/", FORM).status_code == 403
    for other in (beaune.colleague_membership, nuits.referent_membership):
        assert portal_client(other).get(f"/coffre/{folder.id}/depots/").status_code == 404


def test_each_file_is_in_the_audit_log_before_it_is_there(committed: str, beaune: Commune) -> None:
    handed = Handed("shr_x", beaune.id, beaune.agent.id, "A1B2C3D4E5F6", "0" * 64, 12, "192.0.2.7")
    tell_handed(replace(settings.BEFFROI, database_url=committed), handed)
    while run_pending("main"):
        pass
    entry = AuditEntry.objects.get(verb="drive:link:handed_in")
    assert (entry.object_id, entry.collectivite_id) == ("shr_x", beaune.id)
    assert json.loads(entry.details)["reference"] == "A1B2C3D4E5F6"
    assert personal_of(entry)["address"] == "192.0.2.7"


def test_what_was_told_is_what_came(server: Served, sender: Sender) -> None:
    path: Path = server.directory / "told-handed"
    path.unlink(missing_ok=True)
    assert sender.hand("a.pdf")[0] == 201
    assert sender.hand("b.exe", EXE)[0] == 415
    (line,) = path.read_text().splitlines()
    told = json.loads(line)
    assert told["size_bytes"] == len(PDF) and told["address"] == "192.0.2.7" and "a.pdf" not in line


def test_names_and_words_of_senders_go_with_the_link(drive: Drive, folder: Node, sender: Sender) -> None:
    assert sender.hand("a.pdf")[0] == 201
    with drive.database.reading() as reading:
        (share,) = shares.of_node(reading, folder.id, now_s=clock.epoch_s())
    drive.database.write(drops.forget)
    with drive.database.reading() as reading:
        assert len(drops.handings(reading, share.node)) == 1
    drive.database.write(lambda w: shares.end(w, share.id, now_s=1))
    drive.database.write(lambda w: shares.forget(w, before_s=clock.epoch_s()))
    drive.database.write(drops.forget)
    with drive.database.reading() as reading:
        assert drops.handings(reading, share.node) == []
    assert drive.names(folder) == ["a.pdf"], "the file stays"


def test_where_nothing_looks_at_files_they_open_at_once(drive: Drive, folder: Node) -> None:
    wish = shares.Wish("link", rights="drop", expires_s=clock.epoch_s() + 1000)
    share, _ = drive.database.write(lambda w: shares.make(w, drive.act, folder.id, wish))
    letter = drops.Letter(f"{share.id}:A", "x")

    def come(data: bytes, *, is_scanned: bool) -> None:
        now_s, came = clock.epoch_s(), content(data)
        drive.database.write(
            lambda w: drops.hand_in(w, share.id, "a.pdf", came, letter, is_scanned=is_scanned, now_s=now_s)
        )

    come(b"a", is_scanned=True)
    come(b"b", is_scanned=False)
    with drive.database.reading() as reading:
        with pytest.raises(findings.NotScanned):
            findings.require_scanned(reading, content(b"a").sha256)
        findings.require_scanned(reading, content(b"b").sha256)
