"""The drive of one person and the pages of the Coffre, for their tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from beffroi.core.identity.models import Membership
from beffroi.drive.store import look, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import EMPTY, Act, Node
from beffroi.drive.views import View
from beffroi.drive.who import Who
from beffroi.lib import clock
from beffroi.portal import drive_access
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import portal_client


class Drive:
    """The drive of one person, filled without the pages."""

    def __init__(self, membership: Membership) -> None:
        role: Any = membership.role
        self.who = Who(membership.person_id, membership.id, membership.collectivite_id, role, "", "", "")
        self.database: Database = drive_access._communes().metadata(membership.collectivite_id)
        self.collectivite_id = membership.collectivite_id
        self.act = Act(membership.person_id, "", clock.epoch_s())
        with self.database.reading() as reading:
            self.own, self.common = View(self.database, self.who).roots(reading)

    def folder(self, name: str, parent: Node | None = None) -> Node:
        above = (parent or self.own).id
        return self.database.write(lambda writing: tree.make_folder(writing, self.act, above, name))

    def file(self, name: str, parent: Node | None = None) -> Node:
        above = (parent or self.own).id
        return self.database.write(lambda writing: tree.put(writing, self.act, above, name, EMPTY))[0]

    def children(self, folder: int | None = None) -> list[Node]:
        with self.database.reading() as reading:
            return look.children(reading, self.own.id if folder is None else folder)

    def names(self, parent: Node | None = None) -> list[str]:
        return sorted(one.name for one in self.children((parent or self.own).id))


@pytest.fixture
def drive(beaune: Commune) -> Drive:
    return Drive(beaune.agent_membership)


@pytest.fixture
def client(beaune: Commune) -> Client:
    return portal_client(beaune.agent_membership)


@pytest.fixture
def do(client: Client) -> Callable[..., str]:
    """``do("delete", folder, n=[...])``: press a button; the page that follows."""

    def press(what: str, folder: Node, **more: Any) -> str:
        data = {"what": what, "dossier": str(folder.id), **more}
        return client.post("/coffre/agir/", data, follow=True).content.decode()

    return press


def shown(page: str) -> list[str]:
    """The names of a list, in its order."""
    return [part.partition("<")[0] for part in page.split('<span class="name">')[1:]]
