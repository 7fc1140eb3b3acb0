"""The file of an incident for a complaint: it verifies with ordinary tools, and holds nothing of others."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit import signing
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.incidents import actions, queries
from beffroi.incidents.models import Incident, IncidentFile
from beffroi.incidents.rules import Kind
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.portal import signed_file
from beffroi_protocol.signing import b64
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client
from django.urls import reverse

from tests.conftest import PASSWORD, Commune, code_of
from tests.fixtures_incidents import open_for
from tests.fixtures_portal import (
    console_client,
    on_listener,
)
from tests.fixtures_stream import block

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(config: Config) -> Iterator[Ed25519PrivateKey]:
    """The audit key of this centre, in its place."""
    made = Ed25519PrivateKey.generate()
    path = config.secrets / signing.KEY
    path.write_text(b64(made.private_bytes_raw()))
    yield made
    path.unlink()


def unpack(answer: Any, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert all(".." not in name and not name.startswith("/") for name in archive.namelist())
        archive.extractall(folder)
    return folder


def fetch(commune: Commune, incident: Incident) -> Any:
    """As the référent, who signed in a moment ago and confirms the password."""
    client = Client(headers={"X-Beffroi-Listener": "portal"})
    client.post("/connexion/", {"login": commune.referent_membership.person.email, "password": PASSWORD})
    address = reverse("incident_export", args=[incident.id])
    asked = client.post(address)
    assert asked.status_code == 302
    assert asked["Location"].startswith(reverse("account_reauthenticate"))
    return client.post(asked["Location"], {"password": PASSWORD, "next": address})


def test_the_file_verifies_with_ordinary_tools(
    beaune: Commune, key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    incident = open_for(beaune)
    actions.add_note(actor=beaune.agent, incident=incident, text="Écran bizarre vers midi")
    answer = fetch(beaune, incident)
    assert answer["Content-Type"] == "application/zip"
    folder = unpack(answer, tmp_path)
    verify = [
        *("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "cle-publique.pem", "-rawin"),
        *("-in", "manifeste.json", "-sigfile", "manifeste.sig"),
    ]
    subprocess.run(["sha256sum", "--quiet", "-c", "empreintes.sha256"], cwd=folder, check=True)
    subprocess.run(verify, cwd=folder, check=True, capture_output=True)
    manifest = json.loads((folder / "manifeste.json").read_text())
    named = {one["name"] for one in manifest["parts"]}
    assert named == {"LISEZMOI.txt", "dossier.html", "dossier.json", "preuves/001-box_look_back.json"}
    evidence = folder / "preuves" / "001-box_look_back.json"
    assert hashlib.sha256(evidence.read_bytes()).hexdigest() == queries.evidence(incident)[0].sha256
    page = (folder / "dossier.html").read_text()
    assert "Écran bizarre vers midi" in page
    assert "Beaune, INSEE 21054" in page
    told = json.loads((folder / "dossier.json").read_text())["evidence"][0]["at"]
    assert told["utc"].endswith("Z")
    assert "(UTC+0" in told["local"]
    # What is changed afterwards is found.
    evidence.write_text(evidence.read_text().replace("41", "42"))
    assert subprocess.run(
        ["sha256sum", "-c", "empreintes.sha256"], cwd=folder, capture_output=True, check=False
    ).returncode
    (folder / "manifeste.json").write_text(json.dumps(manifest))
    assert subprocess.run(verify, cwd=folder, capture_output=True, check=False).returncode
    assert AuditEntry.objects.get(verb="incident:exported").actor_id == beaune.referent.id


def test_the_file_lists_each_content_that_is_held_and_prints_as_many_as_one_reads(
    beaune: Commune, nuits: Commune, key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    incident, other = open_for(beaune, Kind.MALICIOUS_FILE), open_for(nuits, Kind.MALICIOUS_FILE)
    for one, first, many in ((incident, 0, 1001), (other, 5000, 1)):
        IncidentFile.objects.bulk_create(
            IncidentFile(
                incident=one,
                collectivite_id=one.collectivite_id,
                sha256=f"{first + number:064x}",
                at=clock.now(),
                finding="malware",
                names="Wolf",
            )
            for number in range(many)
        )
    folder = unpack(fetch(beaune, incident), tmp_path)
    told = json.loads((folder / "dossier.json").read_text())["files"]
    assert [one["sha256"] for one in told] == [f"{number:064x}" for number in range(1001)]
    page = (folder / "dossier.html").read_text()
    assert page.count("<td>Wolf</td>") == 1000 and "tous se trouvent dans dossier.json" in page


def test_the_file_holds_nothing_of_another_commune(
    beaune: Commune, nuits: Commune, key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    decision = block("185.203.116.9")
    incident = open_for(beaune, decision_id=decision.id)
    other = open_for(nuits, decision_id=decision.id)
    actions.add_note(actor=nuits.agent, incident=other, text="Secret de Nuits")
    folder = unpack(fetch(beaune, incident), tmp_path)
    whole = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file()).decode(
        "utf-8", "replace"
    )
    assert beaune.domain in whole
    for foreign in (nuits.id, nuits.domain, "Nuits", other.id, nuits.agent.id, nuits.referent.id):
        assert foreign not in whole


def test_a_printed_page_names_what_is_not_seen(key: Ed25519PrivateKey) -> None:
    """A name that reads backwards, one that closes a cell, one without an end."""
    name, cell, long = "facture\u202efdp.exe\x1b\ud800", "</td><script>alert(1)</script>", "a" * 10_000
    packed = signed_file.pack(
        "essai",
        {"incident": "inc_1"},
        {"title": cell, "evidence": [{"source": "mail", "values": {"file": name, cell: long}}], "made_at": 1},
        name="dossier",
        read_me="",
        at=clock.now(),
        template="file/incident.html",
    )
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        page, data = archive.read("dossier.html").decode(), json.loads(archive.read("dossier.json"))
    assert "facture[U+202E]fdp.exe[U+001B][U+D800]" in page and "\u202e" not in page
    assert "<script" not in page and "&lt;/td&gt;&lt;script&gt;" in page and long in page
    assert data["evidence"][0]["values"]["file"] == name, "as it was"


def test_without_the_key_there_is_no_file(beaune: Commune) -> None:
    answer = fetch(beaune, open_for(beaune))
    assert answer.status_code == 500
    assert not answer.content.startswith(b"PK"), "no archive"
    assert not AuditEntry.objects.filter(verb="incident:exported").exists()


def test_the_departement_takes_the_file_with_a_code(
    new_administrator: NewAdministrator, beaune: Commune, key: Ed25519PrivateKey
) -> None:
    incident = open_for(beaune)
    with on_listener("console"):
        client = console_client(new_administrator.record.id)
        address = reverse("incident_export", args=[incident.id])
        assert client.post(address, {"code": "1"}).status_code == 403
        code = code_of(new_administrator)
        answer = client.post(address, {"code": code})
    assert answer.content[:2] == b"PK"
