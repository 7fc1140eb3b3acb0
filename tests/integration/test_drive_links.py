"""Links for people without an account: made and ended in the portal, opened by anybody, bytes from the real drive."""

from __future__ import annotations

import http.client
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

import pytest
from beffroi.core.audit.actions import personal_of
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.registry import Event
from beffroi.core.identity.actor import Actor
from beffroi.drive import consumers
from beffroi.drive.store import shares, trash, tree
from beffroi.drive.store.model import Changed, Node
from beffroi.drive.store.shares import Share
from beffroi.drive.web import granted
from beffroi.lib import clock
from django.test import Client

from tests.conftest import STATE, Commune, make_member
from tests.drive_server import Served, served
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_bytes import Browser
from tests.integration.test_drive_pages import Drive, client, drive

__all__ = ["client", "drive", "no_door"]
pytestmark = pytest.mark.django_db
CLOSED = "Ce lien n’existe pas ou n’est plus ouvert"
PASSWORD = "un mot de passe"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(STATE) as one:
        yield one


@pytest.fixture
def put(server: Served, client: Client) -> Callable[..., int]:
    """``put(folder, name, body)``: its number, sent as the page sends it."""

    def send(folder: Node, name: str, body: bytes = b"bonjour") -> int:
        status, made = Browser(server, client).send(body, folder=folder.id, name=name)
        assert status == 201
        return int(made["node"])

    return send


class Visitor:
    """A browser of somebody without an account. ``path``: of the link's page."""

    def __init__(self, server: Served, path: str, address: str = "192.0.2.7") -> None:
        self.server, self.path, self.address = server, path, address
        self.client = Client()

    def page(self, query: str = "") -> str:
        answer = self.client.get(self.path + query, REMOTE_ADDR=self.address)
        assert answer.status_code in (200, 404), answer.status_code
        return answer.content.decode()

    def unlock(self, password: str) -> int:
        data = {"password": password}
        return self.client.post(self.path, data, HTTP_X_FORWARDED_FOR=self.address).status_code

    def fetch(
        self, what: str, method: str = "GET", share_id: str = "", **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """``what``: a node's number, or zip; with the cookies of this browser."""
        cookie = self.client.cookies.get(granted.LINK_COOKIE)
        at = cookie["path"] if cookie else f"{granted.LINK_PATH}/{share_id}/"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["X-Forwarded-For"] = self.address
        if cookie:
            named["Cookie"] = f"{granted.LINK_COOKIE}={cookie.value}"
        line = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            line.request(method, (f"{granted.LINK_PATH}/{share_id}/" if share_id else at) + what, None, named)
            answer = line.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            line.close()


def make(client: Client, node_id: int, **form: str) -> str:
    """The path of a new link's page."""
    answer = client.post(f"/coffre/{node_id}/liens/", {"days": "30", **form})
    assert answer.status_code == 200
    found = re.search(r'id="address" readonly value="([^"]+)"', answer.content.decode())
    assert found is not None
    return urlsplit(found[1]).path


def only_share(drive: Drive) -> Share:
    with drive.database.reading() as reading:
        (found,) = shares.made_by(reading, drive.act.person_id, now_s=clock.epoch_s())
    return found


def verbs() -> list[str]:
    rows = AuditEntry.objects.filter(verb__startswith="drive:link:").order_by("id")
    return [one.verb.removeprefix("drive:link:") for one in rows]


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


def test_the_page_is_told_to_nobody_and_keeps_no_cookie_but_the_grant(
    drive: Drive, client: Client, server: Served
) -> None:
    visitor = Visitor(server, make(client, drive.file("x.pdf").id))
    answer = visitor.client.get(visitor.path)
    assert answer["Referrer-Policy"] == "no-referrer" and "noindex" in answer["X-Robots-Tag"]
    assert "no-store" in answer["Cache-Control"] and "default-src 'none'" in answer["Content-Security-Policy"]
    assert list(answer.cookies) == [granted.LINK_COOKIE]
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
        (answer.status_code, answer.content)
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
    told = STATE / "told"
    told.unlink(missing_ok=True)
    told.mkdir()
    try:
        status, _, body = visitor.fetch(str(node))
        assert status == 503 and b"bonjour" not in body
    finally:
        told.rmdir()


# -- on record -------------------------------------------------------------------------------------------------


def test_each_download_is_told_and_written_to_the_audit_log(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], beaune: Commune
) -> None:
    (STATE / "told").unlink(missing_ok=True)
    node = put(drive.own, "x.txt", b"0123456789")
    visitor = Visitor(server, make(client, node))
    visitor.page()
    visitor.fetch(str(node))
    visitor.fetch(str(node), Range="bytes=5-")
    visitor.fetch(str(node), "HEAD")
    (told,) = [json.loads(line) for line in (STATE / "told").read_text().splitlines()]
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


def test_making_and_ending_are_on_record(drive: Drive, client: Client) -> None:
    make(client, drive.file("x").id, downloads="3", password=PASSWORD)
    share = only_share(drive)
    entry = AuditEntry.objects.get(verb="drive:link:made", object_id=share.id)
    assert PASSWORD not in entry.details and json.loads(entry.details)["downloads"] == 3
    for _ in range(2):
        client.post(f"/coffre/liens/{share.id}/arreter/")
    assert verbs() == ["made", "ended"]
    kinds = (
        OutboxEvent.objects.filter(kind__startswith="drive:link")
        .order_by("id")
        .values_list("kind", flat=True)
    )
    assert list(kinds) == ["drive:link_made", "drive:link_ended"]


def test_a_link_is_on_record_before_it_is_open(
    drive: Drive, beaune: Commune, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = drive.file("x")

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(shares, "make", dies)
    with pytest.raises(RuntimeError):
        client.post(f"/coffre/{node.id}/liens/", {"days": "7"})
    assert verbs() == ["made"]
    with drive.database.reading() as reading:
        assert shares.of_node(reading, node.id, now_s=clock.epoch_s()) == []


def test_a_link_that_could_not_be_made_is_on_record_as_such(
    drive: Drive, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise Changed("file")

    monkeypatch.setattr(shares, "make", refuses)
    client.post(f"/coffre/{drive.file('x').id}/liens/", {"days": "7"})
    assert verbs() == ["made", "failed"]


# -- who may ---------------------------------------------------------------------------------------------------


def test_roots_are_not_shared(drive: Drive, client: Client) -> None:
    for root in (drive.own, drive.common):
        assert client.post(f"/coffre/{root.id}/liens/", {"days": "7"}).status_code == 404
        assert "Partager ce dossier par un lien" not in client.get(f"/coffre/{root.id}/").content.decode()


def test_an_elu_reads_the_folder_of_the_commune_and_gives_no_links_to_it(
    drive: Drive, client: Client, system: Actor, beaune: Commune
) -> None:
    node = drive.file("x.pdf", drive.common)
    elu = portal_client(make_member(system, beaune.collectivite, "elu@beaune.test", "elu"))
    assert "Partager par un lien" not in elu.get(f"/coffre/{node.id}/").content.decode()
    assert elu.post(f"/coffre/{node.id}/liens/", {"days": "7"}).status_code == 403
    make(client, node.id)
    share = only_share(drive)
    assert elu.post(f"/coffre/liens/{share.id}/arreter/").status_code == 404
    assert only_share(drive).ended_s == shares.NEVER


def test_a_colleague_ends_links_of_the_commune_and_none_of_a_persons_own(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    colleague = portal_client(beaune.colleague_membership)
    make(client, drive.file("mien.pdf").id)
    own = only_share(drive)
    for method in (colleague.get, colleague.post):
        assert method(f"/coffre/liens/{own.id}/arreter/").status_code == 404
    assert only_share(drive).ended_s == shares.NEVER
    client.post(f"/coffre/liens/{own.id}/arreter/")
    common = drive.file("commun.pdf", drive.common)
    make(client, common.id)
    page = colleague.get(f"/coffre/{common.id}/liens/").content.decode()
    assert "créé par" in page
    assert "commun.pdf" not in colleague.get("/coffre/liens/").content.decode()
    assert "commun.pdf" in client.get("/coffre/liens/").content.decode()
    assert colleague.post(f"/coffre/liens/{only_share(drive).id}/arreter/").status_code == 302
    assert "commun.pdf" not in client.get("/coffre/liens/").content.decode()


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"days": "8"}, "id_days_error"),
        ({"days": ""}, "id_days_error"),
        ({"password": "court"}, "id_password_error"),
        ({"password": "x" * 201}, "id_password_error"),
        ({"downloads": "0"}, "id_downloads_error"),
        ({"downloads": "-1"}, "id_downloads_error"),
        ({"downloads": "10001"}, "id_downloads_error"),
        ({"downloads": "²"}, "id_downloads_error"),
    ],
)
def test_a_form_with_an_error_says_where(
    drive: Drive, client: Client, form: dict[str, str], field: str
) -> None:
    node = drive.file("x")
    answer = client.post(f"/coffre/{node.id}/liens/", {"days": "30", **form})
    assert answer.status_code == 400 and field in answer.content.decode()
    assert verbs() == []


def test_the_address_is_shown_once(drive: Drive, client: Client) -> None:
    node = drive.file("x")
    token = make(client, node.id).rstrip("/").rpartition("/")[2]
    for page in (f"/coffre/{node.id}/liens/", "/coffre/liens/", f"/coffre/{node.id}/"):
        assert token not in client.get(page).content.decode()
