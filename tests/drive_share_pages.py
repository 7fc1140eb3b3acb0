"""Shares made on the pages of the Coffre, and who receives them, for their tests."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.drive.store import shares
from beffroi.drive.store.shares import Share
from beffroi.lib import clock
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.fixtures_portal import portal_client


@pytest.fixture
def colleague(beaune: Commune) -> Client:
    return portal_client(beaune.colleague_membership)


@pytest.fixture
def there(nuits: Commune) -> Client:
    """The référent of another commune."""
    return portal_client(nuits.referent_membership)


def make(client: Client, node_id: int, target: str, rights: str = "read", days: str = "") -> Any:
    form = {"with": target, "rights": rights, "days": days}
    return client.post(f"/coffre/{node_id}/partage/", form)


def only_share(drive: Drive) -> Share:
    with drive.database.reading() as reading:
        (found,) = shares.made_by(reading, drive.act.person_id, now_s=clock.epoch_s())
    return found


def text(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def recorded(collectivite_id: str) -> list[str]:
    rows = AuditEntry.objects.filter(verb__startswith="drive:share:", collectivite_id=collectivite_id)
    return [one.verb.removeprefix("drive:share:") for one in rows.order_by("id")]
