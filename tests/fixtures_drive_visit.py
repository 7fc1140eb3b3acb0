"""A folder that another commune may write."""

from __future__ import annotations

import json

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import Share
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.drive_share_pages import make, only_share


@pytest.fixture
def folder(drive: Drive) -> Node:
    """With a document in it; another one of a like name lies beside it."""
    made = drive.folder("Piste cyclable")
    drive.file("Plan de la piste.odt", made)
    drive.file("Plan secret.odt")
    return made


@pytest.fixture
def share(drive: Drive, folder: Node, nuits: Commune, client: Client, there: Client) -> Share:
    """The folder, which another commune may write, and accepted."""
    make(client, folder.id, f"collectivite:{nuits.id}", "write")
    made = only_share(drive)
    there.post("/coffre/partages-avec-moi/", {"partage": made.id, "what": "accept"})
    return made


def inside(drive: Drive, folder: Node, name: str = "Plan de la piste.odt") -> int:
    with drive.database.reading() as reading:
        row = reading.one("SELECT id FROM node WHERE parent = ? AND name = ?", (folder.id, name))
    assert row is not None
    return int(row[0])


def crossings() -> list[str]:
    rows = AuditEntry.objects.filter(verb="drive:share:crossed").order_by("id")
    return [json.loads(one.details)["what"] for one in rows]
