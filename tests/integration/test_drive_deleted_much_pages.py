"""Coffre: many files were deleted: who may write there is told, and has them back by one action."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import tree
from beffroi.drive.store.model import Node
from beffroi.drive.store.trash import MUCH
from django.test import Client

from tests.conftest import Commune, make_member
from tests.drive_pages import client
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_past_pages import Aged, aged, drive, plain, text

__all__ = ["aged", "client", "drive", "no_door"]
pytestmark = pytest.mark.django_db
TOLD = "Beaucoup de fichiers ont été supprimés d’ici"
TRASH = "/coffre/corbeille/?de=commune"


def commons(aged: Aged, count: int = MUCH) -> list[Node]:
    """Files of the commune."""
    return [aged.put(f"{number:03d}.ods", 1, into=aged.drive.common) for number in range(count)]


def delete(aged: Aged, files: Sequence[Node], device_id: str = "apw_pc", ago_s: int = 60) -> None:
    act = replace(aged.act(ago_s), device_id=device_id)
    for one in files:
        aged.drive.database.write(lambda w, it=one: tree.delete(w, act, it.id))


def test_who_reads_that_many_are_gone_has_them_back_by_one_action(aged: Aged, beaune: Commune) -> None:
    before = aged.drive.names(aged.drive.common)
    files = commons(aged)
    delete(aged, files[1:])
    referent = portal_client(beaune.referent_membership)
    assert TOLD not in text(referent, "/coffre/commune/"), "one too few"
    delete(aged, files[:1])
    for page in ("/coffre/commune/", TRASH):
        said = text(referent, page)
        assert f"{TOLD} avec le compte d’agent" in said and said.count(TOLD) == 1
    way = re.search(rf'"(/coffre/{aged.drive.common.id}/avant/)\?a=([0-9]+)"', said)
    assert way is not None
    page, at_s = way.groups()
    ahead = text(referent, f"{page}?a={at_s}")
    assert "Remettre ce dossier comme il était" in ahead and f"{MUCH}" in ahead
    referent.post(page, {"what": "restore", "a": at_s})
    assert aged.drive.names(aged.drive.common) == sorted([*before, *(one.name for one in files)])
    assert TOLD not in text(referent, "/coffre/commune/")


def test_it_is_told_where_it_was_to_who_may_write_for_three_days(
    aged: Aged, client: Client, beaune: Commune, nuits: Commune, system: Actor
) -> None:
    elected = portal_client(make_member(system, beaune.collectivite, "elu@beaune.test", "elu"))
    delete(aged, commons(aged), ago_s=2 * 86400)
    assert TOLD in text(client, "/coffre/commune/")
    for who, page in (
        (client, "/coffre/"),
        (client, f"/coffre/{aged.folder.id}/"),
        (client, "/coffre/corbeille/"),
        (elected, "/coffre/commune/"),
        (portal_client(nuits.agent_membership), "/coffre/commune/"),
    ):
        assert TOLD not in text(who, page), page
    aged.drive.database.write(lambda w: w.run("UPDATE trash SET deleted_s = deleted_s - 86401"))
    assert TOLD not in text(client, "/coffre/commune/")


def test_an_english_reader_is_told(aged: Aged, client: Client) -> None:
    delete(aged, commons(aged))
    page = client.get("/coffre/commune/", headers={"Accept-Language": "en"}).content.decode()
    assert "Many files were deleted from here with the account of agent" in plain(page)
