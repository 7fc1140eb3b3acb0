"""Coffre, seals: the référent seals, nothing changes any more, and who may not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from beffroi.core.audit import actions as audit
from beffroi.core.audit import queries as audits
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import Event
from beffroi.drive import consumers
from beffroi.drive.archives import retention
from beffroi.drive.store import locks, seals, tree
from beffroi.drive.store.model import EMPTY, Act, Node
from beffroi.lib import clock
from beffroi.portal import drive_seal_words, drive_words
from django.test import Client

from tests.conftest import Commune
from tests.drive_browser import Browser, server
from tests.drive_pages import Drive
from tests.drive_server import Served
from tests.fixtures_portal import confirmed, no_door, portal_client
from tests.fixtures_seals import (
    BODIES,
    drive,
    elu,
    folder,
    node_of,
    referent,
    seal_of,
    sealed,
    verbs,
)
from tests.markup import text_of

__all__ = ["drive", "elu", "folder", "no_door", "referent", "server"]
pytestmark = pytest.mark.django_db


def test_a_referent_looks_ahead_then_seals_and_sees_that_nothing_changes(
    drive: Drive, folder: Node, referent: Client, beaune: Commune
) -> None:
    page = text_of(referent.get(f"/coffre/{folder.id}/"))
    assert "Sceller ce dossier" in page
    page = text_of(referent.get(f"/coffre/{folder.id}/sceller/"))
    assert "2 (36 o)" in page and "Factures (2 février 2036, élimination" in page
    page = text_of(referent.post(f"/coffre/{folder.id}/sceller/", {"what": "preview", "rule": "invoices"}))
    assert "10 ans" in page and "2 février 2036" in page and 'value="seal"' in page and verbs() == []
    seal = sealed(drive, folder, referent)
    assert datetime.fromtimestamp(seal.until_s, UTC).date().isoformat() == "2036-02-02"
    page = text_of(referent.get(f"/coffre/{folder.id}/"))
    assert "Voir le sceau" in page and "Sceller ce dossier" not in page
    assert 'value="delete"' not in page and 'id="send"' not in page
    agent = portal_client(beaune.agent_membership)
    page = text_of(agent.get(f"/coffre/sceaux/{seal.id}/"))
    assert "Factures 2026" in page and "le centre seul, qui signe l’heure" in page
    assert "Vérifier maintenant" not in page and "Exporter" not in page
    assert "Factures 2026" in text_of(agent.get("/coffre/sceaux/"))
    what = {"what": "delete", "dossier": str(folder.id), "n": node_of(drive, folder, "Facture 1.pdf")}
    assert "C’est scellé" in text_of(agent.post("/coffre/agir/", what, follow=True))
    what = {"what": "delete", "dossier": str(drive.common.id), "n": str(folder.id)}
    assert "C’est scellé" in text_of(agent.post("/coffre/agir/", what, follow=True))
    assert drive.names(folder) == sorted(BODIES)
    assert "C’est scellé" in text_of(referent.get(f"/coffre/{folder.id}/sceller/"))
    assert verbs() == ["drive:seal:asked"]


def test_of_several_that_are_ticked_the_sealed_ones_are_named(
    drive: Drive, folder: Node, referent: Client
) -> None:
    sealed(drive, folder, referent)
    plain, target = drive.folder("Marchés", drive.common), drive.folder("Cible", drive.common)
    several = {"dossier": str(drive.common.id), "n": f"{plain.id},{folder.id}"}
    page = text_of(referent.post("/coffre/agir/", several | {"what": "delete"}, follow=True))
    assert (
        "C’est scellé, en tout ou en partie : « Factures 2026 »." in page and "Recommencez sans lui" in page
    )
    assert "« Marchés »" not in page and "Marchés" in drive.names(drive.common)
    referent.post("/coffre/agir/", several | {"what": "move"})
    page = text_of(referent.post("/coffre/agir/", {"dossier": str(target.id), "what": "drop"}, follow=True))
    assert "« Factures 2026 »" in page and drive.names(target) == []
    alone = {"dossier": str(drive.common.id), "n": str(folder.id), "what": "delete"}
    page = text_of(referent.post("/coffre/agir/", alone, follow=True))
    assert "C’est scellé : on peut le lire" in page and "« Factures 2026 »" not in page


def test_the_first_sealed_ones_are_named_and_the_others_counted() -> None:
    assert drive_words.sealed([]) == ""
    said = drive_words.sealed(["a", "b", "c", "d", "e"]).replace("\u00a0", " ")
    assert "« a », « b », « c » et 2 autres. On peut les lire" in said and "sans eux" in said
    assert "« a ». On peut le lire" in drive_words.sealed(["a"]).replace("\u00a0", " ")


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
        assert "C’est scellé" in text_of(referent.post("/coffre/agir/", what, follow=True))
    back = {"what": "restore", "n": str(old.id), "de": "commune"}
    assert "C’est scellé" in text_of(referent.post("/coffre/corbeille/", back, follow=True))
    for what in ("move", "copy"):
        beside = drive.file(f"{what}.pdf", drive.common)
        referent.post("/coffre/agir/", {"what": what, "dossier": str(drive.common.id), "n": str(beside.id)})
        drop = {"what": "drop", "dossier": str(folder.id)}
        assert "C’est scellé" in text_of(referent.post("/coffre/agir/", drop, follow=True))
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
    for what in ("preview", "seal"):
        answer = referent.post(f"/coffre/{folder.id}/sceller/", {"what": what, **form})
        assert answer.status_code == 400 and 'role="alert"' in text_of(answer)
    with drive.database.reading() as reading:
        assert seals.every(reading) == []


def test_a_rule_whose_term_is_over_already_is_not_previewed_as_one(drive: Drive, referent: Client) -> None:
    folder = drive.folder("Factures 1990", drive.common)
    then_s = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp())
    drive.database.write(lambda w: tree.put(w, drive.act, folder.id, "a", EMPTY, mtime_s=then_s))
    page = f"/coffre/{folder.id}/sceller/"
    answer = referent.post(page, {"what": "preview", "rule": "invoices"})
    assert answer.status_code == 400 and "Le terme doit être après aujourd’hui" in text_of(answer)
    assert "2040" in text_of(
        referent.post(page, {"what": "preview", "rule": "invoices", "until": "2040-01-01"})
    )


@pytest.mark.parametrize("then_s", [4_000_000_000, 1 << 40])
def test_a_file_of_a_day_to_come_puts_off_no_term(drive: Drive, referent: Client, then_s: int) -> None:
    folder = drive.folder("Photos", drive.common)
    drive.database.write(lambda w: tree.put(w, drive.act, folder.id, "a", EMPTY, mtime_s=then_s))
    page = f"/coffre/{folder.id}/sceller/"
    assert "2036" in text_of(referent.post(page, {"what": "preview", "rule": "invoices"}))


def test_who_changes_the_term_finds_what_was_chosen(drive: Drive, referent: Client) -> None:
    folder = drive.folder("Dossier", drive.common)
    chosen = {"rule": "invoices", "until": "2041-02-03"}
    page = f"/coffre/{folder.id}/sceller/"
    assert 'value="change"' in text_of(referent.post(page, {"what": "preview", **chosen}))
    shown = text_of(referent.post(page, {"what": "change", **chosen}))
    assert 'value="invoices" selected' in shown and 'value="2041-02-03"' in shown and "Confirmer" not in shown


def test_only_folders_of_the_commune_are_sealed_and_by_its_referent(
    drive: Drive, referent: Client, beaune: Commune
) -> None:
    own, common = drive.folder("À moi"), drive.folder("À tous", drive.common)
    file = drive.file("a", drive.common)
    for one in (own.id, drive.common.id, file.id):
        answer = referent.post(f"/coffre/{one}/sceller/", {"what": "seal", "no_end": "1"})
        assert "ne peut pas être scellé" in text_of(answer)
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
    assert answer.status_code == 400 and "a ouvert un fichier de ce dossier" in text_of(answer)


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
    assert "Factures" not in text_of(stranger.get("/coffre/sceaux/"))
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
