"""Links for people without an account: opened by anybody, bytes from the real drive, counted and on record."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from beffroi.drive.store import link_passwords, shares, trash, tree
from beffroi.drive.store.model import Node
from beffroi.drive.web import granted, linked
from beffroi.lib import clock
from beffroi.portal.web import drive_public
from django.test import Client

from tests.conftest import STATE, Commune
from tests.drive_browser import Browser, server
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served
from tests.drive_share_pages import only_share
from tests.drive_visitors import Visitor, make
from tests.fixtures_portal import no_door
from tests.markup import flat
from tests.waiting import PATIENCE_S, until

__all__ = ["client", "drive", "no_door", "server"]
pytestmark = pytest.mark.django_db
CLOSED = "Ce lien n’existe pas ou n’est plus ouvert"
PASSWORD = "un mot de passe"


@pytest.fixture
def put(server: Served, client: Client) -> Callable[..., int]:
    """``put(folder, name, body)``: its number, sent as the page sends it."""

    def send(folder: Node, name: str, body: bytes = b"bonjour") -> int:
        status, made = Browser(server, client).send(body, folder=folder.id, name=name)
        assert status == 201
        return int(made["node"])

    return send


def test_a_file_is_given_to_whoever_holds_its_link(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], beaune: Commune
) -> None:
    node = put(drive.own, "Délibération n° 3.txt", b"le texte")
    visitor = Visitor(server, make(client, node))
    page = visitor.page()
    assert "Délibération n° 3.txt" in page and beaune.collectivite.name in page and "8\u00a0o" in page
    status, headers, body = visitor.fetch(str(node))
    assert (status, body) == (200, b"le texte")
    assert headers["content-disposition"].startswith("attachment;") and headers["cache-control"]
    assert headers["referrer-policy"] == "no-referrer" and "sandbox" in headers["content-security-policy"]


def test_the_page_is_told_to_nobody_and_keeps_no_cookies_but_the_visit_s(
    drive: Drive, client: Client, server: Served
) -> None:
    visitor = Visitor(server, make(client, drive.file("x.pdf").id))
    answer = visitor.client.get(visitor.path)
    assert answer["Referrer-Policy"] == "no-referrer" and "noindex" in answer["X-Robots-Tag"]
    assert "no-store" in answer["Cache-Control"] and "default-src 'none'" in answer["Content-Security-Policy"]
    assert list(answer.cookies) == ["beffroi_partage", granted.LINK_COOKIE]
    assert answer.cookies["beffroi_partage"]["path"] == visitor.path
    cookie = answer.cookies[granted.LINK_COOKIE]
    share = only_share(drive)
    assert cookie["path"] == f"/coffre/lien/{share.id}/"
    assert cookie["httponly"] and cookie["samesite"] == "Strict"
    assert "https://" not in answer.content.decode() and "//" not in answer.content.decode().replace(
        "http://www.w3.org", ""
    )


def test_who_is_signed_in_sees_the_same_page(drive: Drive, client: Client, server: Served) -> None:
    path = make(client, drive.file("x.pdf").id)
    assert "Se déconnecter" not in client.get(path).content.decode()


def test_a_page_without_account_speaks_the_other_language_at_a_press(
    drive: Drive, client: Client, server: Served
) -> None:
    """Also after a wrong password. A page that hides its address sends no origin with a form."""
    path = make(client, drive.file("x.pdf").id, password=PASSWORD)
    for wrong in (False, True):
        visitor = Client(enforce_csrf_checks=True, headers={"Accept-Language": "fr"})
        answer = visitor.post(path, {"password": "autre chose"}) if wrong else visitor.get(path)
        page = flat(answer.content.decode())
        assert f'name="next" value="{path}"' in page and "Mot de passe de ce lien" in page
        chosen = visitor.post("/langue/", {"language": "en", "next": path}, headers={"Origin": "null"})
        assert chosen["Location"] == path
        assert "Password of this link" in visitor.get(path).content.decode()


def test_a_password_is_asked_first_and_opens_page_and_bytes(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    node = put(drive.own, "secret.txt", b"secret")
    visitor = Visitor(server, make(client, node, password=PASSWORD))
    share = only_share(drive)
    assert "secret.txt" not in visitor.page() and granted.LINK_COOKIE not in visitor.client.cookies
    assert visitor.fetch(str(node), share_id=share.id)[0] == 303
    assert visitor.unlock("autre chose") == 403
    assert "secret.txt" not in visitor.page()
    assert visitor.unlock(PASSWORD) == 302
    assert "secret.txt" in visitor.page()
    assert visitor.fetch(str(node))[2] == b"secret"
    assert "secret.txt" not in Visitor(server, visitor.path).page()


def test_the_password_of_one_link_opens_no_other(drive: Drive, client: Client, server: Served) -> None:
    first = Visitor(server, make(client, drive.file("a.txt").id, password=PASSWORD))
    second = make(client, drive.file("b.txt").id, password="un autre mot")
    assert first.unlock(PASSWORD) == 302
    first.path = second
    (grant,) = [one.value for name, one in first.client.cookies.items() if name == "beffroi_partage"]
    first.client.cookies["beffroi_partage"] = grant
    assert "b.txt" not in first.page()


def test_passwords_are_tried_a_few_times_an_hour_by_link_and_network(
    drive: Drive, client: Client, server: Served
) -> None:
    path = make(client, drive.file("x").id, password=PASSWORD)
    other = make(client, drive.file("y").id, password=PASSWORD)
    visitor = Visitor(server, path)
    assert [visitor.unlock("faux") for _ in range(10)] == [403] * 10
    assert visitor.unlock(PASSWORD) == 429
    assert Visitor(server, other).unlock(PASSWORD) == 302
    assert Visitor(server, path, "198.51.100.9").unlock(PASSWORD) == 302


def test_passwords_are_tried_a_limited_number_of_times_by_however_many_networks(
    drive: Drive, client: Client, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever rents a server has 65,536 networks of IPv6. One of them uses up its own tries alone."""
    monkeypatch.setattr(drive_public, "TRIES_OF_ALL", 13)
    path = make(client, drive.file("x").id, password=PASSWORD)
    opened = Visitor(server, path, "2001:db8:ffff::1")
    assert opened.unlock(PASSWORD) == 302
    first, second = (Visitor(server, path, f"2001:db8:0:{one}::1") for one in (1, 2))
    assert [first.unlock("faux") for _ in range(20)] == [403] * 10 + [429] * 10
    assert [second.unlock("faux") for _ in range(4)] == [403] * 3 + [429]
    assert Visitor(server, path, "2001:db8:0:3::1").unlock(PASSWORD) == 429
    assert "Télécharger" in opened.page(), "who was inside stays"


def test_passwords_that_are_tried_at_once_are_as_few(
    drive: Drive, client: Client, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is hashed, the others come in: none is told yet that it was wrong."""
    path, fits = make(client, drive.file("x").id, password=PASSWORD), link_passwords.fits
    answers: list[int] = []

    def meanwhile(kept: str, password: str) -> bool:
        if len(password) < 15:
            answers.append(Visitor(server, path).unlock(password + "x"))
        return fits(kept, password)

    monkeypatch.setattr(link_passwords, "fits", meanwhile)
    answers.append(Visitor(server, path).unlock("x"))
    assert answers.count(403) == 10 and answers.count(429) == 1
    monkeypatch.setattr(link_passwords, "fits", fits)
    assert Visitor(server, path).unlock(PASSWORD) == 429


def test_who_knows_the_password_uses_nobody_s_tries_up(drive: Drive, client: Client, server: Served) -> None:
    path = make(client, drive.file("x").id, password=PASSWORD)
    assert [Visitor(server, path).unlock(PASSWORD) for _ in range(12)] == [302] * 12


def test_two_visits_of_one_second_are_two(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = clock.epoch_s()
    monkeypatch.setattr(clock, "epoch_s", lambda: now_s)
    node = put(drive.own, "x.txt", b"0123456789")
    first = Visitor(server, make(client, node, downloads="2"))
    second = Visitor(server, first.path)
    for one in (first, second):
        one.page()
    assert first.fetch(str(node))[0] == 200
    assert second.fetch(str(node), Range="bytes=1-")[0] == 206
    with drive.database.reading() as reading:
        (found,) = shares.made_by(reading, drive.act.person_id, now_s=now_s)
    assert found.downloads_left == 0


def test_wrong_ended_used_up_and_foreign_links_are_one_answer(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], nuits: Commune
) -> None:
    node, own = put(drive.own, "x.txt"), urlsplit(make(client, drive.file("y").id)).path.split("/")[2]
    used = make(client, node, downloads="1")
    visitor = Visitor(server, used)
    visitor.page()
    assert visitor.fetch(str(node))[0] == 200
    ended = make(client, node, password=PASSWORD)
    with drive.database.reading() as reading:
        token = ended.rstrip("/").rpartition("/")[2]
        share = shares.behind(reading, token, now_s=clock.epoch_s())
    open_ = make(client, node)
    assert client.post(f"/coffre/liens/{share.id}/arreter/").status_code == 302
    pages = {
        (answer.status_code, answer.content.replace(path.encode(), b"asked"))
        for path in (
            used,
            ended,
            open_.replace(own, nuits.id),
            open_.replace(own, "col_" + "0" * 26),
            open_[:-2] + "/",
            f"/partage/{own}/x/",
        )
        for answer in (Client().get(path), Client().post(path, {"password": "x"}))
    }
    assert [status for status, _ in pages] == [404] and CLOSED in pages.pop()[1].decode()


def test_a_collectivite_that_is_not_here_gets_no_drive(client: Client) -> None:
    absent = "col_" + "0" * 26
    assert client.get(f"/partage/{absent}/x/").status_code == 404
    assert not (STATE / "drive" / absent).exists()


def test_a_folder_shows_what_lies_below_it_and_nothing_beside(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    shared, beside = drive.folder("Marché"), drive.folder("À côté")
    inner = drive.folder("Plans", shared)
    inside, outside = put(inner, "plan.pdf", b"plan"), put(beside, "privé.pdf")
    visitor = Visitor(server, make(client, shared.id))
    assert "Plans" in visitor.page() and "À côté" not in visitor.page()
    assert "plan.pdf" in visitor.page(f"?dossier={inner.id}")
    for elsewhere in (beside.id, drive.own.id, inside, 10**17, "x"):
        assert CLOSED in visitor.page(f"?dossier={elsewhere}")
    assert visitor.fetch(str(inside))[2] == b"plan"
    for elsewhere in (str(outside), str(inner.id), str(drive.own.id), "x", ""):
        status, headers, _ = visitor.fetch(elsewhere)
        assert (status, headers["location"]) == (303, "/partage/?refus=drive.link_closed")
    status, headers, body = visitor.fetch("zip", "HEAD")
    assert (status, headers["content-type"], body) == (200, "application/zip", b"")
    assert "content-length" not in headers
    with zipfile.ZipFile(io.BytesIO(visitor.fetch("zip")[2])) as archive:
        assert archive.namelist() == ["Marché/", "Marché/Plans/", "Marché/Plans/plan.pdf"]
        assert archive.read("Marché/Plans/plan.pdf") == b"plan"


def test_a_large_folder_comes_in_pages(drive: Drive, client: Client, server: Served) -> None:
    folder = drive.folder("Beaucoup")
    for number in range(201):
        drive.file(f"{number:04d}.txt", folder)
    visitor = Visitor(server, make(client, folder.id))
    first, second = visitor.page(), visitor.page(f"?dossier={folder.id}&rang=200")
    assert "0199.txt" in first and "0200.txt" not in first and "La suite" in first
    assert "0200.txt" in second and "0000.txt" not in second and "La suite" not in second


def test_what_goes_to_the_trash_is_not_shared_and_what_returns_is(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    node = put(drive.own, "x.txt")
    visitor = Visitor(server, make(client, node))
    visitor.page()
    drive.database.write(lambda writing: tree.delete(writing, drive.act, node))
    assert CLOSED in visitor.page() and visitor.fetch(str(node))[0] == 303
    drive.database.write(lambda writing: trash.restore(writing, drive.act, drive.own.id, node))
    assert visitor.fetch(str(node))[0] == 200


# -- counting --------------------------------------------------------------------------------------------------


def test_downloads_are_counted_once_a_visit_also_where_they_go_on(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    node = put(drive.own, "x.txt", b"0123456789")
    visitor = Visitor(server, make(client, node, downloads="2"))
    visitor.page()

    def left() -> int:
        return only_share(drive).downloads_left

    status, headers, body = visitor.fetch(str(node), "HEAD")
    assert (status, headers["content-length"], body, left()) == (200, "10", b"", 2)
    assert visitor.fetch(str(node), Range="bytes=99-")[0] == 416 and left() == 2
    assert visitor.fetch(str(node), Range="bytes=5-")[2] == b"56789" and left() == 1
    assert visitor.fetch(str(node), Range="bytes=7-", If_Range=headers["etag"])[2] == b"789" and left() == 1
    assert visitor.fetch(str(node))[2] == b"0123456789" and left() == 0
    assert visitor.fetch(str(node), Range="bytes=9-")[::2] == (206, b"9")  # the last one goes on
    assert visitor.fetch(str(node), "HEAD")[0] == 200
    assert visitor.fetch(str(node))[0] == 303 and visitor.fetch(str(node), Range="bytes=0-")[0] == 404
    assert visitor.fetch(str(node), Range="bytes=7-", If_Range='"else"')[0] == 404  # all of it, for nothing
    assert CLOSED in visitor.page()


@pytest.mark.parametrize("password", ["", PASSWORD])
def test_who_looks_at_the_page_between_goes_on_with_what_was_begun(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], password: str
) -> None:
    """Two large files of a folder, the page opened again for the second, then a cut: a browser goes on with both."""
    folder = drive.folder("Plans")
    first, second = put(folder, "a.tif", b"0123456789"), put(folder, "b.tif", b"abcdefghij")
    visitor = Visitor(server, make(client, folder.id, downloads="2", password=password))
    if password:
        assert visitor.unlock(password) == 302
    for node in (first, second):
        visitor.page(f"?fichier={node}")
        assert visitor.fetch(str(node))[0] == 200
    assert visitor.fetch(str(first), Range="bytes=4-")[::2] == (206, b"456789")
    assert visitor.fetch(str(second), Range="bytes=4-")[::2] == (206, b"efghij")
    other = Visitor(server, visitor.path)
    assert CLOSED in other.page()


def test_a_link_that_ends_stops_the_visits_under_way(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    node = put(drive.own, "x.txt")
    visitor = Visitor(server, make(client, node))
    visitor.page()
    assert visitor.fetch(str(node))[0] == 200
    client.post(f"/coffre/liens/{only_share(drive).id}/arreter/")
    assert visitor.fetch(str(node))[0] == 303 and visitor.fetch(str(node), Range="bytes=2-")[0] == 404


def test_the_grant_of_one_link_opens_no_other_and_no_page_of_the_coffre(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    node = put(drive.own, "x.txt")
    visitor = Visitor(server, make(client, node))
    visitor.page()
    first = only_share(drive)
    make(client, node)
    with drive.database.reading() as reading:
        both = shares.made_by(reading, drive.act.person_id, now_s=clock.epoch_s())
    (other,) = (one.id for one in both if one.id != first.id)
    assert visitor.fetch(str(node), share_id=other)[0] == 303
    at = Browser(server, client)
    at.cookies = dict.fromkeys(at.cookies, visitor.client.cookies[granted.LINK_COOKIE].value)
    assert at.ask("GET", f"/coffre/octets/{node}/apercu")[0] == 403
    assert at.send(b"x", folder=drive.own.id, name="y")[0] == 403


def test_a_drive_that_cannot_tell_gives_nothing(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    node = put(drive.own, "x.txt")
    visitor = Visitor(server, make(client, node))
    visitor.page()
    told = STATE / "told-links"
    told.unlink(missing_ok=True)
    told.mkdir()
    try:
        status, _, body = visitor.fetch(str(node))
        assert status == 503 and b"bonjour" not in body
    finally:
        told.rmdir()


def test_who_takes_slowly_leaves_room_to_others_of_the_same_town_hall(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    folder = drive.folder("Plans")
    node = put(folder, "0.txt")
    for number in range(1, 8):  # more than lies between the two
        put(folder, f"{number}.bin", random.Random(number).randbytes(4 << 20))
    path = make(client, folder.id)
    slow, other = Visitor(server, path, "2001:db8::1"), Visitor(server, path)
    slow.page()
    other.page()
    cookie = slow.client.cookies[granted.LINK_COOKIE]
    headers = {"Cookie": f"{granted.LINK_COOKIE}={cookie.value}", "X-Forwarded-For": "2001:db8::2"}
    with ExitStack() as held:
        for _ in range(linked.MOST_OF_A_VISITOR):
            line = held.enter_context(closing(HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)))
            line.request("GET", f"{cookie['path']}zip", headers=headers)
            held.enter_context(line.getresponse())
        status, told, _ = slow.fetch(str(node))
        assert (status, told["location"]) == (303, "/partage/?refus=service.unavailable")
        assert other.fetch(str(node))[0] == 200
    until(lambda: slow.fetch(str(node))[0] == 200, "who left gave their places back")
