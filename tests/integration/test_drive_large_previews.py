"""Coffre: a file that is too large to be shown says so, with its length and the limit, and offers the download."""

from __future__ import annotations

from dataclasses import replace

import pytest
from beffroi.drive.store import tree
from beffroi.drive.store.model import EMPTY, Node
from beffroi.drive.store.shares import Share
from beffroi.lib.config import Config
from beffroi.portal import drive_words
from beffroi.previews import wire
from django.conf import settings
from django.test import Client

from tests.drive_pages import Drive, client, drive
from tests.drive_share_pages import there
from tests.drive_visitors import make
from tests.fixtures_drive_visit import folder, share
from tests.fixtures_portal import no_door
from tests.markup import text_of

__all__ = ["client", "drive", "folder", "no_door", "share", "there"]
pytestmark = pytest.mark.django_db
DOCUMENT, IMAGE = wire.MAX_DOCUMENT_BYTES + 1_000_000, drive_words.MAX_IMAGE_BYTES + 1_000_000


def large(drive: Drive, name: str, size_bytes: int, parent: Node | None = None) -> Node:
    content = replace(EMPTY, size_bytes=size_bytes)
    above = (parent or drive.own).id
    return drive.database.write(lambda w: tree.put(w, drive.act, above, name, content))[0]


@pytest.fixture(params=[True, False], ids=["previews", "no previews"])
def previews(request: pytest.FixtureRequest, config: Config, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(settings, "BEFFROI", replace(config, previews=request.param))
    return bool(request.param)


@pytest.mark.parametrize(
    "case",
    [
        ("façade.png", IMAGE, "fait 31 Mo : au-delà de 30 Mo"),
        ("budget.ods", DOCUMENT, "fait 26 Mo : au-delà de 25 Mo"),
    ],
)
def test_what_is_too_large_to_be_shown_says_so_and_is_offered(
    drive: Drive, client: Client, previews: bool, case: tuple[str, int, str]
) -> None:
    name, size_bytes, words = case
    node = large(drive, name, size_bytes)
    page = text_of(client.get(f"/coffre/{node.id}/"))
    is_said = previews or name.endswith("png")
    assert (words in page) == is_said and "data-office" not in page
    assert page.count(f'href="/coffre/octets/{node.id}">') == 1 + is_said
    assert large(drive, name, 12).id == node.id
    with drive.database.reading() as reading:
        (row,) = reading.all("SELECT etag FROM version WHERE node = ?", (node.id,))
    assert (words in text_of(client.get(f"/coffre/{node.id}/versions/{row[0]}/"))) == is_said
    assert words not in text_of(client.get(f"/coffre/{node.id}/"))


@pytest.mark.parametrize("name", ["film.mp4", "plan.pdf", "notes.txt"])
def test_what_is_shown_at_any_length_or_never_says_nothing_of_it(
    drive: Drive, client: Client, name: str
) -> None:
    node = large(drive, name, DOCUMENT + IMAGE)
    assert "au-delà de" not in text_of(client.get(f"/coffre/{node.id}/"))


def test_a_visitor_reads_it_too(drive: Drive, folder: Node, share: Share, there: Client) -> None:
    node = large(drive, "façade.png", IMAGE, folder)
    page = text_of(there.get(f"/coffre/chez/{share.id}/{node.id}/"))
    assert "au-delà de 30 Mo" in page and page.count(f'/coffre/octets/chez/{share.id}/{node.id}">') == 2


@pytest.mark.parametrize("name", ["façade.png", "budget.ods"])
def test_who_holds_a_link_reads_it_beside_the_download(
    drive: Drive, client: Client, previews: bool, name: str
) -> None:
    node = large(drive, name, IMAGE)
    page = text_of(Client().get(make(client, node.id)))
    is_said = previews or name.endswith("png")
    assert ("au-delà de" in page) == is_said and "Télécharger" in page and "data-office" not in page
