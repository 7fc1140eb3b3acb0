"""Coffre, seals: verifications, what they found, and who hears of it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import LiteralString
from urllib.parse import unquote

import msgspec
import pypdf
import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.drive.seals import overview
from beffroi.drive.seals.overview import Sums
from beffroi.drive.store import seal_checks
from beffroi.drive.store.model import Node
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.portal import words
from beffroi.previews.server import socket_path
from django.conf import settings
from django.test import Client

from tests.conftest import Commune
from tests.drive_browser import server
from tests.drive_pages import Drive
from tests.fixtures_portal import confirmed, console_client, no_door, on_listener, portal_client
from tests.fixtures_seals import (
    DAY_S,
    VISA,
    again,
    drive,
    elu,
    folder,
    referent,
    sealed,
    verbs,
)
from tests.markup import text_of
from tests.waiting import PATIENCE_S, until

__all__ = ["drive", "elu", "folder", "no_door", "referent", "server"]
pytestmark = pytest.mark.django_db


def test_a_verification_reads_all_again_and_its_report_is_shown(
    drive: Drive, folder: Node, referent: Client
) -> None:
    seal = sealed(drive, folder, referent)
    page = f"/coffre/sceaux/{seal.id}/"
    referent.post(page, {"what": "check"})
    until(lambda: "Dernière vérification" in text_of(referent.get(page)), "it is verified")
    shown = text_of(referent.get(page))
    assert "Le dossier est intact" in shown and "Fichiers intacts : 2." in shown
    drive.database.write(lambda w: w.run("UPDATE node SET mtime_s = 5 WHERE name = 'Facture 1.pdf'"))
    referent.post(page, {"what": "check"})
    until(lambda: "modifié : date" in text_of(referent.get(page)), "what changed is told")
    shown = text_of(referent.get(page))
    assert "n’est plus tel qu’il a été scellé" in shown and "Facture 1.pdf" in shown
    assert "Actualiser" not in shown


def test_a_page_that_waits_for_the_work_says_how_it_ended(
    drive: Drive, folder: Node, referent: Client
) -> None:
    seal = sealed(drive, folder, referent)
    page = f"/coffre/sceaux/{seal.id}/"

    def part() -> str:
        answer = text_of(referent.get(page + "?part=state", headers={"HX-Request": "true"}))
        assert "<html" not in answer
        return answer

    # The line below the title said that sealing goes on.
    assert "Beaune · Scellé</p>" in part() and "rien n’y change" in part() and "Actualiser" in part()
    shown = text_of(referent.get(page))
    assert "rien n’y change" in shown and "Actualiser" not in shown
    drive.database.write(lambda w: w.run("UPDATE node SET mtime_s = 5 WHERE name = 'Facture 1.pdf'"))
    referent.post(page, {"what": "check"})
    until(lambda: "Vérification en cours" not in part(), "it has ended")
    assert "n’est plus tel qu’il a été scellé" in part() and "Actualiser" in part()
    assert text_of(referent.get(page)).count('role="alert"') == 1


def broken(drive: Drive, folder: Node, referent: Client) -> str:
    """The address of a seal whose verification found a file changed."""
    seal = sealed(drive, folder, referent)
    page = f"/coffre/sceaux/{seal.id}/"
    drive.database.write(lambda w: w.run("UPDATE node SET mtime_s = 5 WHERE name = 'Facture 1.pdf'"))
    referent.post(page, {"what": "check"})
    until(lambda: "modifié : date" in text_of(referent.get(page)), "what changed is told")
    return page


def test_a_broken_seal_stays_on_the_referent_s_home_until_it_is_intact_again(
    drive: Drive, folder: Node, referent: Client, beaune: Commune
) -> None:
    assert "abîmé" not in text_of(referent.get("/"))
    page = broken(drive, folder, referent)
    shown = text_of(referent.get("/"))
    assert "1 dossier scellé est abîmé" in shown and "Prévenez le Département" in shown
    assert "abîmé" in text_of(referent.get("/coffre/sceaux/"))
    shown = text_of(referent.get(page))
    assert "Ce dossier n’est plus tel qu’il a été scellé" in shown and "rien n’y change" not in shown
    agent = portal_client(beaune.agent_membership)
    assert "abîmé" not in text_of(agent.get("/"))
    drive.database.write(lambda w: w.run("UPDATE node SET mtime_s = 1770000000 WHERE name = 'Facture 1.pdf'"))
    referent.post(page, {"what": "check"})
    until(lambda: "Le dossier est intact" in text_of(referent.get(page)), "it is intact again")
    assert "abîmé" not in text_of(referent.get("/"))


def test_the_referent_alone_says_what_became_of_a_damage(
    drive: Drive, folder: Node, referent: Client, beaune: Commune, nuits: Commune
) -> None:
    page = broken(drive, folder, referent)
    said = {"what": "settle", "why": "Pièce perdue.\nPV du 12 mars ; les Archives le savent."}
    assert portal_client(beaune.agent_membership).post(page, said).status_code == 403
    assert portal_client(nuits.referent_membership).post(page, said).status_code == 404
    assert "Il manque quelque chose" in text_of(referent.post(page, said | {"why": " \n"}, follow=True))
    assert "1 dossier scellé est abîmé" in text_of(referent.get("/"))
    shown = text_of(referent.post(page, said, follow=True))
    assert "l’alerte est close" in shown and "Pièce perdue. PV du 12 mars" in shown
    assert "abîmé" not in text_of(referent.get("/"))
    assert "Quelqu’un a agi" in text_of(referent.post(page, said, follow=True))
    assert verbs()[-1] == "drive:seal:damage_settled"
    assert "PV du 12 mars" not in AuditEntry.objects.get(verb="drive:seal:damage_settled").details
    referent.post(page, {"what": "check"})
    until(lambda: seal_checks_done(drive) == 2, "both are done")
    assert "abîmé" not in text_of(referent.get("/")), "the same damage is known"


def seal_checks_done(drive: Drive) -> int:
    with drive.database.reading() as reading:
        row = reading.one("SELECT COUNT(*) FROM seal_check WHERE done_s > 0")
    assert row is not None
    return int(row[0])


@pytest.fixture
def numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the console reads, apart from what the process writes of other tests' seals."""
    path = tmp_path / "seals.json"
    monkeypatch.setattr(overview, "path", lambda config: path)
    return path


def test_the_console_has_numbers_of_each_commune_and_no_name(
    numbers: Path, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    day_s = 86400
    now_s = clock.epoch_s()
    known = {
        beaune.id: Sums(
            folders=2,
            files=10_031,
            size_bytes=4_100_000,
            ending=1,
            checked_s=now_s - day_s,
            oldest_s=now_s - 80 * day_s,
            unchecked=1,
        ),
        nuits.id: Sums(
            folders=1,
            files=7,
            size_bytes=10,
            over=1,
            checked_s=now_s,
            oldest_s=now_s,
            damaged=1,
            since_s=now_s - 2 * day_s,
        ),
        new_id("col"): Sums(folders=99),
    }
    numbers.write_bytes(msgspec.json.encode(known))
    with on_listener("console"):
        client = console_client(administrator.id)
        shown = text_of(client.get("/coffre/scellements/"))
        first = text_of(client.get("/"))
        assert "Scellements" in text_of(client.get("/coffre/"))
    assert "1 dossier scellé est abîmé" in first
    assert "1 dossier scellé n’est plus ce qui a été scellé" in shown
    longest_ago = words.when(clock.moment(now_s - 80 * day_s)).replace("\u00a0", " ")
    assert f"la plus ancienne : {longest_ago}" in shown and shown.count("la plus ancienne") == 1
    assert "4,1 Mo" in shown and "1 dans les 90 jours" in shown and "1 passé" in shown
    assert shown.index(nuits.collectivite.name) < shown.index(beaune.collectivite.name), (
        "what is broken comes first"
    )
    assert ">10 038<" in shown and ">10 137<" not in shown and ">99<" not in shown, (
        "of collectivités that are here"
    )


def test_a_verification_that_a_setting_holds_up_says_so_on_its_page(
    numbers: Path, drive: Drive, folder: Node, referent: Client, beaune: Commune
) -> None:
    seal = sealed(drive, folder, referent)
    page = f"/coffre/sceaux/{seal.id}/"
    drive.database.write(
        lambda w: seal_checks.ask(w, seal.id, person_id=beaune.referent.id, now_s=clock.epoch_s())
    )
    shown = text_of(referent.get(page))
    assert "Vérification en cours" in shown and "ne peut pas se terminer" not in shown
    numbers.write_bytes(msgspec.json.encode({beaune.id: Sums(folders=1, held_up=1)}))
    shown = text_of(referent.get(page))
    assert "Elle ne peut pas se terminer" in shown and "un réglage de l’horodatage" in shown


@pytest.mark.parametrize(
    ("later_s", "authority", "said"),
    [
        (0, "http://127.0.0.1:9/tsa", "nous lui redemandons"),
        (90_000, "http://127.0.0.1:9/tsa", "rien donné depuis plus d’un jour"),
        (90_000, "", "aucune autorité d’horodatage extérieure n’est réglée"),
    ],
)
def test_a_seal_says_whether_its_time_stamp_is_awaited_late_or_none(
    drive: Drive,
    folder: Node,
    referent: Client,
    monkeypatch: pytest.MonkeyPatch,
    *,
    later_s: int,
    authority: str,
    said: str,
) -> None:
    config = replace(settings.BEFFROI, drive_time_authority=authority)
    monkeypatch.setattr(settings, "BEFFROI", config)
    seal = sealed(drive, folder, referent)
    drive.database.write(
        lambda w: w.run(
            "UPDATE seal SET stamp = 'wanted', told_s = ? WHERE id = ?", (clock.epoch_s() - later_s, seal.id)
        )
    )
    assert said in text_of(referent.get(f"/coffre/sceaux/{seal.id}/"))


def test_the_console_says_how_many_wait_for_their_time_stamp(
    numbers: Path, beaune: Commune, administrator: Actor
) -> None:
    numbers.write_bytes(msgspec.json.encode({beaune.id: Sums(folders=3, unstamped=2)}))
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "2 dossiers scellés attendent leur horodatage" in text_of(client.get("/"))
        shown = text_of(client.get("/coffre/scellements/"))
    assert "2 dossiers scellés attendent leur horodatage" in shown and "drive_time_authority" in shown


def test_the_console_says_that_a_setting_holds_verifications_up(
    numbers: Path, beaune: Commune, administrator: Actor
) -> None:
    numbers.write_bytes(msgspec.json.encode({beaune.id: Sums(folders=1, held_up=1)}))
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "1 vérification de dossier scellé ne peut pas se terminer" in text_of(client.get("/"))
        shown = text_of(client.get("/coffre/scellements/"))
    assert "1 vérification ne peut pas se terminer" in shown and "drive_time_roots" in shown
    assert "<dt>dossier scellé</dt><dd>1</dd>" in shown and "<dt>fichier</dt><dd>0</dd>" in shown


def test_the_console_without_a_seal_says_so(numbers: Path, administrator: Actor) -> None:
    assert not numbers.exists()
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "Aucun dossier n’est scellé" in text_of(client.get("/coffre/scellements/"))
        assert "abîmé" not in text_of(client.get("/"))


@pytest.mark.slow
def test_a_report_and_an_elimination_list_are_real_pdfs(
    drive: Drive, folder: Node, referent: Client, elu: Membership
) -> None:
    seal = sealed(drive, folder, referent)
    page, sheet = f"/coffre/sceaux/{seal.id}/", f"/coffre/sceaux/{seal.id}/pdf/"
    assert referent.post(sheet).status_code == 404, "nothing was verified yet"
    drive.database.write(
        lambda w: w.run("UPDATE node SET name = 'x<&>\x02\u202ey' WHERE name = 'Facture 2.pdf'")
    )
    referent.post(page, {"what": "check"})
    until(lambda: "Rapport en PDF" in text_of(referent.get(page)), "the report is there")
    assert "Le PDF ne peut pas être fait" in text_of(referent.post(sheet, follow=True)), "nobody prints yet"
    with printing(settings.BEFFROI.state):
        report = referent.post(sheet)
        assert report["Content-Type"] == "application/pdf" and unquote(
            report["Content-Disposition"]
        ).endswith(f"{seal.name} (vérification).pdf")
        found = pages_of(report.content)
        assert "Rapport de vérification" in found[0] and "absent" in found[0] and "x<&>" in found[0]
        assert "1 / 1" in found[0] and "vérifi" in found[0].lower() and seal.id in found[0]
        assert b"pdfaid:part" in report.content, "PDF/A"
        drive.database.write(lambda w: w.run("UPDATE node SET name = 'Facture 2.pdf' WHERE name LIKE 'x<%'"))
        with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
            again(drive).post(page, VISA)
            mayor = confirmed(elu)
            mayor.post(page, {"what": "grant"})
            run_pending("main")
            made = mayor.post(sheet)
        (first,) = pages_of(made.content)
        for said in (
            "Bordereau d’élimination",
            "AD21-2036-0142",
            "Facture 1.pdf",
            "2 fichiers éliminés",
            "Factures",
        ):
            assert said in first, said


@contextmanager
def printing(state: Path) -> Iterator[None]:
    (state / "previews").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "beffroi.previews"],
        env={**os.environ, "BEFFROI_STATE": str(state)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(socket_path(state).exists, "it listens")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        socket_path(state).unlink(missing_ok=True)


def pages_of(data: bytes) -> list[str]:
    return [
        " ".join(one.extract_text().replace("\u00a0", " ").split())
        for one in pypdf.PdfReader(io.BytesIO(data)).pages
    ]


@pytest.mark.parametrize(
    "change", ["UPDATE seal_text SET content = ?", "DELETE FROM seal_text WHERE content <> ?"]
)
def test_a_seal_that_cannot_be_read_has_a_page_that_says_so(
    drive: Drive, folder: Node, referent: Client, change: LiteralString
) -> None:
    seal = sealed(drive, folder, referent)
    page = f"/coffre/sceaux/{seal.id}/"
    drive.database.write(lambda w: w.run(change, (b"\xff",)))
    assert referent.get(page).status_code == 200
    referent.post(page, {"what": "check"})
    until(lambda: "ne peut pas être lu" in text_of(referent.get(page)), "what cannot be read is told")
    said = {"what": "settle", "why": "Base restaurée en partie."}
    assert "l’alerte est close" in text_of(referent.post(page, said, follow=True))
