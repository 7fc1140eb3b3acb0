"""Bytes between a browser and the drive's process under the portal's grant: sent, resumed, fetched, refused.

The real process on loopback over the metadata that the portal's pages open.
"""

from __future__ import annotations

import http.client
import json
import unicodedata
from typing import Any

import pytest
from beffroi.core.planes.tokens import make_grant
from beffroi.drive.store import look, tree
from beffroi.drive.views import SHARED_NAME
from beffroi.drive.web import granted
from beffroi.lib import clock
from beffroi.lib.config import Config
from django.test import Client

from tests.conftest import Commune
from tests.drive_browser import Browser, at, server
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served
from tests.fixtures_drive import noise
from tests.fixtures_portal import no_door, portal_client
from tests.waiting import PATIENCE_S

__all__ = ["at", "client", "drive", "no_door", "server"]
pytestmark = pytest.mark.django_db
UPLOAD = "ab" * 20
PART = 5 * 1024 * 1024


def test_the_grant_is_for_scripts_of_nobody_and_for_its_paths_alone(at: Browser) -> None:
    for path, cookie in at.attributes.items():
        assert cookie["path"] == path and cookie["httponly"] and cookie["samesite"] == "Strict"
    swapped = Browser.__new__(Browser)
    swapped.server = at.server
    out, into = granted.OUT_PATH, granted.IN_PATH
    swapped.cookies = {out: at.cookies[into], into: at.cookies[out]}
    assert swapped.ask("GET", "/coffre/octets/1/apercu")[0] == 403
    assert swapped.send(b"x", folder=1, name="x")[0] == 403


def test_a_small_file_arrives_and_is_given_back(drive: Drive, at: Browser) -> None:
    status, made = at.send(
        "é".encode() * 500, folder=drive.own.id, name="Délibération n° 3.txt", mtime_s=1_700_000_000
    )
    assert status == 201 and drive.names() == ["Délibération n° 3.txt"]
    status, headers, body = at.ask("GET", f"/coffre/octets/{made['node']}")
    assert (status, body) == (200, "é".encode() * 500)
    assert headers["content-disposition"] == (
        "attachment; filename*=UTF-8''D%C3%A9lib%C3%A9ration%20n%C2%B0%203.txt"
    )
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff" and "sandbox" in headers["content-security-policy"]
    status, headers, body = at.ask("GET", f"/coffre/octets/{made['node']}", Range="bytes=2-5")
    assert (status, body, headers["content-range"]) == (206, "éé".encode(), "bytes 2-5/1000")
    assert at.ask("GET", f"/coffre/octets/{made['node']}", Range="bytes=1000-")[0] == 416


def test_a_download_has_its_name_in_the_order_of_its_letters(drive: Drive, at: Browser) -> None:
    made = at.send(b"MZ", folder=drive.own.id, name="facture\u202efdp.exe")[1]
    assert drive.names() == ["facture\u202efdp.exe"]
    headers = at.ask("GET", f"/coffre/octets/{made['node']}")[1]
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''facture%EF%BF%BDfdp.exe"


def test_what_a_decision_holds_is_held_from_every_method(drive: Drive, at: Browser, server: Served) -> None:
    made = at.send(b"held", folder=drive.own.id, name="held.bin")[1]["node"]
    (one,) = drive.children(drive.own.id)
    held = server.directory / "refused"
    held.write_text(one.sha256)
    try:
        for method in ("GET", "HEAD"):
            assert at.ask(method, f"/coffre/octets/{made}")[0] == 403, method
    finally:
        held.unlink()
    assert at.ask("HEAD", f"/coffre/octets/{made}")[0] == 200


def test_folders_of_a_path_are_made_once(drive: Drive, at: Browser) -> None:
    for name in ("a.txt", "b.txt"):
        assert at.send(b"x", folder=drive.own.id, path=["Photos", "Été"], name=name)[0] == 201
    (photos,) = drive.children(drive.own.id)
    (summer,) = drive.children(photos.id)
    assert [one.name for one in sorted(drive.children(summer.id))] == ["a.txt", "b.txt"]


def test_an_empty_folder_is_made_once_in_whatever_capitals_and_nowhere_else(
    drive: Drive, at: Browser, nuits: Commune
) -> None:
    def make(name: str, *path: str, folder: int = drive.own.id, **more: Any) -> tuple[int, Any]:
        sent = {"folder": folder, "path": path, "name": name, "size_bytes": 0, **more}
        status, _, body = at.ask("POST", "/coffre/envoi/dossier", sent=sent)
        return status, json.loads(body)

    status, made = make("2026", "Marchés")
    assert (status, make("2026", "marchés")) == (201, (201, made))
    assert at.send(b"x", folder=drive.own.id, path=["MARCHÉS"], name="a.txt")[0] == 201
    assert drive.names() == ["Marchés"]
    (folder,) = drive.children()
    assert drive.names(folder) == ["2026", "a.txt"]
    for refused in (make("b", "Marchés", "a.txt"), make("A.txt", "Marchés")):
        assert refused == (409, {"code": "drive.kind_differs"})
    assert make("Commune") == (409, {"code": "drive.name_taken"})
    assert make("x", folder=10**9)[0] == 404
    assert make("x", collectivite=nuits.collectivite.id) == (409, {"code": "drive.other_collectivite"})
    assert make("x/y") == (400, {"code": "drive.name_refused"})
    assert drive.names(folder) == ["2026", "a.txt"] and drive.names() == ["Marchés"]


def test_a_taken_name_is_asked_about_replaced_or_kept_beside(
    drive: Drive, at: Browser, client: Client
) -> None:
    first = at.send(b"one", folder=drive.own.id, name="Plan.txt")[1]["node"]
    assert at.send(b"two", folder=drive.own.id, name="plan.TXT") == (409, {"code": "drive.name_taken"})
    assert at.send(b"two", folder=drive.own.id, name="plan.TXT", taken="both")[0] == 201
    assert drive.names() == ["Plan.txt", "plan (2).TXT"]
    assert at.send(b"three", folder=drive.own.id, name="plan.txt", taken="replace")[1]["node"] == first
    assert at.ask("GET", f"/coffre/octets/{first}")[2] == b"three"
    page = client.get(f"/coffre/{first}/").content.decode()
    (etag,) = [
        part.partition('"')[0] for part in page.split(f"/coffre/octets/{first}/")[1:] if part[0].isdigit()
    ]
    assert at.ask("GET", f"/coffre/octets/{first}/{etag}")[2] == b"one"
    folder = drive.folder("Dossier")
    assert (
        at.send(b"x", folder=drive.own.id, name="dossier", taken="replace")[1]["code"] == "drive.name_taken"
    )
    assert drive.names(folder) == []


def test_what_says_nothing_of_a_file_is_refused(at: Browser) -> None:
    for told in ("", "{", "%FF", "%7B%22name%22%3A%22%FF%22%7D"):
        status, _, answer = at.ask("POST", "/coffre/envoi/fichier", b"x", X_Beffroi_File=told)
        assert (status, json.loads(answer)["code"]) == (400, "input.invalid"), told


def test_a_large_file_goes_on_after_a_cut(drive: Drive, at: Browser) -> None:
    body = noise(2 * PART + 70_000)
    sent = {"folder": drive.own.id, "name": "film.mp4", "size_bytes": len(body)}
    address = f"/coffre/envoi/{UPLOAD}"
    assert json.loads(at.ask("POST", address, sent=sent)[2]) == {"part_bytes": PART, "parts": []}
    assert at.ask("PUT", f"{address}/1", body[:PART])[0] == 204
    # The cut: a part that ends too early is none.
    line = http.client.HTTPConnection("127.0.0.1", at.server.port, timeout=PATIENCE_S)
    line.putrequest("PUT", f"{address}/2")
    line.putheader("Cookie", f"{granted.COOKIES[granted.IN_PATH]}={at.cookies[granted.IN_PATH]}")
    line.putheader("Content-Length", str(PART))
    line.endheaders(body[PART : PART + 1000])
    line.close()
    assert json.loads(at.ask("GET", address)[2])["parts"] == [[1, PART]]
    assert at.ask("POST", f"{address}/fin", sent=sent)[0] == 400  # not whole yet
    for number in (3, 2):
        assert at.ask("PUT", f"{address}/{number}", body[PART * (number - 1) : PART * number])[0] == 204
    assert json.loads(at.ask("POST", address, sent=sent)[2])["parts"] == [[1, PART], [2, PART], [3, 70_000]]
    status, _, made = at.ask("POST", f"{address}/fin", sent=sent)
    assert status == 201
    assert at.ask("GET", f"/coffre/octets/{json.loads(made)['node']}")[2] == body
    assert at.ask("GET", address)[0] == 404


def test_an_upload_is_given_up_and_nobody_elses(
    drive: Drive, at: Browser, server: Served, beaune: Commune, nuits: Commune
) -> None:
    sent = {"folder": drive.own.id, "name": "a.bin", "size_bytes": 3}
    address = f"/coffre/envoi/{UPLOAD}"
    at.ask("POST", address, sent=sent)
    for stranger in (beaune.colleague_membership, nuits.agent_membership):
        other = Browser(server, portal_client(stranger))
        assert other.ask("GET", address)[0] == 404
        assert other.ask("PUT", f"{address}/1", b"abc")[0] == 404
        assert other.ask("DELETE", address)[0] == 404
    assert at.ask("DELETE", address)[0] == 204 and at.ask("GET", address)[0] == 404


@pytest.mark.parametrize("mtime_s", [0, -1, 10**11, 10**17, 10**30])
def test_a_time_that_no_calendar_has_breaks_no_list(
    drive: Drive, at: Browser, client: Client, mtime_s: int
) -> None:
    before_s = clock.epoch_s()
    status, made = at.send(b"x", folder=drive.own.id, name="x", mtime_s=mtime_s)
    assert status == 201
    assert client.get("/coffre/").status_code == 200
    assert client.get(f"/coffre/{made['node']}/").status_code == 200
    with drive.database.reading() as reading:
        kept = look.node(reading, made["node"])
    assert kept is not None and before_s <= kept.mtime_s <= clock.epoch_s()


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\nx", "image/png"),
        (
            "a.png",
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            "text/plain; charset=utf-8",
        ),
        ("a.txt", b"<script>alert(1)</script>", "text/plain; charset=utf-8"),
        ("a.jpg", b"\xff\xd8\xffx", "image/jpeg"),
        ("a.webp", b"RIFF\0\0\0\0WEBPx", "image/webp"),
        ("a.csv", "Élus;1".encode("cp1252"), "text/plain; charset=utf-8"),
    ],
)
def test_a_preview_is_never_taken_for_a_page(
    drive: Drive, at: Browser, name: str, body: bytes, kind: str
) -> None:
    made = at.send(body, folder=drive.own.id, name=name)[1]["node"]
    status, headers, given = at.ask("GET", f"/coffre/octets/{made}/apercu")
    assert (status, headers["content-type"]) == (200, kind)
    assert headers["content-security-policy"].startswith("sandbox;")
    assert headers["x-content-type-options"] == "nosniff"
    assert given == (body if kind.startswith("image/") or body.isascii() else "Élus;1".encode())


def test_a_long_text_is_cut_at_a_whole_sign(drive: Drive, at: Browser) -> None:
    made = at.send(b"x" + "é".encode() * 150_000, folder=drive.own.id, name="long.txt")[1]["node"]
    given = at.ask("GET", f"/coffre/octets/{made}/apercu")[2]
    assert given == b"x" + "é".encode() * 99_999


def test_a_form_without_a_script_brings_one_file(drive: Drive, at: Browser, nuits: Commune) -> None:
    origin = f"http://127.0.0.1:{at.server.port}"

    def post(
        name: str, body: bytes, origin: str = origin, ending: bytes = b"\r\n--xYz--\r\n", of: str = ""
    ) -> tuple[int, str]:
        form = (
            b'--xYz\r\nContent-Disposition: form-data; name="collectivite"\r\n\r\n%s\r\n' % of.encode()
            + b'--xYz\r\nContent-Disposition: form-data; name="dossier"\r\n\r\n%d\r\n--xYz\r\n' % drive.own.id
            + f'Content-Disposition: form-data; name="fichier"; filename="{name}"\r\n'.encode()
            + b"Content-Type: application/octet-stream\r\n\r\n"
            + body
            + ending
        )
        kind = "multipart/form-data; boundary=xYz"
        status, headers, _ = at.ask(
            "POST", "/coffre/envoi/formulaire", form, Content_Type=kind, Origin=origin
        )
        return status, headers.get("location", "")

    body = noise(300_000) + b"\r\n--xY\r\n--x"
    assert post("Écoles.pdf", body, of=drive.collectivite_id) == (303, f"/coffre/{drive.own.id}/?recu=1")
    assert post("Écoles.pdf", b"") == (303, f"/coffre/{drive.own.id}/?recu=1")
    assert drive.names() == ["Écoles (2).pdf", "Écoles.pdf"]
    (one,) = [child for child in drive.children(drive.own.id) if child.size_bytes]
    assert at.ask("GET", f"/coffre/octets/{one.id}")[2] == body
    assert post("x.pdf", b"x", origin="https://evil.example")[0] == 403
    assert post("x.pdf", b"x", ending=b"")[1].endswith("?refus=drive.form_broken")
    assert post("", b"")[1].endswith("?refus=drive.form_broken")
    assert post("x.pdf", b"x", of=nuits.id) == (303, "/coffre/?refus=drive.other_collectivite")
    assert drive.names() == ["Écoles (2).pdf", "Écoles.pdf"]


def test_another_site_cannot_send_in_our_name(drive: Drive, at: Browser) -> None:
    sent = {"folder": drive.own.id, "name": "x", "size_bytes": 1}
    for origin in ("https://evil.example", "null", "http://["):
        assert at.ask("POST", "/coffre/envoi/fichier", b"x", sent, Origin=origin)[0] == 403
        assert at.ask("PUT", f"/coffre/envoi/{UPLOAD}/1", b"x", Origin=origin)[0] == 403
    assert at.ask("POST", "/coffre/envoi/fichier", b"x")[0] == 403
    assert drive.names() == []


def test_what_is_another_persons_or_communes_is_absent(
    drive: Drive, at: Browser, server: Served, beaune: Commune, nuits: Commune
) -> None:
    for number in range(20):
        drive.file(str(number))
    folder = drive.folder("Secrets")
    one = at.send(b"secret", folder=folder.id, name="secret.txt")[1]["node"]
    for stranger in (beaune.colleague_membership, beaune.referent_membership, nuits.agent_membership):
        other = Browser(server, portal_client(stranger))
        origin = f"http://127.0.0.1:{server.port}"
        assert other.ask("GET", f"/coffre/octets/{one}")[0] == 404
        assert other.ask("GET", f"/coffre/octets/{one}/apercu")[0] == 404
        assert other.ask("GET", f"/coffre/octets/{one}/1")[0] == 404
        refused = other.ask("POST", "/coffre/octets/zip", b"n=%d" % one, Origin=origin)
        assert refused[1]["location"] == "/coffre/?refus=drive.absent"
        assert other.send(b"x", folder=folder.id, name="x")[0] == 404
    assert drive.names(folder) == ["secret.txt"]


def test_an_elected_person_sends_nothing_into_the_common_folder(
    drive: Drive, server: Served, beaune: Commune, system: Any
) -> None:
    from tests.conftest import make_member

    elected = Browser(
        server, portal_client(make_member(system, beaune.collectivite, "elu@beaune.test", "elu"))
    )
    assert elected.send(b"x", folder=drive.common.id, name="x") == (403, {"code": "drive.read_only"})
    assert drive.names(drive.common) == []


@pytest.mark.parametrize("ttl_s", [-1, 60])
def test_a_grant_that_is_over_or_forged_opens_nothing(
    drive: Drive, at: Browser, config: Config, beaune: Commune, ttl_s: int
) -> None:
    made = at.send(b"x", folder=drive.own.id, name="x")[1]["node"]
    key = config.secret("drive-grant.key") if ttl_s < 0 else config.secret("live.key")
    at.cookies[granted.OUT_PATH] = make_grant(
        key,
        subject_id=beaune.agent.id,
        collectivite_id=beaune.id,
        paths=(granted.OUT_PATH,),
        ttl_s=ttl_s,
        role="agent",
    )
    for _ in range(2):
        assert at.ask("GET", f"/coffre/octets/{made}?encore=1")[0] == 403
        assert at.ask("GET", f"/coffre/octets/{made}/apercu")[0] == 403
        status, headers, _body = at.ask("GET", f"/coffre/octets/{made}")
        assert (status, headers["location"]) == (303, f"/coffre/droit/?vers=/coffre/octets/{made}")
        at.cookies.pop(granted.OUT_PATH, None)


def test_a_page_that_was_open_for_long_fetches_by_a_new_grant(
    drive: Drive, at: Browser, client: Client
) -> None:
    made = at.send(b"x", folder=drive.own.id, name="x")[1]["node"]
    at.cookies.clear()
    answer = client.get(at.ask("GET", f"/coffre/octets/{made}")[1]["location"])
    assert answer["Location"] == f"/coffre/octets/{made}?encore=1"
    at.cookies[granted.OUT_PATH] = answer.cookies[granted.COOKIES[granted.OUT_PATH]].value
    assert at.ask("GET", answer["Location"])[2] == b"x"
    past = f"/coffre/octets/avant/{drive.own.id}/{clock.epoch_s()}/{made}"
    at.cookies.clear()
    answer = client.get(at.ask("GET", past)[1]["location"])
    assert answer["Location"] == f"{past}?encore=1"
    for elsewhere in (
        "https://evil.example/",
        "//evil.example",
        "/coffre/octets/1/apercu",
        "/coffre/octets/1\n",
    ):
        assert client.get("/coffre/droit/", {"vers": elsewhere}).status_code == 204


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"name": "a/b"}, "drive.name_refused"),
        ({"name": ""}, "drive.name_refused"),
        ({"path": ["..", "x"]}, "drive.name_refused"),
        ({"path": ["x"] * 101}, "drive.too_deep"),
        ({"name": "Commune"}, "drive.name_taken"),
        ({"name": unicodedata.normalize("NFD", SHARED_NAME)}, "drive.name_taken"),
        ({"size_bytes": -1}, "input.too_large"),
        ({"size_bytes": 7}, "input.invalid"),
        ({"folder": "x"}, "input.invalid"),
        ({"taken": "burn"}, "input.invalid"),
        ({"more": 1}, "input.invalid"),
        ({"folder": 999_999}, "drive.absent"),
        ({"folder": 1 << 63}, "drive.absent"),
        ({"folder": -(1 << 70)}, "drive.absent"),
    ],
)
def test_what_no_page_sends_is_refused(drive: Drive, at: Browser, sent: dict[str, Any], code: str) -> None:
    status, answer = at.send(b"x", **{"folder": drive.own.id, "name": "x"} | sent)
    assert status in (400, 404, 409, 413) and answer["code"] == code
    assert drive.names() == []


def test_what_does_not_fit_is_refused_before_it_comes(drive: Drive, at: Browser) -> None:
    drive.database.write(lambda writing: tree.set_limit(writing, drive.own.id, 10))
    assert at.send(b"x" * 11, folder=drive.own.id, name="x") == (507, {"code": "drive.quota_full"})
    assert at.send(b"x" * 10, folder=drive.own.id, name="x")[0] == 201


def test_a_form_that_does_not_fit_is_refused_before_its_file_comes(drive: Drive, at: Browser) -> None:
    drive.database.write(lambda writing: tree.set_limit(writing, drive.own.id, 100_000))
    line = http.client.HTTPConnection("127.0.0.1", at.server.port, timeout=PATIENCE_S)
    line.putrequest("POST", "/coffre/envoi/formulaire")
    for name, value in (
        ("Cookie", f"{granted.COOKIES[granted.IN_PATH]}={at.cookies[granted.IN_PATH]}"),
        ("Origin", f"http://127.0.0.1:{at.server.port}"),
        ("Content-Type", "multipart/form-data; boundary=cut"),
        ("Content-Length", "200000"),
        ("Expect", "100-continue"),
    ):
        line.putheader(name, value)
    field = '--cut\r\nContent-Disposition: form-data; name="%s\r\n\r\n%s'
    line.endheaders((field % ('dossier"', f"{drive.own.id}\r\n")).encode())
    line.send((field % ('fichier"; filename="a.pdf"', "%PDF")).encode())
    answer = line.getresponse()
    assert (answer.status, answer.headers["location"]) == (
        303,
        f"/coffre/{drive.own.id}/?refus=drive.quota_full",
    )


@pytest.mark.parametrize("path", ["/deconnexion/", "/connexion/"])
def test_who_comes_next_at_the_same_computer_finds_no_grant(at: Browser, client: Client, path: str) -> None:
    """Somebody signs out, or signs in after a session that ended by itself."""
    assert all(client.cookies[name].value for name in granted.COOKIES.values())
    if path == "/connexion/":
        client.session.flush()
    client.post(path, {"login": "personne@beaune.test", "password": "faux"})
    for scope, name in granted.COOKIES.items():
        cookie = client.cookies[name]
        assert (cookie.value, cookie["path"], cookie["max-age"]) == ("", scope, 0)


def test_a_form_of_a_page_that_was_open_for_long_leads_back(drive: Drive, at: Browser) -> None:
    origin = f"http://127.0.0.1:{at.server.port}"
    at.cookies.clear()
    for path in ("octets/zip", "envoi/formulaire"):
        status, headers, _ = at.ask("POST", f"/coffre/{path}", b"n=1", Origin=origin)
        assert (status, headers["location"]) == (303, "/coffre/?refus=live.grant_refused")


@pytest.mark.parametrize("path", ["octets/x", "octets", "octets/1/2/3", "envoi/x", "envoi", "envoi/fin/1"])
def test_odd_addresses_are_absent(at: Browser, path: str) -> None:
    assert at.ask("GET", f"/coffre/{path}")[0] == 404
