"""A folder of the commune that is sealed by the real process, and who acts on it."""

from __future__ import annotations

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.drive.store import look, seals
from beffroi.drive.store.model import Node
from beffroi.drive.store.seals import Seal
from django.test import Client

from tests.conftest import Commune, make_member
from tests.drive_browser import Browser
from tests.drive_pages import Drive
from tests.drive_server import Served
from tests.fixtures_portal import confirmed
from tests.waiting import until

BODIES = {"Facture 1.pdf": b"%PDF-1.4 facture 1", "Facture 2.pdf": b"%PDF-1.4 facture 2"}
DAY_S = 86400


@pytest.fixture
def drive(beaune: Commune) -> Drive:
    return Drive(beaune.referent_membership)


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


def seal_of(drive: Drive, folder: Node) -> Seal:
    """The newest."""
    with drive.database.reading() as reading:
        return next(one for one in seals.every(reading) if one.node == folder.id)


def sealed(drive: Drive, folder: Node, referent: Client, **form: str) -> Seal:
    answer = referent.post(
        f"/coffre/{folder.id}/sceller/", {"what": "seal", **(form or {"rule": "invoices"})}
    )
    assert answer.status_code == 302, answer.content.decode()
    until(lambda: seal_of(drive, folder).told_s > 0, "it is told")
    assert seal_of(drive, folder).state == "sealed"
    return seal_of(drive, folder)


def verbs() -> list[str]:
    return list(
        AuditEntry.objects.filter(verb__startswith="drive:seal").order_by("id").values_list("verb", flat=True)
    )


def node_of(drive: Drive, folder: Node, name: str) -> int:
    with drive.database.reading() as reading:
        found = look.child(reading, folder.id, name)
    assert found is not None
    return found.id


def again(drive: Drive) -> Client:
    """Signed in at the time that it is now."""
    membership = Membership.objects.get(person_id=drive.act.person_id, collectivite_id=drive.collectivite_id)
    return confirmed(membership)


VISA = {
    "what": "eliminate",
    "visa": "AD21-2036-0142",
    "visa_on": "2026-11-01",
    "visa_by": "Archives de la Côte-d’Or",
}
