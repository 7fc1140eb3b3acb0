"""Previews of what a link gives: no download, but a line; nothing of what is closed, locked, or to hand in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.registry import Event
from beffroi.drive import consumers
from beffroi.drive.store import findings
from beffroi.drive.store.findings import Result
from beffroi.lib import clock
from beffroi.portal import drive_words
from beffroi.previews import server as previews_server
from django.db import transaction
from django.test import Client

from tests import office_samples as samples
from tests.conftest import STATE, Commune
from tests.drive_dropping import FORM
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served
from tests.drive_share_pages import only_share
from tests.drive_visitors import Visitor, make
from tests.fixtures_portal import no_door
from tests.integration.test_drive_links import CLOSED, PASSWORD, put, server
from tests.markup import flat
from tests.pdf_samples import document
from tests.photo_samples import photo, shape
from tests.previewing import Previews

__all__ = ["client", "drive", "no_door", "put", "server"]
pytestmark = pytest.mark.django_db
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6260f8cf0000"
    "0002000100e221bc330000000049454e44ae426082"
)
PDF = document(["Plan de la mairie"])


@pytest.fixture(scope="module")
def previews() -> Iterator[Previews]:
    one = Previews(STATE)
    yield one
    one.end()
    previews_server.socket_path(STATE).unlink()


@pytest.fixture
def told() -> Callable[[], list[str]]:
    """What was told since: file, zip, preview."""
    kept = STATE / "told-links"
    kept.unlink(missing_ok=True)
    return lambda: [json.loads(one)["what"] for one in kept.read_text().splitlines()] if kept.exists() else []


def said_to_the_page(visitor: Visitor, node: int, share_id: str = "") -> str:
    """Why there is no first page: a code for which the page's script has words."""
    status, _, answer = visitor.fetch(f"{node}/bureau", share_id=share_id)
    code = str(json.loads(answer)["code"])
    assert status >= 400 and code in drive_words.PREVIEWS
    return code


def test_an_image_and_a_pdf_are_seen_without_a_download_and_once_on_record(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], told: Callable[[], list[str]]
) -> None:
    folder = drive.folder("Plans")
    image, pdf = put(folder, "façade.png", PNG), put(folder, "plan.pdf", PDF)
    visitor = Visitor(server, make(client, folder.id))
    page = visitor.page()
    for node in (image, pdf):
        assert f"?fichier={node}" in page
    assert f"/{image}/apercu?v=" in visitor.page(f"?fichier={image}")
    assert f'/{pdf}/apercu" hidden data-opening' in flat(visitor.page(f"?fichier={pdf}"))
    status, headers, body = visitor.fetch(f"{image}/apercu")
    assert (status, headers["content-type"], body) == (200, "image/png", PNG)
    assert "sandbox" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"
    status, headers, body = visitor.fetch(f"{pdf}/apercu")
    assert (status, headers["content-type"], body) == (200, "application/pdf", PDF)
    status, _, body = visitor.fetch(f"{pdf}/apercu", Range="bytes=0-3")
    assert (status, body) == (206, b"%PDF")
    assert told() == ["preview", "preview"]
    visitor.fetch(str(pdf))
    assert told() == ["preview", "preview", "file"]


def test_a_file_that_is_shared_alone_is_shown_on_its_page(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    node = put(drive.own, "photo.png", PNG)
    visitor = Visitor(server, make(client, node))
    assert f"/{node}/apercu?v=" in visitor.page()
    assert CLOSED in visitor.page(f"?fichier={node}")  # no file of a folder


def test_a_name_is_not_believed(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], told: Callable[[], list[str]]
) -> None:
    node = put(drive.own, "photo.png", b"<script>alert(1)</script>")
    visitor = Visitor(server, make(client, node))
    visitor.page()
    status, _, body = visitor.fetch(f"{node}/apercu")
    assert status == 303 and b"script" not in body and told() == []


def test_where_downloads_are_counted_no_preview_gives_the_file(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], told: Callable[[], list[str]]
) -> None:
    folder = drive.folder("Plans")
    image, pdf = put(folder, "façade.png", PNG), put(folder, "plan.pdf", PDF)
    visitor = Visitor(server, make(client, folder.id, downloads="1"))
    assert f"?fichier={image}" in visitor.page()
    assert f"/{image}/vignette?v=" in visitor.page(f"?fichier={image}")
    for node in (image, pdf):
        assert visitor.fetch(f"{node}/apercu")[0] == 303
    assert told() == [] and only_share(drive).downloads_left == 1


@pytest.mark.slow
@pytest.mark.usefixtures("previews")
def test_a_smaller_picture_is_seen_where_downloads_are_counted_or_no_browser_shows_it(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], told: Callable[[], list[str]]
) -> None:
    folder = drive.folder("Photos")
    image, telephone = (
        put(folder, "façade.png", photo("png", 2000, 1000)),
        put(folder, "fête.heic", photo("heic")),
    )
    beside = put(drive.own, "beside.png", photo("png", 300, 200))
    visitor = Visitor(server, make(client, folder.id, downloads="1"))
    for node in (image, telephone):
        page = visitor.page(f"?fichier={node}")
        assert f"/{node}/vignette?v=" in page and "Une image réduite" in page
        status, headers, body = visitor.fetch(f"{node}/vignette")
        assert (status, headers["content-type"], shape(body).width) == (200, "image/jpeg", 1024)
    assert visitor.fetch(f"{beside}/vignette")[0] == 303
    assert told() == ["preview", "preview"] and only_share(drive).downloads_left == 1


@pytest.mark.slow
@pytest.mark.usefixtures("previews")
def test_a_page_that_is_open_shows_nothing_more_once_all_downloads_are_taken(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], told: Callable[[], list[str]]
) -> None:
    folder = drive.folder("Photos")
    taken, other = (put(folder, f"{n}.png", photo("png", 300 + n, 200)) for n in (1, 2))
    letter = put(folder, "plan.pdf", PDF)
    visitor = Visitor(server, make(client, folder.id, downloads="1"))
    visitor.page()
    assert visitor.fetch(f"{other}/vignette")[0] == 200
    assert visitor.fetch(str(taken))[0] == 200 and only_share(drive).downloads_left == 0
    for rest in (f"{other}/vignette", f"{letter}/bureau/page/1"):
        assert visitor.fetch(rest)[0] == 303, rest
    assert said_to_the_page(visitor, letter) == "drive.link_closed"
    assert visitor.fetch(f"{taken}/vignette")[0] == 200, "what it has"
    assert told() == ["preview", "file", "preview"]


def test_nothing_is_seen_of_what_is_locked_ended_beside_or_handed_in(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], told: Callable[[], list[str]]
) -> None:
    folder = drive.folder("Plans")
    node, secret = put(folder, "photo.png", PNG), put(drive.own, "secret.png", PNG)
    visitor = Visitor(server, make(client, folder.id, password=PASSWORD))
    share = only_share(drive)
    assert "photo.png" not in visitor.page(f"?fichier={node}")
    assert visitor.fetch(f"{node}/apercu", share_id=share.id)[0] == 303
    visitor.unlock(PASSWORD)
    assert "photo.png" in visitor.page(f"?fichier={node}")
    for odd in (secret, folder.id, "x", "9" * 30):
        assert CLOSED in visitor.page(f"?fichier={odd}")
    for rest in ("apercu", "bureau/page/1"):
        assert visitor.fetch(f"{secret}/{rest}")[0] == 303
    assert said_to_the_page(visitor, secret) == "drive.link_closed"
    for rest in (
        f"{node}/apercu/x",
        f"{node}/bureau/page/2",
        "zip/apercu",
        f"{folder.id}/apercu",
    ):
        assert visitor.fetch(rest)[0] == 303, rest
    assert visitor.fetch(f"{node}/apercu", "HEAD")[0] == 404
    assert visitor.fetch(f"{node}/apercu")[0] == 200
    client.post(f"/coffre/liens/{share.id}/arreter/")
    for rest in ("apercu", "bureau/page/1"):
        assert visitor.fetch(f"{node}/{rest}")[0] == 303
    assert said_to_the_page(visitor, node) == "drive.link_closed"
    visitor.client.cookies.clear()
    assert said_to_the_page(visitor, node, share.id) == "live.grant_refused"
    assert told() == ["preview"]


def test_a_link_to_hand_in_shows_nothing(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], told: Callable[[], list[str]]
) -> None:
    folder = drive.folder("Dépôt", drive.common)
    node = put(folder, "photo.png", PNG)
    answer = client.post(f"/coffre/{folder.id}/depots/", FORM)
    assert answer.status_code == 200
    share = only_share(drive)
    assert Visitor(server, "").fetch(f"{node}/apercu", share_id=share.id)[0] == 303
    assert said_to_the_page(Visitor(server, ""), node, share.id) == "live.grant_refused"
    assert told() == []


def test_what_the_departement_holds_back_is_not_seen(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], told: Callable[[], list[str]]
) -> None:
    node = put(drive.own, "photo.png", PNG + b"held")
    visitor = Visitor(server, make(client, node))
    visitor.page()
    with drive.database.reading() as reading:
        row = reading.one("SELECT sha256 FROM node WHERE id = ?", (node,))
    assert row is not None
    held = STATE / "refused"
    held.write_text(row[0])
    try:
        assert visitor.fetch(f"{node}/apercu")[0] == 303
    finally:
        held.unlink()
    assert told() == []


def test_what_came_from_outside_says_that_it_is_looked_at_first(
    drive: Drive, client: Client, server: Served, put: Callable[..., int]
) -> None:
    """A folder may be given by one link and filled by another."""
    folder = drive.folder("Marché")
    image, pdf = put(folder, "façade.png", PNG + b"handed"), put(folder, "plan.pdf", PDF + b"handed")
    with drive.database.reading() as reading:
        contents = [findings.waiting_in(reading, [node])[0] for node in (image, pdf)]
    visitor = Visitor(server, make(client, folder.id))
    for node, content in zip((image, pdf), contents, strict=True):
        handed = (node, "shr_x:A", content.sha256)
        drive.database.write(
            lambda w, row=handed: w.run("INSERT INTO handed (node, handing, sha256) VALUES (?, ?, ?)", row)
        )
        page = visitor.page(f"?fichier={node}")
        assert "pas encore analysé" in page and f"/{node}/apercu" not in page
        assert visitor.fetch(f"{node}/apercu")[1]["location"].endswith("drive.not_scanned")
        seen = Result(content.sha256, "m", {}, True)
        drive.database.write(lambda w, one=seen: findings.keep(w, [one], now_s=5))
        assert f"/{node}/apercu" in visitor.page(f"?fichier={node}")
        assert visitor.fetch(f"{node}/apercu")[0] == 200


@pytest.mark.slow
@pytest.mark.usefixtures("previews")
def test_a_document_shows_its_first_page_alone_also_where_downloads_are_counted(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], told: Callable[[], list[str]]
) -> None:
    folder = drive.folder("Plans")
    letter, pdf = put(folder, "lettre.odt", samples.text("Bonjour")), put(folder, "plan.pdf", PDF)
    broken = put(folder, "abîmé.docx", b"PK\x03\x04 broken")
    visitor = Visitor(server, make(client, folder.id, downloads="1"))
    for node in (letter, pdf):
        assert f"/{node}/bureau" in visitor.page(f"?fichier={node}")
        status, _, body = visitor.fetch(f"{node}/bureau")
        assert (status, json.loads(body)) == (200, {"pages": 1, "pdf": False})
        status, headers, body = visitor.fetch(f"{node}/bureau/page/1")
        assert (status, headers["content-type"]) == (200, "image/png") and body.startswith(b"\x89PNG")
        assert visitor.fetch(f"{node}/bureau/page/2")[0] == visitor.fetch(f"{node}/apercu.pdf")[0] == 303
    status, _, body = visitor.fetch(f"{broken}/bureau")
    assert (status, json.loads(body)) == (422, {"code": "previews.not_shown", "why": "unreadable"})
    assert told() == ["preview", "preview"] and only_share(drive).downloads_left == 1


def test_a_preview_has_its_own_line_in_the_audit_log(committed: str, beaune: Commune) -> None:
    payload = {"share_id": "shr_x", "what": "preview", "node_id": 3, "bytes": 9, "address": "192.0.2.7"}
    with transaction.atomic():
        consumers.record_download(Event(1, "drive:link_used", beaune.id, payload, clock.now()))
    (line,) = AuditEntry.objects.filter(verb__startswith="drive:link:")
    assert (line.verb, json.loads(line.details)["what"]) == ("drive:link:seen", "preview")
