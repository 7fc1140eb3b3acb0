"""Coffre: the editor's page, new documents and previews, over the real drive and the real process of previews."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from beffroi.core.identity.models import Membership
from beffroi.drive.office import blank, discovery, tokens
from beffroi.drive.office.discovery import Editor, read
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.errors import Unavailable
from beffroi.previews import server as previews_server
from django.conf import settings
from django.test import Client

from tests import office_editor
from tests import office_samples as samples
from tests.conftest import STATE, Commune
from tests.drive_browser import Browser
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served, served
from tests.fixtures_portal import no_door, portal_client
from tests.office_editor import Office
from tests.photo_samples import photo, shape
from tests.previewing import Previews
from tests.waiting import PATIENCE_S

__all__ = ["client", "drive", "no_door"]
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with office_editor.serving() as one:
        yield one


@pytest.fixture(scope="module")
def server(office: Office) -> Iterator[Served]:
    own = STATE / "beffroi.toml"
    before = own.read_text()
    own.write_text(f'{before}office_editor = "{office.origin}"\n')
    try:
        with served(STATE) as one:
            yield one
    finally:
        own.write_text(before)


@pytest.fixture(scope="module")
def previews() -> Iterator[Previews]:
    one = Previews(STATE)
    try:
        yield one
    finally:
        one.end()
        previews_server.socket_path(STATE).unlink()


@pytest.fixture
def with_editor(office: Office, settings: object) -> None:
    found: Config = settings.BEFFROI  # type: ignore[attr-defined]
    settings.BEFFROI = replace(found, office_editor=office.origin)  # type: ignore[attr-defined]


@pytest.fixture
def at(server: Served, client: Client) -> Browser:
    return Browser(server, client)


def test_without_an_editor_the_page_says_how_one_is_set_and_opens_none(drive: Drive, client: Client) -> None:
    node = drive.file("Bail.docx")
    page = client.get(f"/coffre/{node.id}/").content.decode()
    assert "brancher un éditeur" in page and f"/coffre/{node.id}/editer/" not in page
    page = client.get(f"/coffre/{node.id}/editer/").content.decode()
    assert "pas branché d’éditeur" in page and "access_token" not in page
    assert "Nouveau document" not in client.get("/coffre/").content.decode()
    assert "brancher un éditeur" not in client.get(f"/coffre/{drive.file('a.zip').id}/").content.decode()


def test_the_editor_opens_in_a_frame_of_its_origin_alone(
    drive: Drive, client: Client, office: Office, with_editor: None
) -> None:
    node = drive.file("Bail.docx", drive.common)
    assert f"/coffre/{node.id}/editer/" in client.get(f"/coffre/{node.id}/").content.decode()
    answer = client.get(f"/coffre/{node.id}/editer/")
    page, policy = answer.content.decode(), answer["Content-Security-Policy"]
    assert f"frame-src {office.origin};" in policy + ";" and f"form-action 'self' {office.origin}" in policy
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    address = re.findall(r'action="(http://127[^"]+)"', page)[0].replace("&amp;", "&")
    asked = parse_qs(urlsplit(address).query)
    source = asked["WOPISrc"][0]
    assert source == f"https://localhost:8443/wopi/files/{drive.collectivite_id}-{node.id}"
    assert address.startswith(f"{office.origin}/browser/1/cool.html?") and asked["lang"] == ["fr"]
    token = re.findall(r'name="access_token" value="([^"]+)"', page)[0]
    assert token not in address
    file = tokens.File(drive.collectivite_id, node.id)
    grant = tokens.read(settings.BEFFROI.secret("drive-grant.key"), token, file)
    assert tokens.may_write(grant, file) and grant.subject_id == drive.act.person_id
    ends_s = int(re.findall(r'name="access_token_ttl" value="(\d+)"', page)[0]) / 1000
    assert abs(ends_s - grant.expires_at) < 5


def test_who_may_read_only_gets_a_token_that_reads(
    drive: Drive, beaune: Commune, office: Office, with_editor: None
) -> None:
    node = drive.file("Bail.doc", drive.common)
    Membership.objects.filter(pk=beaune.agent_membership.pk).update(role="elu")
    beaune.agent_membership.refresh_from_db()
    page = portal_client(beaune.agent_membership).get(f"/coffre/{node.id}/editer/").content.decode()
    assert "pas le modifier" in page and f"{office.origin}/word/view?ui=fr&amp;WOPISrc=" in page
    token = re.findall(r'name="access_token" value="([^"]+)"', page)[0]
    file = tokens.File(drive.collectivite_id, node.id)
    assert not tokens.may_write(tokens.read(settings.BEFFROI.secret("drive-grant.key"), token, file), file)


def test_what_is_anothers_or_no_document_is_not_opened(
    drive: Drive, client: Client, nuits: Commune, with_editor: None
) -> None:
    node = drive.file("Bail.docx", drive.common)
    assert portal_client(nuits.agent_membership).get(f"/coffre/{node.id}/editer/").status_code == 404
    assert client.get(f"/coffre/{drive.own.id}/editer/").status_code == 404
    folder = client.get(f"/coffre/{drive.folder('Dossier.odt').id}/editer/").content.decode()
    assert "access_token" not in folder
    page = client.get(f"/coffre/{drive.file('Film.exe').id}/editer/").content.decode()
    assert "n’ouvre pas ce genre de document" in page and "access_token" not in page


def test_a_new_document_is_made_and_opened(drive: Drive, at: Browser, with_editor: None) -> None:
    for kind, suffix in blank.SUFFIXES.items():
        form = urlencode({"dossier": drive.own.id, "genre": kind, "nom": "Été 2026"}).encode()
        status, headers, _ = at.ask(
            "POST", "/coffre/envoi/nouveau", form, Origin=f"http://127.0.0.1:{at.server.port}"
        )
        assert status == 303
        node = int(re.fullmatch(r"/coffre/(\d+)/editer/", headers["location"])[1])
        assert at.ask("GET", f"/coffre/octets/{node}")[2] == blank.document(kind)
        assert f"Été 2026.{suffix}" in drive.names()


def test_a_new_document_needs_our_own_page_a_name_and_the_right(
    drive: Drive, at: Browser, nuits: Commune
) -> None:
    def made(folder: int, name: str = "x", origin: str = f"http://127.0.0.1:{at.server.port}") -> str:
        form = urlencode({"dossier": folder, "genre": "texte", "nom": name}).encode()
        status, headers, _ = at.ask("POST", "/coffre/envoi/nouveau", form, Origin=origin)
        assert status == 303
        return headers["location"]

    assert made(drive.own.id, origin="https://evil.test") == "/coffre/?refus=drive.foreign_origin"
    assert made(drive.own.id, name="a/b") == f"/coffre/{drive.own.id}/?refus=drive.name_refused"
    assert made(drive.own.id, name="  ") == f"/coffre/{drive.own.id}/?refus=drive.name_refused"
    other = Drive(nuits.agent_membership).own.id + 1000
    assert made(other).endswith("refus=drive.absent")
    assert drive.names() == []


@pytest.mark.slow
def test_a_document_has_pictures_and_a_pdf_of_its_first_pages(
    drive: Drive, at: Browser, client: Client, previews: Previews
) -> None:
    node = at.send(samples.text("Délibération"), folder=drive.own.id, name="Délib.odt")[1]["node"]
    status, headers, body = at.ask("GET", f"/coffre/octets/bureau/{node}")
    assert (status, json.loads(body)) == (200, {"pages": 1, "pdf": True})
    status, headers, body = at.ask("GET", f"/coffre/octets/bureau/{node}/page/1")
    assert (status, headers["content-type"]) == (200, "image/png") and body.startswith(b"\x89PNG")
    status, headers, body = at.ask("GET", f"/coffre/octets/bureau/{node}/apercu.pdf")
    assert (status, headers["content-type"]) == (200, "application/pdf") and body.startswith(b"%PDF-")
    assert "sandbox" in headers["content-security-policy"]
    for page in ("2", "0", "x", "9" * 5000):
        assert at.ask("GET", f"/coffre/octets/bureau/{node}/page/{page}")[0] == 404, page
    pdf = at.send(body, folder=drive.own.id, name="Délib.pdf")[1]["node"]
    assert at.ask("GET", f"/coffre/octets/bureau/{pdf}/apercu.pdf")[2] == body
    assert json.loads(at.ask("GET", f"/coffre/octets/bureau/{pdf}")[2])["pages"] == 1
    assert f'data-office="/coffre/octets/bureau/{node}"' in client.get(f"/coffre/{node}/").content.decode()


@pytest.mark.slow
def test_photos_are_seen_in_the_list_as_an_album_and_on_their_page(
    drive: Drive, at: Browser, client: Client, previews: Previews
) -> None:
    node = at.send(photo("heic"), folder=drive.own.id, name="Fête.heic")[1]["node"]
    document = at.send(b"%PDF-1.7", folder=drive.own.id, name="Acte.pdf")[1]["node"]
    address = f"/coffre/octets/bureau/{node}/vignette"
    page = client.get("/coffre/").content.decode()
    assert f'src="{address}/256?v=' in page and f"bureau/{document}/vignette" not in page
    assert 'href="?vue=vignettes"' in page and "album" not in page
    for _ in range(2):  # it is kept for the next visit
        page = client.get("/coffre/", {"vue": "vignettes"} if "album" not in page else {}).content.decode()
        assert 'class="rows files album"' in page and 'href="?vue=liste"' in page
    assert "album" not in client.get("/coffre/?vue=liste").content.decode()
    assert "album" not in client.get("/coffre/?vue=other").content.decode()
    page = client.get(f"/coffre/{node}/").content.decode()
    assert f'src="{address}/1024?v=' in page and "Une image réduite" in page
    for edge_px in (256, 1024):
        status, headers, body = at.ask("GET", f"{address}/{edge_px}")
        assert (status, headers["content-type"], shape(body).width) == (200, "image/jpeg", edge_px)
    for rest in ("", "/", "/300", "/x", "/256/x"):
        assert at.ask("GET", f"{address}{rest}")[0] == 404, rest
    assert at.ask("GET", f"/coffre/octets/bureau/{document}/vignette/256")[0] == 404


@pytest.mark.slow
def test_where_there_is_no_preview_the_reason_is_told(
    drive: Drive, at: Browser, previews: Previews, server: Served
) -> None:
    broken = at.send(b"PK\x03\x04 broken", folder=drive.own.id, name="a.docx")[1]["node"]
    status, _, body = at.ask("GET", f"/coffre/octets/bureau/{broken}")
    assert (status, json.loads(body)) == (422, {"code": "previews.not_shown", "why": "unreadable"})
    assert at.ask("GET", f"/coffre/octets/bureau/{broken}/page/1")[0] == 422  # from memory
    archive = at.send(b"PK\x03\x04", folder=drive.own.id, name="a.zip")[1]["node"]
    assert at.ask("GET", f"/coffre/octets/bureau/{archive}")[0] == 404
    node = at.send(samples.text("Retenu"), folder=drive.own.id, name="b.odt")[1]["node"]
    assert at.ask("GET", f"/coffre/octets/bureau/{node}")[0] == 200
    with drive.database.reading() as reading:
        row = reading.one("SELECT sha256 FROM node WHERE id = ?", (node,))
    held = STATE / "refused"
    held.write_text(row[0] if row else "")
    try:
        assert json.loads(at.ask("GET", f"/coffre/octets/bureau/{node}/page/1")[2]) == {
            "code": "drive.frozen"
        }
    finally:
        held.unlink()
    previews.process.kill()
    previews.process.wait(PATIENCE_S)
    late = at.send(samples.text("Tard"), folder=drive.own.id, name="c.odt")[1]["node"]
    assert json.loads(at.ask("GET", f"/coffre/octets/bureau/{late}")[2]) == {"code": "previews.ended"}
    Previews.__init__(previews, STATE)
    assert at.ask("GET", f"/coffre/octets/bureau/{late}")[0] == 200


def test_previews_of_anothers_files_are_absent(
    drive: Drive, at: Browser, server: Served, nuits: Commune
) -> None:
    node = at.send(b"x", folder=drive.common.id, name="Commun.odt")[1]["node"]
    other = Browser(server, portal_client(nuits.agent_membership))
    for rest in ("", "/apercu.pdf", "/page/1"):
        assert other.ask("GET", f"/coffre/octets/bureau/{node}{rest}")[0] == 404


@pytest.mark.parametrize("address", ["http://office.example", "ftp://x", "office.example.fr", "https://"])
def test_an_editor_of_the_network_is_reached_by_tls_alone(address: str) -> None:
    with pytest.raises(SettingInvalid):
        Editor(Config(state=Path("/nowhere"), office_editor=address))


def test_a_discovery_leads_to_its_own_origin_and_its_entities_are_not_followed() -> None:
    data = office_editor.discovery("https://office.test", None)
    found = read(data, "https://office.test")
    assert "odt" in found.actions and "exe" not in found.actions and found.keys == ()
    assert read(data, "https://other.test").actions == {}
    assert found.page("exe", "s", may_write=True) == ""
    evil = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><action ext="&x;" name="edit" urlsrc="https://office.test/"/></a>'
    for broken in (b"", b"nothing", evil):
        try:
            assert all("root" not in one for one in read(broken, "https://office.test").actions)
        except ValueError:
            continue


def test_keys_that_changed_are_read_anew_and_an_editor_that_is_away_keeps_the_last_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with office_editor.serving() as one:
        editor = Editor(Config(state=Path("/nowhere"), office_editor=one.origin))
        before = editor.discovery()
        assert editor.discovery() is before
        key = office_editor.new_key()
        one.said["/hosting/discovery"] = office_editor.discovery(one.origin, key)
        assert editor.discovery(older=before) is before  # it was read a moment ago
        monkeypatch.setattr(discovery, "AGAIN_S", 0.0)
        after = editor.discovery(older=before)
        assert [found.public_numbers() for found in after.keys] == [key.public_key().public_numbers()]
        for broken in (b"<html>", b"x" * (discovery.MAX_BYTES + 1), None):
            one.said.pop("/hosting/discovery", None)
            if broken is not None:
                one.said["/hosting/discovery"] = broken
            assert editor.discovery(older=after) is after
    assert editor.discovery(older=after) is after
    with pytest.raises(Unavailable):
        Editor(Config(state=Path("/nowhere"), office_editor=one.origin)).discovery()
