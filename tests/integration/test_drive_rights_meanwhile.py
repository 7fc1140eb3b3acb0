"""Rights that end while a body is on its way by a page of the portal: asked again at its end, nothing is written.

The real application in this process, over the centre's real database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from urllib.parse import quote

import pytest
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.core.planes.db import connect
from beffroi.drive.standing import Standing
from beffroi.drive.store import shares
from beffroi.drive.store.model import Node
from beffroi.drive.web import granted, messages
from beffroi.drive.web.app import Drive as App
from beffroi.lib import clock
from django.test import Client

from tests import drive_dropping, drive_under_way
from tests.conftest import STATE, Commune
from tests.drive_dropping import PDF
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Listed, application
from tests.drive_share_pages import make, only_share, there
from tests.fixtures_portal import no_door, portal_client

__all__ = ["client", "drive", "no_door", "there"]
pytestmark = pytest.mark.django_db
UPLOAD = "cd" * 20
SENT = "/coffre/envoi/"
type Meanwhile = Callable[[], object]


@pytest.fixture
def app(committed: str, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """Every body is long here."""
    monkeypatch.setattr(messages, "AGAIN_S", 0.0)
    with application(STATE, Listed(), Standing(partial(connect, committed))) as found:
        yield found


def ask(
    app: App,
    browser: Client,
    way: tuple[str, str],
    body: bytes = b"",
    *,
    meanwhile: Meanwhile = lambda: None,
    **headers: str,
) -> tuple[int, str, str]:
    """(status, code, where it leads). ``way``: method and address; ``meanwhile``: while the body comes."""
    if granted.COOKIES[granted.IN_PATH] not in browser.cookies:
        browser.get("/coffre/")
    cookie = browser.cookies[granted.COOKIES[granted.IN_PATH]]
    named = {"cookie": f"{cookie.key}={cookie.value}", "host": "localhost", "origin": "http://localhost"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    said = drive_under_way.ask(app, *way, named, body, meanwhile=meanwhile)
    code = json.loads(said.body).get("code", "") if said.body.startswith(b"{") else ""
    return said.status, code, said.headers.get("location", "")


def about(folder: Node, size_bytes: int) -> str:
    told = {"folder": folder.id, "name": "a.bin", "size_bytes": size_bytes, "taken": "both"}
    return quote(json.dumps(told))


def a_file(app: App, browser: Client, folder: Node, meanwhile: Meanwhile) -> tuple[int, str, str]:
    return ask(
        app,
        browser,
        ("POST", f"{SENT}fichier"),
        b"abcdef",
        meanwhile=meanwhile,
        x_beffroi_file=about(folder, 6),
    )


def a_form(app: App, browser: Client, folder: Node, meanwhile: Meanwhile) -> tuple[int, str, str]:
    body = (
        f'--xYz\r\nContent-Disposition: form-data; name="dossier"\r\n\r\n{folder.id}\r\n--xYz\r\n'
        'Content-Disposition: form-data; name="fichier"; filename="a.bin"\r\n\r\nabcdef\r\n--xYz--\r\n'
    )
    kind = "multipart/form-data; boundary=xYz"
    return ask(
        app, browser, ("POST", f"{SENT}formulaire"), body.encode(), meanwhile=meanwhile, content_type=kind
    )


def a_part(app: App, browser: Client, folder: Node, meanwhile: Meanwhile) -> tuple[int, str, str]:
    begun = ask(app, browser, ("POST", f"{SENT}{UPLOAD}"), x_beffroi_file=about(folder, 6))
    assert begun[0] == 200
    found = ask(app, browser, ("PUT", f"{SENT}{UPLOAD}/1"), b"abcdef", meanwhile=meanwhile)
    ask(app, browser, ("DELETE", f"{SENT}{UPLOAD}"))
    return found


def leaves(one: Membership) -> None:
    actions.end_access(actor=Actor.system("tests"), membership=one)


def only_reads(one: Membership) -> None:
    Membership.objects.filter(pk=one.pk).update(role="elu")


def is_closed(one: Membership) -> None:
    Person.objects.filter(pk=one.person_id).update(is_active=False)


REFUSED = "/coffre/?refus=live.grant_refused"
WAYS: Mapping[str, tuple[Callable[..., tuple[int, str, str]], int, tuple[int, str]]] = {
    "file": (a_file, 201, (403, "live.grant_refused")),
    "part": (a_part, 204, (403, "live.grant_refused")),
    "form": (a_form, 303, (303, "")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lose", [leaves, only_reads, is_closed])
def test_who_may_not_write_any_more_ends_no_body_that_was_under_way(
    app: App,
    drive: Drive,
    client: Client,
    beaune: Commune,
    *,
    lose: Callable[[Membership], None],
    way: str,
) -> None:
    send, taken, refused = WAYS[way]
    before = send(app, client, drive.common, lambda: None)
    assert before[0] == taken and "refus" not in before[2]
    kept = drive.names(drive.common)
    found = send(app, client, drive.common, lambda: lose(beaune.agent_membership))
    if way == "form":
        assert (found[0], found[2].partition("?")[2]) == (303, REFUSED.partition("?")[2])
    else:
        assert found[:2] == refused
    assert drive.names(drive.common) == kept


def test_a_colleague_who_leaves_ends_nobody_else_s_body(
    app: App, drive: Drive, client: Client, beaune: Commune
) -> None:
    assert a_file(app, client, drive.own, lambda: leaves(beaune.colleague_membership))[0] == 201


def test_parts_that_came_before_are_joined_for_nobody_who_left(
    app: App, drive: Drive, client: Client, beaune: Commune
) -> None:
    """The grant still lets them in; what was read back for long is kept for nobody."""
    sent = about(drive.own, 6)
    assert ask(app, client, ("POST", f"{SENT}{UPLOAD}"), x_beffroi_file=sent)[0] == 200
    assert ask(app, client, ("PUT", f"{SENT}{UPLOAD}/1"), b"abcdef")[0] == 204
    leaves(beaune.agent_membership)
    found = ask(app, client, ("POST", f"{SENT}{UPLOAD}/fin"), x_beffroi_file=sent)
    assert found[:2] == (403, "live.grant_refused") and drive.names() == []


@pytest.mark.parametrize("is_own", [True, False])
def test_nobody_hands_in_to_an_own_folder_of_who_left_by_a_page_that_was_open(
    app: App, drive: Drive, client: Client, beaune: Commune, *, is_own: bool
) -> None:
    folder = drive.folder("Pièces", drive.own if is_own else drive.common)
    page = Client()
    page.get(drive_dropping.make(client, folder))
    cookie = page.cookies[granted.DROP_COOKIE]
    told = drive_dropping.packed({"name": "a.pdf", "size_bytes": len(PDF), "sender": "Me Durand"})
    headers = {"cookie": f"{cookie.key}={cookie.value}", granted.FILE_HEADER.decode(): told}

    def hand() -> int:
        return drive_under_way.ask(app, "PUT", f"{cookie['path']}fichier", headers, PDF).status

    assert hand() == 201
    leaves(beaune.agent_membership)
    assert hand() == (404 if is_own else 201)
    assert len(drive.names(folder)) == (1 if is_own else 2)


def test_another_commune_s_share_that_ended_or_was_given_up_meanwhile_takes_nothing(
    app: App, drive: Drive, client: Client, there: Client, nuits: Commune
) -> None:
    folder = drive.folder("Piste")

    def offered() -> str:
        make(client, folder.id, f"collectivite:{nuits.id}", "write")
        share = only_share(drive)
        there.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "accept"})
        return share.id

    def by_the_owner(share: str) -> None:
        drive.database.write(lambda writing: shares.end(writing, share, now_s=clock.epoch_s()))

    def by_the_receiver(share: str) -> None:
        answer = {"partage": share, "what": "refuse"}
        assert there.post("/coffre/partages-avec-moi/", answer).status_code == 302

    agent = portal_client(nuits.agent_membership)
    for number, end in enumerate((by_the_receiver, by_the_owner)):
        share = offered()
        address = f"{SENT}chez/{share}/fichier"

        def send(meanwhile: Meanwhile, address: str = address) -> tuple[int, str, str]:
            way, file = ("POST", address), about(folder, 6)
            return ask(app, agent, way, b"abcdef", meanwhile=meanwhile, x_beffroi_file=file)

        assert send(lambda: None)[0] == 201
        assert send(lambda end=end, share=share: end(share))[:2] == (404, "drive.absent")
        assert len(drive.names(folder)) == number + 1
        if end is by_the_receiver:
            by_the_owner(share)
