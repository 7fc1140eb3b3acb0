"""What was fetched by a link is on record before its first byte, and nothing of what is held is given."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from beffroi.core.audit.actions import personal_of
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.registry import Event
from beffroi.drive import consumers
from beffroi.drive.__main__ import tell_access
from beffroi.drive.store import look
from beffroi.drive.store.frozen import Frozen
from beffroi.drive.store.shares import Share
from beffroi.drive.web import granted, linked
from beffroi.drive.web.bodies import SealedStore
from beffroi.drive.web.linked import Access, Linked
from beffroi.drive.web.making import Maker
from beffroi.drive.web.messages import Answer, Request
from beffroi.drive.who import Standing
from beffroi.lib import clock
from beffroi.portal import drive_access
from django.conf import settings
from django.db import transaction
from django.test import Client

from tests.conftest import STATE, Commune
from tests.drive_browser import Browser, server
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served, everything
from tests.drive_share_pages import only_share
from tests.drive_visitors import Visitor, make
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_links import put

__all__ = ["client", "drive", "no_door", "put", "server"]
pytestmark = pytest.mark.django_db


# -- on record -------------------------------------------------------------------------------------------------


def test_each_download_is_told_and_written_to_the_audit_log(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], beaune: Commune
) -> None:
    (STATE / "told-links").unlink(missing_ok=True)
    node = put(drive.own, "x.txt", b"0123456789")
    visitor = Visitor(server, make(client, node))
    visitor.page()
    visitor.fetch(str(node))
    visitor.fetch(str(node), Range="bytes=5-")
    visitor.fetch(str(node), "HEAD")
    (told,) = [json.loads(line) for line in (STATE / "told-links").read_text().splitlines()]
    share = only_share(drive)
    assert told == {
        "share_id": share.id,
        "collectivite_id": beaune.id,
        "what": "file",
        "node_id": node,
        "size_bytes": 10,
        "address": "192.0.2.7",
    }
    payload = {"share_id": share.id, "what": "file", "node_id": node, "bytes": 10, "address": "192.0.2.7"}
    consumers.record_download(Event(1, "drive:link_used", beaune.id, payload, clock.now()))
    entry = AuditEntry.objects.get(verb="drive:link:used")
    assert (entry.object_id, entry.collectivite_id) == (share.id, beaune.id)
    assert "192.0.2.7" not in entry.details and personal_of(entry) == {"address": "192.0.2.7"}


def test_what_the_drive_tells_is_what_the_audit_log_gets(committed: str, beaune: Commune) -> None:
    config = replace(settings.BEFFROI, database_url=committed)
    access = Access("shr_" + "0" * 26, beaune.id, "zip", 7, 1234, "2001:db8::1")
    tell_access(config, access)
    row = OutboxEvent.objects.get(kind="drive:link_used")
    assert row.collectivite_id == beaune.id
    with transaction.atomic():
        consumers.record_download(
            Event(row.id, row.kind, row.collectivite_id, json.loads(row.payload), row.created_at)
        )
    entry = AuditEntry.objects.get(verb="drive:link:used")
    assert json.loads(entry.details) == {"what": "zip", "node_id": 7, "bytes": 1234}
    assert personal_of(entry) == {"address": "2001:db8::1"}


@contextmanager
def door(
    told: list[Access],
    refuse: Callable[[str, str], None] = lambda *_: None,
    standing: Standing = everything,
) -> Iterator[Linked]:
    """The drive's door of links in this process, over the real metadata and contents."""
    with ThreadPoolExecutor(2) as workers:
        communes = drive_access._communes()
        bodies = SealedStore(settings.BEFFROI, communes, workers, refuse)
        yield Linked(
            communes, bodies, settings.BEFFROI.secret("drive-grant.key"), told.append, Maker(None), standing
        )


def fetched(door: Linked, visitor: Visitor, share: Share, step: str, **headers: str) -> Answer:
    cookie = visitor.client.cookies[granted.LINK_COOKIE].value
    sent = {b"cookie": f"{granted.LINK_COOKIE}={cookie}".encode()}
    sent |= {name.encode(): value.encode() for name, value in headers.items()}
    asked = Request("GET", f"{granted.LINK_PATH}/{share.id}/{step}", "", sent, _never)
    try:
        return asyncio.run(door(asked))
    finally:
        asked.end()


async def _never() -> MutableMapping[str, Any]:
    raise AssertionError("a GET has no body")


@pytest.mark.parametrize("is_own", [True, False])
def test_a_page_that_was_open_gives_no_own_file_of_who_left(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], is_own: bool
) -> None:
    node = put(drive.own if is_own else drive.common, "x.txt", b"0123456789")
    guest = Visitor(server, make(client, node, downloads="3"))
    guest.page()
    share, told = only_share(drive), list[Access]()
    with door(told, standing=lambda person_id, collectivite_id: []) as one:
        assert fetched(one, guest, share, str(node)).status == (303 if is_own else 200)
    assert len(told) == (not is_own)
    assert only_share(drive).downloads_left == (3 if is_own else 2), "what is not given is not counted"


def test_guests_of_one_commune_push_out_no_download_of_another(
    drive: Drive,
    client: Client,
    server: Served,
    put: Callable[..., int],
    nuits: Commune,
) -> None:
    neighbour, theirs = portal_client(nuits.agent_membership), Drive(nuits.agent_membership)
    sent = Browser(server, neighbour).send(b"0123456789", folder=theirs.own.id, name="x.txt")[1]["node"]
    guest = Visitor(server, make(neighbour, sent, downloads="1"))
    guest.page()
    mine = put(drive.own, "y.txt", b"0123456789")
    path = make(client, mine, downloads="99")
    told: list[Access] = []
    with pytest.MonkeyPatch.context() as patched, door(told) as one:
        patched.setattr(linked, "MOST_REMEMBERED", 4)
        assert fetched(one, guest, only_share(theirs), str(sent), range="bytes=0-4").status == 206
        for number in range(1, 8):
            crowd = Visitor(server, path)
            crowd.page()
            assert fetched(one, crowd, only_share(drive), str(mine)).status == 200
            assert only_share(drive).downloads_left == 99 - number
        assert fetched(one, guest, only_share(theirs), str(sent), range="bytes=5-").status == 206
        assert fetched(one, crowd, only_share(drive), str(mine), range="bytes=5-").status == 206
        assert only_share(drive).downloads_left == 92, "the newest of the crowd is known"
        assert one._counted.count == 4


def test_what_the_departement_holds_back_is_not_given_and_not_counted(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], beaune: Commune
) -> None:
    folder = drive.folder("Dossier")
    put(folder, "outil.exe", b"mauvais")
    visitor = Visitor(server, make(client, folder.id, downloads="1"))
    visitor.page()
    told: list[Access] = []

    def refuse(sha256: str, _: str) -> None:
        assert sha256 in ("", hashlib.sha256(b"mauvais").hexdigest())
        if sha256:
            raise Frozen("dec_x")

    with door(told, refuse) as one:
        with drive.database.reading() as reading:
            (file,) = look.children(reading, folder.id)
        for step in (str(file.id), "zip"):
            answer = fetched(one, visitor, only_share(drive), step)
            assert (answer.status, dict(answer.headers)[b"location"]) == (
                303,
                b"/partage/?refus=drive.frozen",
            )
    assert (told, only_share(drive).downloads_left) == ([], 1)
    page = visitor.client.get("/partage/?refus=drive.frozen")
    assert page.status_code == 403 and "dangereux" in page.content.decode()
