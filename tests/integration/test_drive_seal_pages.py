"""Coffre, seals: the référent seals, the real process reads and signs; packages, proofs, the end, and who may not."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.audit import queries as audits
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import Event, run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.drive import consumers
from beffroi.drive.archives import bagcheck, manifest, retention, rules
from beffroi.drive.seals import actions
from beffroi.drive.seals.desk import of_texts
from beffroi.drive.store import locks, look, seal_ends, seals, tree
from beffroi.drive.store.model import Act, Node
from beffroi.drive.store.seals import Seal
from beffroi.lib import clock
from beffroi.portal import drive_seal_words
from django.test import Client
from django.urls import reverse
from lxml import etree

from tests.conftest import PASSWORD, STATE, Commune, make_member
from tests.drive_server import Served, served
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_archives_tools import OLD_CALLS
from tests.integration.test_drive_bytes import Browser
from tests.integration.test_drive_pages import Drive
from tests.unit.test_drive_archives_seda import SCHEMAS, schema

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
BODIES = {"Facture 1.pdf": b"%PDF-1.4 facture 1", "Facture 2.pdf": b"%PDF-1.4 facture 2"}
DAY_S = 86400


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(STATE) as one:
        yield one


@pytest.fixture
def drive(beaune: Commune) -> Drive:
    return Drive(beaune.referent_membership)


def confirmed(membership: Membership) -> Client:
    """Signed in, and asked for the password just now."""
    client = portal_client(membership)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD, "next": "/"})
    return client


@pytest.fixture
def referent(beaune: Commune) -> Client:
    return confirmed(beaune.referent_membership)


@pytest.fixture
def elu(beaune: Commune) -> Membership:
    return make_member(Actor.system("tests"), beaune.collectivite, "maire@beaune.test", "elu")


@pytest.fixture
def folder(drive: Drive, server: Served, referent: Client) -> Node:
    """Two invoices of the commune, sent as a browser sends them."""
    made = drive.folder("Factures 2026", drive.common)
    browser = Browser(server, referent)
    for name, body in BODIES.items():
        sent = {"folder": made.id, "name": name, "size_bytes": len(body), "mtime_s": 1_770_000_000}
        assert browser.ask("POST", "/coffre/envoi/fichier", body, sent)[0] == 201
    return made


def until(holds: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def seal_of(drive: Drive, folder: Node) -> Seal:
    with drive.database.reading() as reading:
        found = seals.last_of(reading, folder.id)
    assert found is not None
    return found


def sealed(drive: Drive, folder: Node, referent: Client, **form: str) -> Seal:
    answer = referent.post(
        f"/coffre/{folder.id}/sceller/", {"what": "seal", **(form or {"rule": "invoices"})}
    )
    assert answer.status_code == 302, answer.content.decode()
    until(lambda: seal_of(drive, folder).state == "sealed")
    return seal_of(drive, folder)


def text(answer: Any) -> str:
    return str(answer.content.decode()).replace("\u00a0", " ")


def verbs() -> list[str]:
    return list(
        AuditEntry.objects.filter(verb__startswith="drive:seal").order_by("id").values_list("verb", flat=True)
    )


def node_of(drive: Drive, folder: Node, name: str) -> int:
    with drive.database.reading() as reading:
        found = look.child(reading, folder.id, name)
    assert found is not None
    return found.id


def test_a_referent_looks_ahead_then_seals_and_sees_that_nothing_changes(
    drive: Drive, folder: Node, referent: Client, beaune: Commune
) -> None:
    page = text(referent.get(f"/coffre/{folder.id}/"))
    assert "Sceller ce dossier" in page
    page = text(referent.get(f"/coffre/{folder.id}/sceller/"))
    assert "2 (36 o)" in page and "Factures (2 février 2036, élimination" in page
    page = text(referent.post(f"/coffre/{folder.id}/sceller/", {"what": "preview", "rule": "invoices"}))
    assert "10 ans" in page and "2 février 2036" in page and 'value="seal"' in page and verbs() == []
    seal = sealed(drive, folder, referent)
    assert datetime.fromtimestamp(seal.until_s, UTC).date().isoformat() == "2036-02-02"
    page = text(referent.get(f"/coffre/{folder.id}/"))
    assert "Voir le sceau" in page and "Sceller ce dossier" not in page
    assert 'value="delete"' not in page and 'id="send"' not in page
    agent = portal_client(beaune.agent_membership)
    page = text(agent.get(f"/coffre/sceaux/{seal.id}/"))
    assert "Factures 2026" in page and "le centre seul, qui signe l’heure" in page
    assert "Vérifier maintenant" not in page and "Exporter" not in page
    assert "Factures 2026" in text(agent.get("/coffre/sceaux/"))
    what = {"what": "delete", "dossier": str(folder.id), "n": node_of(drive, folder, "Facture 1.pdf")}
    assert "C’est scellé" in text(agent.post("/coffre/agir/", what, follow=True))
    what = {"what": "delete", "dossier": str(drive.common.id), "n": str(folder.id)}
    assert "C’est scellé" in text(agent.post("/coffre/agir/", what, follow=True))
    assert drive.names(folder) == sorted(BODIES)
    assert "C’est scellé" in text(referent.get(f"/coffre/{folder.id}/sceller/"))
    assert verbs() == ["drive:seal:asked"]


def test_what_the_page_sends_and_puts_back_is_refused_before_its_bytes(
    drive: Drive, folder: Node, referent: Client, server: Served
) -> None:
    old = drive.file("ancien.pdf", folder)
    drive.database.write(lambda writing: tree.delete(writing, drive.act, old.id))
    sealed(drive, folder, referent)
    browser = Browser(server, referent)
    sent: dict[str, Any] = {"folder": folder.id, "name": "n.pdf", "size_bytes": 1}
    ways = (
        ("fichier", b"n", sent),
        ("fichier", b"n", {**sent, "name": "Facture 1.pdf", "taken": "replace"}),
        ("fichier", b"n", {**sent, "path": ["Mars"]}),
        ("ab" * 20, b"", sent),
    )
    for way, body, said in ways:
        status, _, answer = browser.ask("POST", f"/coffre/envoi/{way}", body, said)
        assert (status, json.loads(answer)) == (403, {"code": "drive.sealed"})
    first = node_of(drive, folder, "Facture 1.pdf")
    for what in (
        {"what": "folder", "dossier": str(folder.id), "name": "n"},
        {"what": "rename", "dossier": str(folder.id), "n": str(first), "name": "n.pdf"},
        {"what": "rename", "dossier": str(folder.id), "n": str(folder.id), "name": "Autre"},
    ):
        assert "C’est scellé" in text(referent.post("/coffre/agir/", what, follow=True))
    back = {"what": "restore", "n": str(old.id), "de": "commune"}
    assert "C’est scellé" in text(referent.post("/coffre/corbeille/", back, follow=True))
    for what in ("move", "copy"):
        beside = drive.file(f"{what}.pdf", drive.common)
        referent.post("/coffre/agir/", {"what": what, "dossier": str(drive.common.id), "n": str(beside.id)})
        drop = {"what": "drop", "dossier": str(folder.id)}
        assert "C’est scellé" in text(referent.post("/coffre/agir/", drop, follow=True))
    assert drive.names(folder) == sorted(BODIES)


@pytest.mark.parametrize(
    ("form", "until"),
    [
        ({"rule": "invoices", "until": "2040-01-01"}, "2040-01-01"),
        ({"until": "2030-06-30"}, "2030-06-30"),
        ({"no_end": "1"}, None),
        ({"rule": "deliberations"}, None),
        ({"rule": "invoices", "no_end": "1"}, None),
    ],
)
def test_a_term_is_the_rule_s_or_a_later_one(
    drive: Drive, referent: Client, form: dict[str, str], until: str | None
) -> None:
    folder = drive.folder("Dossier", drive.common)
    referent.post(f"/coffre/{folder.id}/sceller/", {"what": "seal", **form})
    seal = seal_of(drive, folder)
    found = datetime.fromtimestamp(seal.until_s, UTC).date().isoformat() if seal.until_s else None
    assert (seal.rule, found) == (form.get("rule", ""), until)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"rule": "invoices", "until": "2026-12-01"},
        {"until": "2020-01-01"},
        {"until": "demain"},
        {"until": "9999-12-31"},
        {"rule": "x", "until": "2040-01-01"},
    ],
)
def test_another_term_is_refused_with_a_reason(drive: Drive, referent: Client, form: dict[str, str]) -> None:
    folder = drive.folder("Dossier", drive.common)
    drive.file("a", folder)
    answer = referent.post(f"/coffre/{folder.id}/sceller/", {"what": "seal", **form})
    assert answer.status_code == 400 and 'role="alert"' in text(answer)
    with drive.database.reading() as reading:
        assert seals.every(reading) == []


def test_only_folders_of_the_commune_are_sealed_and_by_its_referent(
    drive: Drive, referent: Client, beaune: Commune
) -> None:
    own, common = drive.folder("À moi"), drive.folder("À tous", drive.common)
    file = drive.file("a", drive.common)
    for one in (own.id, drive.common.id, file.id):
        answer = referent.post(f"/coffre/{one}/sceller/", {"what": "seal", "no_end": "1"})
        assert "ne peut pas être scellé" in text(answer)
    for membership in (beaune.agent_membership, beaune.colleague_membership):
        client = portal_client(membership)
        assert (
            client.post(f"/coffre/{common.id}/sceller/", {"what": "seal", "no_end": "1"}).status_code == 404
        )
    with drive.database.reading() as reading:
        assert seals.every(reading) == [] and verbs() == []


def test_a_folder_in_which_somebody_has_a_file_open_is_not_sealed(
    drive: Drive, referent: Client, beaune: Commune
) -> None:
    folder = drive.folder("Dossier", drive.common)
    file = drive.file("a.docx", folder)
    other = Act(beaune.agent.id, "app_1", clock.epoch_s())
    drive.database.write(
        lambda w: locks.lock(w, other, file.id, deep=False, shared=False, owner="", timeout_s=60)
    )
    answer = referent.post(f"/coffre/{folder.id}/sceller/", {"what": "seal", "no_end": "1"})
    assert answer.status_code == 400 and "a ouvert un fichier de ce dossier" in text(answer)


def test_another_collectivite_knows_nothing_of_it(
    drive: Drive, folder: Node, referent: Client, nuits: Commune, server: Served
) -> None:
    seal = sealed(drive, folder, referent)
    file = node_of(drive, folder, "Facture 1.pdf")
    stranger = confirmed(nuits.referent_membership)
    assert stranger.get(f"/coffre/sceaux/{seal.id}/").status_code == 404
    for what in ("check", "extend", "lift", "eliminate", "grant", "refuse"):
        assert stranger.post(f"/coffre/sceaux/{seal.id}/", {"what": what}).status_code == 404
    assert stranger.post(f"/coffre/sceaux/{seal.id}/preuve/{file}/").status_code == 404
    assert stranger.post(f"/coffre/{folder.id}/sceller/", {"what": "seal", "no_end": "1"}).status_code == 404
    assert "Factures" not in text(stranger.get("/coffre/sceaux/"))
    browser = Browser(server, stranger)
    for kind in ("bagit", "seda"):
        status, headers, _ = browser.ask("POST", f"/coffre/octets/sceaux/{seal.id}/{kind}", Origin=server.url)
        assert status == 303 and "refus=drive.absent" in headers["location"]
    assert verbs() == ["drive:seal:asked"]


def test_an_agent_neither_verifies_nor_exports_nor_ends(
    drive: Drive, folder: Node, referent: Client, beaune: Commune, server: Served
) -> None:
    seal = sealed(drive, folder, referent, until="2030-01-01")
    agent = confirmed(beaune.agent_membership)
    day = {"until": "2031-01-01", "visa": "x", "visa_on": "2026-01-01", "visa_by": "y"}
    for what in ("check", "extend", "lift", "eliminate"):
        assert agent.post(f"/coffre/sceaux/{seal.id}/", {"what": what, **day}).status_code == 403
    browser = Browser(server, agent)
    status, headers, _ = browser.ask("POST", f"/coffre/octets/sceaux/{seal.id}/bagit", Origin=server.url)
    assert status == 303 and "refus=drive.absent" in headers["location"]
    assert seal_of(drive, folder) == seal and verbs() == ["drive:seal:asked"]


def test_a_verification_reads_all_again_and_its_report_is_shown(
    drive: Drive, folder: Node, referent: Client
) -> None:
    seal = sealed(drive, folder, referent)
    page = f"/coffre/sceaux/{seal.id}/"
    referent.post(page, {"what": "check"})
    until(lambda: "Dernière vérification" in text(referent.get(page)))
    shown = text(referent.get(page))
    assert "Le dossier est intact" in shown and "Fichiers intacts : 2." in shown
    drive.database.write(lambda w: w.run("UPDATE node SET mtime_s = 5 WHERE name = 'Facture 1.pdf'"))
    referent.post(page, {"what": "check"})
    until(lambda: "modifié : date" in text(referent.get(page)))
    shown = text(referent.get(page))
    assert "n’est plus tel qu’il a été scellé" in shown and "Facture 1.pdf" in shown
    part = referent.get(page + "?part=state", headers={"HX-Request": "true"})
    assert "<html" not in text(part)


def test_a_proof_of_one_file_shows_nothing_of_the_others(
    drive: Drive, folder: Node, referent: Client, beaune: Commune
) -> None:
    seal = sealed(drive, folder, referent)
    file = node_of(drive, folder, "Facture 2.pdf")
    agent = portal_client(beaune.agent_membership)
    assert "Preuve de ce fichier" in text(agent.get(f"/coffre/{file}/"))
    answer = agent.post(f"/coffre/sceaux/{seal.id}/preuve/{file}/")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert set(packed.namelist()) == {"preuve.json", "sceau.txt", "sceau.sig", "cle.pem"}
        proof = manifest.read_proof(json.loads(packed.read("preuve.json")))
        assert proof.holds(manifest.read_statement(packed.read("sceau.txt")))
    assert b"Facture 2.pdf" in proof.line and b"Facture 1" not in answer.content
    beside = drive.file("autre.pdf", drive.common)
    for other in (beside.id, folder.id, drive.common.id):
        assert agent.post(f"/coffre/sceaux/{seal.id}/preuve/{other}/").status_code == 404
    assert verbs() == ["drive:seal:asked", "drive:seal:proved"]


@OLD_CALLS
def test_packages_stream_to_the_referent_and_are_told_before(
    drive: Drive, folder: Node, referent: Client, server: Served, tmp_path: Path
) -> None:
    seal = sealed(drive, folder, referent)
    browser = Browser(server, referent)
    told = Path(server.directory / "told-seals")
    told.unlink(missing_ok=True)
    address = f"/coffre/octets/sceaux/{seal.id}/"
    form = {"organisation": "Beaune, SIREN 212100549"}
    status, headers, body = browser.ask(
        "POST", address + "bagit", urlencode(form).encode(), Origin=server.url
    )
    assert status == 200 and "BagIt" in headers["content-disposition"]
    assert bagcheck.archive(io.BytesIO(body)) == []
    with zipfile.ZipFile(io.BytesIO(body)) as bag:
        bag.extractall(tmp_path)
    other = pytest.importorskip("bagit", reason="PyPI's bagit is not installed")
    other.Bag(str(next(tmp_path.iterdir()))).validate()
    with zipfile.ZipFile(io.BytesIO(body)) as bag:
        inside = {name.partition("/")[2]: name for name in bag.namelist()}
        assert bag.read(inside["data/Facture 1.pdf"]) == BODIES["Facture 1.pdf"]
        assert manifest.read_statement(bag.read(inside["beffroi/sceau.txt"])).files == 2
        assert "Source-Organization: Beaune, SIREN 212100549" in bag.read(inside["bag-info.txt"]).decode()
    form = {
        "own": "212100549",
        "own_scheme": "agreed",
        "organisation": "Beaune",
        "service": "AD21",
        "dua": "APP-1",
    }
    status, _, body = browser.ask("POST", address + "seda", urlencode(form).encode(), Origin=server.url)
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(body)) as sip:
        assert sip.testzip() is None and sum(one.startswith("content/") for one in sip.namelist()) == 2
        xml = sip.read("manifest.xml").decode()
    if SCHEMAS:
        schema("2.2").assertValid(etree.fromstring(xml.encode()))
    assert "seda:v2.2" in xml and seal.id in xml and "APP-1" in xml and "Factures 2026" in xml
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert [(kind, said["what"]) for kind, _, said in lines] == [
        ("drive:seal_exported", "bagit"),
        ("drive:seal_exported", "seda"),
    ]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"own": "123456789", "own_scheme": "SIREN", "service": "AD21"}, "drive.transfer_invalid"),
        ({"own": "21231", "own_scheme": "x", "service": "AD21"}, "drive.transfer_invalid"),
        ({"own": "21231", "own_scheme": "INSEE"}, "drive.transfer_invalid"),
        ({"own": "21231", "own_scheme": "INSEE", "service": "A", "version": "9"}, "drive.transfer_invalid"),
        ({"origin": "https://ailleurs.example"}, "drive.foreign_origin"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_an_export_that_cannot_be_made_leads_back_with_a_reason(
    drive: Drive, referent: Client, server: Served, form: dict[str, str], code: str
) -> None:
    with drive.database.reading() as reading:
        folder = look.child(reading, drive.common.id, "Factures 2026")
    assert folder is not None
    seal = sealed(drive, folder, referent)
    browser, origin = Browser(server, referent), form.get("origin", server.url)
    address = f"/coffre/octets/sceaux/{seal.id}/seda"
    status, headers, _ = browser.ask("POST", address, urlencode(form).encode(), Origin=origin)
    assert (status, headers["location"]) == (303, f"/coffre/sceaux/{seal.id}/?refus={code}")
    assert 'role="alert"' in text(referent.get(headers["location"]))


def test_a_file_that_the_door_holds_is_not_exported(
    drive: Drive, folder: Node, referent: Client, server: Served
) -> None:
    seal = sealed(drive, folder, referent)
    with drive.database.reading() as reading:
        node = look.child(reading, folder.id, "Facture 1.pdf")
    assert node is not None
    refused = server.directory / "refused"
    refused.write_text(node.sha256)
    try:
        browser = Browser(server, referent)
        address = f"/coffre/octets/sceaux/{seal.id}/bagit"
        status, headers, _ = browser.ask("POST", address, Origin=server.url)
        assert status == 303 and headers["location"].endswith("?refus=drive.frozen")
    finally:
        refused.unlink()


def test_a_seal_without_a_rule_is_lifted_after_its_term_and_no_clock_does_it_before(
    drive: Drive, folder: Node, referent: Client
) -> None:
    day = datetime.fromtimestamp(clock.epoch_s() + 20 * DAY_S, UTC).date().isoformat()
    seal = sealed(drive, folder, referent, until=day)
    page = f"/coffre/sceaux/{seal.id}/"
    assert "Le terme du sceau n’est pas passé" in text(referent.post(page, {"what": "lift"}, follow=True))
    person = Actor("person", drive.act.person_id, drive.collectivite_id, "referent")
    for jump_s in (-400 * DAY_S, 400 * DAY_S):
        with clock.jumped(jump_s), pytest.raises(rules.TermRunning):
            actions.lift(actor=person, database=drive.database, seal_id=seal.id)
        with clock.jumped(jump_s), pytest.raises(rules.TermNotForward):
            actions.extend(actor=person, database=drive.database, seal_id=seal.id, until_s=seal.until_s - 1)
    assert seal_of(drive, folder).until_s == seal.until_s
    earlier = {"what": "extend", "until": "2026-11-30"}
    assert "ne se raccourcit pas" in text(referent.post(page, earlier, follow=True))
    later = datetime.fromtimestamp(clock.epoch_s() + 30 * DAY_S, UTC).date().isoformat()
    assert "est prolongé" in text(referent.post(page, {"what": "extend", "until": later}, follow=True))
    with clock.shifted(25 * DAY_S):
        fresh = _again(drive)
        assert "Le terme du sceau n’est pas passé" in text(fresh.post(page, {"what": "lift"}, follow=True))
    with clock.shifted(31 * DAY_S):
        fresh = _again(drive)
        assert "Lever le sceau" in text(fresh.get(page))
        assert "C’est scellé" in text(_deleted(fresh, drive, folder)), (
            "the end of the term alone frees nothing"
        )
        assert "Le sceau est levé" in text(fresh.post(page, {"what": "lift"}, follow=True))
        _deleted(fresh, drive, folder)
        assert drive.names(folder) == ["Facture 2.pdf"]
    assert verbs() == ["drive:seal:asked", "drive:seal:extended", "drive:seal:lifted"]


def _again(drive: Drive) -> Client:
    """Signed in at the time that it is now."""
    membership = Membership.objects.get(person_id=drive.act.person_id, collectivite_id=drive.collectivite_id)
    return confirmed(membership)


def _deleted(client: Client, drive: Drive, folder: Node) -> Any:
    what = {"what": "delete", "dossier": str(folder.id), "n": node_of(drive, folder, "Facture 1.pdf")}
    return client.post("/coffre/agir/", what, follow=True)


VISA = {
    "what": "eliminate",
    "visa": "AD21-2036-0142",
    "visa_on": "2026-11-01",
    "visa_by": "Archives de la Côte-d’Or",
}


def test_an_elimination_takes_the_term_a_visa_and_a_second_person(
    drive: Drive, folder: Node, referent: Client, beaune: Commune, elu: Membership
) -> None:
    seal = sealed(drive, folder, referent)
    page = f"/coffre/sceaux/{seal.id}/"
    assert "Le terme du sceau n’est pas passé" in text(referent.post(page, VISA, follow=True))
    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        referent = _again(drive)
        assert "il ne se libère pas" in text(referent.post(page, {"what": "lift"}, follow=True))
        for bad in ({"visa": ""}, {"visa_on": "2199-01-01"}, {"visa_by": " "}, {"visa": "x" * 201}):
            assert "Il manque le visa" in text(referent.post(page, {**VISA, **bad}, follow=True))
        assert not Approval.objects.exists()
        shown = text(referent.post(page, VISA, follow=True))
        assert "AD21-2036-0142" in shown and "Accorder" not in shown
        assert "Quelqu’un a agi" in text(referent.post(page, VISA, follow=True))
        assert "Une autre personne" in text(referent.post(page, {"what": "grant"}, follow=True))
        agent = confirmed(beaune.agent_membership)
        assert agent.post(page, {"what": "grant"}).status_code == 403
        run_pending("main")
        assert drive.names(folder) == sorted(BODIES)
        mayor = confirmed(elu)
        assert "Accorder" in text(mayor.get(page))
        mayor.post(page, {"what": "grant"})
        assert drive.names(folder) == sorted(BODIES)
        run_pending("main")
        run_pending("main")
        shown = text(agent.get(page))
        assert "Bordereau d’élimination" in shown and "AD21-2036-0142" in shown
        assert "Facture 1.pdf" in shown and "2 fichiers éliminés" in shown
        with drive.database.reading() as reading:
            assert look.node(reading, folder.id) is None
            assert reading.one("SELECT 1 FROM version LIMIT 1") is None
            record = seal_ends.of(reading, seal.id)
            assert record is not None and record.granted_by != record.asked_by
            assert of_texts(seals.texts(reading, seal.id)).statement, "what it was stays known"
        assert verbs() == ["drive:seal:asked", "drive:seal:destroyed"]


def test_a_refused_or_overtaken_elimination_destroys_nothing(
    drive: Drive, folder: Node, referent: Client, elu: Membership
) -> None:
    seal = sealed(drive, folder, referent)
    page = f"/coffre/sceaux/{seal.id}/"
    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        referent = _again(drive)
        referent.post(page, VISA)
        mayor = confirmed(elu)
        assert "abandonnée" in text(mayor.post(page, {"what": "refuse"}, follow=True))
        assert "Quelqu’un a agi" in text(mayor.post(page, {"what": "grant"}, follow=True))
        referent.post(page, VISA)
        later = {"what": "extend", "until": _day_after(seal.until_s + 900 * DAY_S)}
        assert "est prolongé" in text(referent.post(page, later, follow=True))
        assert "Quelqu’un a agi" in text(mayor.post(page, {"what": "grant"}, follow=True))
        run_pending("main")
    with clock.shifted(seal.until_s - clock.epoch_s() + 1000 * DAY_S):
        referent, mayor = _again(drive), confirmed(elu)
        assert drive.names(folder) == sorted(BODIES)
        referent.post(page, VISA)
        mayor.post(page, {"what": "grant"})
        later = {"what": "extend", "until": _day_after(clock.epoch_s() + 900 * DAY_S)}
        assert "Quelqu’un a agi" in text(referent.post(page, later, follow=True))
        run_pending("main")
        assert seal_of(drive, folder).state == "destroyed"


def _day_after(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s + DAY_S, UTC).date().isoformat()


def test_what_is_not_over_by_the_worker_s_clock_is_not_destroyed(
    drive: Drive, folder: Node, referent: Client, beaune: Commune
) -> None:
    seal = sealed(drive, folder, referent)
    said = {"seal_id": seal.id, "visa": "AD21-1", "visa_on": "2026-11-01", "visa_by": "AD21"}
    with pytest.raises(rules.TermRunning):
        actions.carry_out(
            drive.collectivite_id, said, approval_id="apr_1", asked_by="per_a", granted_by=beaune.referent.id
        )
    assert drive.names(folder) == sorted(BODIES)


def test_a_crash_between_the_destruction_and_its_record_is_made_good(
    drive: Drive, folder: Node, referent: Client, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = sealed(drive, folder, referent)
    said = {"seal_id": seal.id, "visa": "AD21-1", "visa_on": "2026-11-01", "visa_by": "AD21"}

    def carry_out() -> None:
        actions.carry_out(
            drive.collectivite_id, said, approval_id="apr_1", asked_by="per_a", granted_by=beaune.referent.id
        )

    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        with monkeypatch.context() as broken, pytest.raises(OSError, match="cut"):
            broken.setattr(audit, "record", lambda **given: (_ for _ in ()).throw(OSError("cut")))
            carry_out()
        assert verbs() == ["drive:seal:asked"]
        carry_out()
        carry_out()
    assert verbs() == ["drive:seal:asked", "drive:seal:destroyed"]


def test_the_password_is_asked_for_before_a_seal_ends(
    drive: Drive, folder: Node, referent: Client, beaune: Commune
) -> None:
    seal = sealed(drive, folder, referent)
    client = portal_client(beaune.referent_membership)
    for what in ("lift", "eliminate", "grant"):
        answer = client.post(f"/coffre/sceaux/{seal.id}/", {"what": what})
        assert answer.status_code == 302 and answer["Location"].startswith("/confirmer/")


def test_what_is_kept_for_good_is_never_ended(drive: Drive, folder: Node, referent: Client) -> None:
    seal = sealed(drive, folder, referent, rule="deliberations")
    page = f"/coffre/sceaux/{seal.id}/"
    with clock.shifted(200 * 365 * DAY_S):
        referent = _again(drive)
        for form in ({"what": "lift"}, VISA):
            assert "se conserve sans fin" in text(referent.post(page, form, follow=True))
    assert seal_of(drive, folder).state == "sealed"


def test_what_the_process_did_stands_in_the_audit_log(beaune: Commune) -> None:
    for number, kind in enumerate(consumers._SEAL_VERBS):
        payload = {"seal_id": "seal_1", "person_id": beaune.referent.id, "files": 2}
        consumers.record_seal(Event(number, kind, beaune.id, payload, clock.now()))
    assert verbs() == list(consumers._SEAL_VERBS.values())
    entry = AuditEntry.objects.filter(verb="drive:seal:made").get()
    assert (entry.actor_id, entry.object_id, entry.details) == (beaune.referent.id, "seal_1", '{"files":2}')


def test_the_statement_names_the_head_of_the_audit_log(drive: Drive, folder: Node, referent: Client) -> None:
    audit.seal()
    head = audits.sealed_head()
    seal = sealed(drive, folder, referent)
    assert (seal.audit_position, seal.audit_hash) == head


def test_words_for_every_rule_of_the_table() -> None:
    assert set(drive_seal_words.RULES) == set(retention.TABLE)
    assert all(drive_seal_words.rule(code)["title"] == rule.title for code, rule in retention.TABLE.items())
    assert drive_seal_words.rule("") == {}
