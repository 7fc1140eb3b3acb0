"""How downloads of a link are counted: by several at once, in parts, after a change, and where they cannot be told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from beffroi.drive.store.objects import ObjectMissing, StoreUnavailable
from beffroi.drive.web import granted, linked
from beffroi.drive.web.bodies import SealedBodies, SealedStore
from beffroi.drive.web.linked import Access, Linked, Tell
from beffroi.drive.web.making import Maker
from beffroi.drive.web.messages import Request
from beffroi.lib.errors import BeffroiError, Unavailable
from beffroi.portal import drive_access
from django.conf import settings
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served, everything
from tests.drive_share_pages import only_share
from tests.drive_visitors import Visitor, make
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_bytes import Browser
from tests.integration.test_drive_links import put, server
from tests.waiting import PATIENCE_S

__all__ = ["client", "drive", "no_door", "put", "server"]
pytestmark = pytest.mark.django_db
UNAVAILABLE = b"/partage/?refus=service.unavailable"
SCRIPT = "/django_htmx/htmx"
LARGE = bytes(range(256)) * 16_000
PNG = b"\x89PNG\r\n\x1a\n" + bytes(500)


def at_once(*asks: Callable[[], tuple[int, Any, bytes]]) -> list[tuple[int, bytes]]:
    """(status, body) of each."""
    together = Barrier(len(asks))

    def ask(one: Callable[[], tuple[int, Any, bytes]]) -> tuple[int, bytes]:
        together.wait(PATIENCE_S)
        status, _, body = one()
        return status, body

    with ThreadPoolExecutor(len(asks)) as threads:
        return list(threads.map(ask, asks))


@pytest.mark.parametrize("limit", [1, 3])
def test_of_many_at_once_as_many_get_the_file_as_the_limit_says(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], limit: int
) -> None:
    node = put(drive.own, "x.bin", LARGE)
    path = make(client, node, downloads=str(limit))
    visitors = [Visitor(server, path, f"192.0.2.{number}") for number in range(8)]
    for one in visitors:
        one.page()
    answers = at_once(*(lambda one=one: one.fetch(str(node)) for one in visitors))
    assert [body for status, body in answers if status == 200] == [LARGE] * limit
    assert [status for status, _ in answers if status != 200] == [303] * (8 - limit)
    assert only_share(drive).downloads_left == 0


def test_a_program_that_fetches_parts_at_once_has_the_whole_file_for_one_download(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    node, part = put(drive.own, "x.bin", LARGE), len(LARGE) // 8
    visitor = Visitor(server, make(client, node, downloads="1"))
    visitor.page()
    spans = [f"bytes={number * part}-{(number + 1) * part - 1}" for number in range(1, 8)]
    answers = at_once(*(lambda span=span: visitor.fetch(str(node), Range=span) for span in spans))
    assert b"".join(body for _, body in answers) == LARGE[part:]
    assert only_share(drive).downloads_left == 0
    assert visitor.fetch(str(node), Range=f"bytes=0-{part - 1}")[0] == 404, "from the beginning: a second one"
    stranger = Visitor(server, visitor.path)
    stranger.client.cookies = visitor.client.cookies.copy()
    assert stranger.fetch(str(node), Range=f"bytes={part}-")[0] == 206, "the grant is the visit"


def test_a_part_of_what_was_put_in_its_place_is_another_download(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    node = put(drive.own, "prix.txt", b"0123456789")
    visitor = Visitor(server, make(client, node, downloads="1"))
    visitor.page()
    assert visitor.fetch(str(node))[0] == 200
    assert visitor.fetch(str(node), Range="bytes=1-")[2] == b"123456789"
    other = {"folder": drive.own.id, "name": "prix.txt", "taken": "replace"}
    assert Browser(server, client).send(b"abcdefghij", **other)[1]["node"] == node
    assert visitor.fetch(str(node), Range="bytes=1-")[0] == 404
    assert visitor.fetch(str(node), "HEAD")[0] == 404


@contextmanager
def apart(tell: Tell) -> Iterator[Linked]:
    """In this process."""
    with ThreadPoolExecutor(2) as workers:
        communes = drive_access._communes()
        bodies = SealedStore(settings.BEFFROI, communes, workers, lambda *_: None)
        yield Linked(
            communes, bodies, settings.BEFFROI.secret("drive-grant.key"), tell, Maker(None), everything
        )


def request(drive: Drive, visitor: Visitor, node: int) -> Request:
    async def never() -> MutableMapping[str, Any]:
        raise AssertionError("a GET has no body")

    cookie = visitor.client.cookies[granted.LINK_COOKIE].value
    headers = {b"cookie": f"{granted.LINK_COOKIE}={cookie}".encode()}
    return Request("GET", f"{granted.LINK_PATH}/{only_share(drive).id}/{node}", "", headers, never)


def test_what_cannot_be_told_uses_no_download_up(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    def silent(_: Access) -> None:
        raise Unavailable("The database")

    node = put(drive.own, "x.txt")
    visitor = Visitor(server, make(client, node, downloads="1"))
    visitor.page()
    with apart(silent) as links:
        answer = asyncio.run(links(request(drive, visitor, node)))
    assert dict(answer.headers)[b"location"] == UNAVAILABLE
    assert only_share(drive).downloads_left == 1
    assert visitor.fetch(str(node))[::2] == (200, b"bonjour")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StoreUnavailable("no answer"), "réessayez dans quelques minutes"),
        (ObjectMissing("x"), "ne peut pas être lu pour le moment"),
    ],
)
def test_what_cannot_be_read_uses_no_download_up(
    drive: Drive,
    client: Client,
    server: Served,
    put: Callable[..., int],
    *,
    monkeypatch: pytest.MonkeyPatch,
    error: BeffroiError,
    words: str,
) -> None:
    async def away(*_: object, **__: object) -> AsyncGenerator[bytes]:
        raise error
        yield b""

    body = random.Random(1).randbytes(300_000)
    node = put(drive.own, "x.bin", body)
    visitor = Visitor(server, make(client, node, downloads="1"))
    visitor.page()
    told: list[Access] = []
    with monkeypatch.context() as patch, apart(told.append) as links:
        patch.setattr(SealedBodies, "_read", away)
        answer = asyncio.run(links(request(drive, visitor, node)))
    assert told == [] and only_share(drive).downloads_left == 1
    page = visitor.client.get(dict(answer.headers)[b"location"].decode())
    assert words in page.content.decode()
    assert visitor.fetch(str(node))[::2] == (200, body)


def test_who_fetches_again_and_again_fills_no_audit_log(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One source uses up its own first; also in parts and previews that begin anew with each visit."""
    monkeypatch.setattr(linked, "MOST_TOLD_OF_A_SOURCE", 2)
    monkeypatch.setattr(linked, "MOST_TOLD", 3)
    node, told = put(drive.own, "x.png", PNG), list[Access]()
    path, asked = make(client, node), list[Request]()
    for address in ("192.0.2.7",) * 3 + ("192.0.2.8",) * 2:
        visitor = Visitor(server, path)
        visitor.page()
        asked.append(replace(request(drive, visitor, node), address=address))
    asked[1].path += "/apercu"

    async def use(links: Linked) -> list[int]:
        return [(await links(one)).status for one in asked]

    with apart(told.append) as links:
        assert asyncio.run(use(links)) == [200, 200, 303, 200, 303]
    assert [one.address for one in told] == ["192.0.2.7", "192.0.2.7", "192.0.2.8"]


def test_visitors_of_one_town_hall_hold_no_download_of_another_s(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those who come at once, before the first byte of any of them is sent."""
    monkeypatch.setattr(linked, "MOST_OF_ONE", 2)
    monkeypatch.setattr(linked, "MOST_AT_ONCE", 3)
    node = put(drive.own, "x.bin", LARGE)
    visitor = Visitor(server, make(client, node))
    visitor.page()
    asked = [request(drive, visitor, node) for _ in range(5)]

    async def use(links: Linked) -> None:
        answers = await asyncio.gather(*(links(one) for one in asked))
        assert sorted(one.status for one in answers) == [200, 200, 303, 303, 303]
        assert dict(answers[-1].headers)[b"location"] == UNAVAILABLE
        for one in asked:
            one.end()
        neighbour = request(drive, visitor, node)
        for _ in range(2):
            links._places.take(neighbour, "another")
        again = [await links(request(drive, visitor, node)) for _ in range(2)]
        assert [one.status for one in again] == [200, 303], "all together have a bound, too"
        neighbour.end()
        assert (await links(request(drive, visitor, node))).status == 200

    with apart(lambda _: None) as links:
        asyncio.run(use(links))


def test_the_page_that_is_open_asks_how_many_are_left_and_begins_no_other_visit(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    node = put(drive.own, "x.txt", b"bonjour")
    visitor = Visitor(server, make(client, node, downloads="2"))
    left = f'hx-get="{visitor.path}?part=left"'
    page = visitor.page()
    assert left in page and SCRIPT in page
    grant = visitor.client.cookies[granted.LINK_COOKIE].value

    def asked(path: str = visitor.path) -> tuple[int, str]:
        answer = visitor.client.get(f"{path}?part=left", headers={"HX-Request": "true"})
        assert not answer.cookies and answer["Referrer-Policy"] == "no-referrer"
        assert "no-store" in answer["Cache-Control"]
        return answer.status_code, answer.content.decode()

    assert asked() == (200, "2")
    assert visitor.fetch(str(node), Range="bytes=0-2")[0] == 206
    assert asked() == (200, "1")
    assert visitor.fetch(str(node), Range="bytes=3-6")[2] == b"jour"
    assert asked() == (200, "1") and visitor.client.cookies[granted.LINK_COOKIE].value == grant
    visitor.page()
    assert visitor.fetch(str(node))[0] == 200
    # What is used up and what never was are one.
    assert asked() == asked(visitor.path[:-5] + "xxxx/")
    assert asked()[0] == 200 and asked()[1].startswith("0. Ce lien ne donne plus rien"), "and what to do next"


def test_how_many_are_left_is_said_to_who_knows_the_password_alone(
    drive: Drive, client: Client, server: Served
) -> None:
    visitor = Visitor(server, make(client, drive.file("x.pdf").id, downloads="7", password="un mot de passe"))
    htmx = {"HX-Request": "true"}
    answer = visitor.client.get(f"{visitor.path}?part=left", headers=htmx)
    assert (answer.status_code, answer.content) == (204, b"")
    assert visitor.unlock("un mot de passe") == 302
    assert visitor.client.get(f"{visitor.path}?part=left", headers=htmx).content == b"7"
    # Without a limit nothing is asked, and nothing answered.
    free = Visitor(server, make(client, drive.file("y.pdf").id))
    assert "hx-get" not in free.page() and SCRIPT not in free.page()
    assert free.client.get(f"{free.path}?part=left", headers=htmx).status_code == 204


def test_lists_that_are_open_ask_how_many_are_left_and_get_the_counts_alone(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], *, beaune: Commune, nuits: Commune
) -> None:
    node = put(drive.own, "x.txt", b"bonjour")
    visitor = Visitor(server, make(client, node, downloads="2"))
    share, own, of_node = only_share(drive), "/coffre/liens/", f"/coffre/{node}/liens/"
    make(client, drive.file("y.txt").id)
    make(client, drive.file("z.txt").id, downloads="9")

    def asked(path: str, by: Client = client) -> tuple[int, str]:
        answer = by.get(f"{path}?part=left", headers={"HX-Request": "true"})
        return answer.status_code, answer.content.decode()

    counted = f'<span id="left-{share.id}"'
    for path in (own, of_node):
        shown = client.get(path).content.decode()
        assert 'hx-get="?part=left"' in shown and f"{counted}>encore 2 téléchargements" in shown
    for left in ("encore 1 téléchargement<", "tous les téléchargements sont pris"):
        visitor.page()  # another visit
        assert visitor.fetch(str(node))[0] == 200
        for path, links in ((own, 2), (of_node, 1)):
            status, part = asked(path)
            assert status == 200 and f'{counted} hx-swap-oob="innerHTML">{left}' in part
            assert part.count("<span") == links and ".txt" not in part and "<html" not in part
    assert counted not in client.get(own).content.decode(), "closed: the next page has it no more"

    for membership in (beaune.colleague_membership, nuits.referent_membership):
        stranger = portal_client(membership)
        assert asked(of_node, stranger)[0] == 404
        status, part = asked(own, stranger)
        assert status == 200 and part.strip() == ""


def test_a_list_that_counts_nothing_asks_nothing(drive: Drive, client: Client) -> None:
    node = drive.file("x.pdf").id
    make(client, node)
    for path in ("/coffre/liens/", f"/coffre/{node}/liens/"):
        assert "part=left" not in client.get(path).content.decode()
