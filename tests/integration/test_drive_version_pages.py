"""Coffre: an earlier content shown as the present one is: image, text, PDF, office document; and to whom not."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from beffroi.drive.store import findings, versions
from beffroi.drive.store.findings import Result
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import Share
from beffroi.drive.store.versions import Version
from django.test import Client

from tests import office_samples as samples
from tests.conftest import Commune
from tests.drive_browser import Browser, server
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served
from tests.drive_share_pages import colleague, make, only_share, text, there
from tests.fixtures_drive_visit import folder, share
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_link_previews import PDF, PNG, previews
from tests.pdf_samples import document
from tests.previewing import Previews

__all__ = ["client", "colleague", "drive", "folder", "no_door", "previews", "server", "share", "there"]
pytestmark = pytest.mark.django_db
OTHER_PDF = document(["Plan de la mairie, refait"])


@pytest.fixture
def at(server: Served, client: Client) -> Browser:
    return Browser(server, client)


@pytest.fixture
def replaced(drive: Drive, at: Browser) -> Callable[..., Version]:
    """``replaced(name, before, after)``: a file that was replaced once; its earlier content."""

    def put(name: str, before: bytes, after: bytes, into: Node | None = None) -> Version:
        where = (into or drive.common).id
        node = at.send(before, folder=where, name=name)[1]["node"]
        assert at.send(after, folder=where, name=name, taken="replace")[1]["node"] == node
        return history(drive, node)[0]

    return put


def history(drive: Drive, node: int) -> list[Version]:
    with drive.database.reading() as reading:
        return versions.of(reading, node)


def test_an_image_a_text_and_a_pdf_are_shown_as_they_were(
    at: Browser, client: Client, replaced: Callable[..., Version]
) -> None:
    image = replaced("façade.png", PNG, PNG + b"\0")
    bytes_at = f"/coffre/octets/{image.node}/{image.etag}"
    assert f"/coffre/{image.node}/versions/{image.etag}/" in text(client, f"/coffre/{image.node}/")
    page = text(client, f"/coffre/{image.node}/versions/{image.etag}/")
    assert f'src="{bytes_at}/apercu?v={image.etag}"' in page and "Version écrite" in page
    status, headers, body = at.ask("GET", f"{bytes_at}/apercu")
    assert (status, headers["content-type"], body) == (200, "image/png", PNG)
    assert "sandbox" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"

    notes = replaced("notes.txt", b"<script>un</script>", b"deux")
    page = text(client, f"/coffre/{notes.node}/versions/{notes.etag}/")
    assert f'src="/coffre/octets/{notes.node}/{notes.etag}/apercu' in page and "<iframe" in page
    status, headers, body = at.ask("GET", f"/coffre/octets/{notes.node}/{notes.etag}/apercu")
    assert (headers["content-type"], body) == ("text/plain; charset=utf-8", b"<script>un</script>")
    assert at.ask("GET", f"/coffre/octets/{notes.node}/apercu")[2] == b"deux"

    pdf = replaced("plan.pdf", PDF, OTHER_PDF)
    page = text(client, f"/coffre/{pdf.node}/versions/{pdf.etag}/")
    assert f'data-pdf="/coffre/octets/{pdf.node}/{pdf.etag}"' in page
    status, _, body = at.ask("GET", f"/coffre/octets/{pdf.node}/{pdf.etag}", Range="bytes=0-3")
    assert (status, body) == (206, PDF[:4])
    status, headers, body = at.ask("GET", f"/coffre/octets/bureau/{pdf.node}/{pdf.etag}/apercu.pdf")
    assert (status, headers["content-type"], body) == (200, "application/pdf", PDF)


@pytest.mark.slow
def test_a_document_has_the_pictures_of_what_it_was(
    client: Client, at: Browser, replaced: Callable[..., Version], previews: Previews
) -> None:
    long = samples.text("\n".join(f"Article {number}" for number in range(120)))
    old = replaced("Délib.odt", long, samples.text("Retirée"))
    bureau = f"/coffre/octets/bureau/{old.node}"
    page = text(client, f"/coffre/{old.node}/versions/{old.etag}/")
    assert f'data-office="{bureau}/{old.etag}"' in page and "/editer/" not in page
    before = at.ask("GET", f"{bureau}/{old.etag}/page/1")
    assert (before[0], before[1]["content-type"]) == (200, "image/png")
    present = at.ask("GET", f"{bureau}/page/1")
    assert present[0] == 200 and present[2] != before[2]
    assert json.loads(at.ask("GET", f"{bureau}/{old.etag}")[2])["pdf"] is True
    assert at.ask("GET", f"{bureau}/{old.etag}/apercu.pdf")[2].startswith(b"%PDF-")
    assert at.ask("GET", f"{bureau}/{old.etag}/page/99")[0] == 404
    assert at.ask("GET", f"{bureau}/{old.etag + 1000}")[0] == 404


def test_the_page_leads_to_the_versions_beside_and_brings_one_back(
    drive: Drive, at: Browser, client: Client, replaced: Callable[..., Version]
) -> None:
    first = replaced("notes.txt", b"un", b"deux")
    at.send(b"trois", folder=drive.common.id, name="notes.txt", taken="replace")
    second = history(drive, first.node)[0]
    base = f"/coffre/{first.node}/versions/"
    page = text(client, f"{base}{first.etag}/")
    assert f'href="{base}{second.etag}/"' in page and "plus ancienne" not in page
    page = text(client, f"{base}{second.etag}/")
    assert f'href="{base}{first.etag}/"' in page and "Version présente" in page
    assert f"/coffre/{first.node}/comparer/{second.etag}/" in page and "Rétablir" in page
    data = {"dossier": str(first.node), "n": str(first.node), "etag": str(first.etag), "what": "version"}
    assert client.post("/coffre/agir/", data).status_code == 302
    assert at.ask("GET", f"/coffre/octets/{first.node}")[2] == b"un"


def test_what_cannot_be_shown_says_so_and_stays_to_be_fetched(
    client: Client, replaced: Callable[..., Version]
) -> None:
    archive = replaced("plans.zip", b"PK\x03\x04", b"PK\x05\x06")
    assert f"/versions/{archive.etag}/" not in text(client, f"/coffre/{archive.node}/")
    page = text(client, f"/coffre/{archive.node}/versions/{archive.etag}/")
    assert "ne se montre pas ici" in page and f"/coffre/octets/{archive.node}/{archive.etag}" in page
    empty = replaced("vide.png", b"", PNG)
    page = text(client, f"/coffre/{empty.node}/versions/{empty.etag}/")
    assert "Cette version est vide" in page and "<img" not in page


def test_a_version_that_is_held_is_not_shown_though_the_present_content_is_free(
    drive: Drive, client: Client, at: Browser, replaced: Callable[..., Version]
) -> None:
    old = replaced("façade.png", PNG + b"malware", PNG)
    found = Result(old.sha256, "mark", {"malware": ["Rule"]}, True)
    drive.database.write(lambda writing: findings.keep(writing, [found], now_s=drive.act.now_s))
    page = text(client, f"/coffre/{old.node}/versions/{old.etag}/")
    assert "Cette version est retenue" in page and "<img" not in page and "Rétablir" not in page
    assert at.ask("GET", f"/coffre/octets/{old.node}/{old.etag}/apercu")[0] == 403
    assert at.ask("GET", f"/coffre/octets/{old.node}/apercu")[0] == 200
    assert f"/coffre/octets/{old.node}/apercu" in text(client, f"/coffre/{old.node}/")


def test_versions_of_anothers_and_of_other_files_are_absent(
    drive: Drive,
    at: Browser,
    client: Client,
    replaced: Callable[..., Version],
    *,
    server: Served,
    nuits: Commune,
    colleague: Client,
) -> None:
    common, own = replaced("plan.pdf", PDF, b"x"), replaced("plan.pdf", PDF, b"x", drive.own)
    neighbour = Browser(server, portal_client(nuits.agent_membership))
    inside = Browser(server, colleague)
    for stranger, old in ((neighbour, common), (neighbour, own), (inside, own)):
        for path in (
            f"/coffre/octets/{old.node}/{old.etag}/apercu",
            f"/coffre/octets/bureau/{old.node}/{old.etag}",
            f"/coffre/octets/bureau/{old.node}/{old.etag}/apercu.pdf",
            f"/coffre/octets/bureau/{old.node}/{old.etag}/page/1",
        ):
            assert stranger.ask("GET", path)[0] == 404
    for path in (f"{common.node}/{common.etag}/apercu", f"bureau/{common.node}/{common.etag}/apercu.pdf"):
        assert inside.ask("GET", f"/coffre/octets/{path}")[0] == 200
    assert colleague.get(f"/coffre/{own.node}/versions/{own.etag}/").status_code == 404
    assert client.get(f"/coffre/{own.node}/versions/{common.etag}/").status_code == 404
    assert client.get(f"/coffre/{drive.own.id}/versions/{own.etag}/").status_code == 404
    for path in (
        f"/coffre/octets/{own.node}/{common.etag}/apercu",
        f"/coffre/octets/{own.node}/{own.etag}/apercu/x",
        f"/coffre/octets/{drive.own.id}/{own.etag}/apercu",
        f"/coffre/octets/bureau/{own.node}/{common.etag}",
        f"/coffre/octets/bureau/{own.node}/²",
    ):
        assert at.ask("GET", path.replace("²", "%C2%B2"))[0] == 404


def test_versions_of_what_another_commune_shares_are_shown_and_told(
    replaced: Callable[..., Version],
    folder: Node,
    share: Share,
    client: Client,
    there: Client,
    *,
    server: Served,
) -> None:
    old, secret = replaced("plan.png", PNG, b"x", folder), replaced("secret.png", PNG, b"x")
    page = text(there, f"/coffre/chez/{share.id}/{old.node}/")
    assert f"/coffre/chez/{share.id}/{old.node}/versions/{old.etag}/" in page
    page = text(there, f"/coffre/chez/{share.id}/{old.node}/versions/{old.etag}/")
    bytes_at = f"/coffre/octets/chez/{share.id}"
    assert f'src="{bytes_at}/{old.node}/{old.etag}/apercu' in page and "Rétablir" in page
    guest = Browser(server, there)
    (server.directory / "told-crossings").unlink(missing_ok=True)
    status, headers, body = guest.ask("GET", f"{bytes_at}/{old.node}/{old.etag}/apercu")
    assert (status, headers["content-type"], body) == (200, "image/png", PNG)
    told = (server.directory / "told-crossings").read_text().splitlines()
    assert [(json.loads(one)["what"], json.loads(one)["node_id"]) for one in told] == [("read", old.node)]
    assert guest.ask("GET", f"{bytes_at}/{secret.node}/{secret.etag}/apercu")[0] == 404
    assert there.get(f"/coffre/chez/{share.id}/{secret.node}/versions/{secret.etag}/").status_code == 404
    assert there.get(f"/coffre/{old.node}/versions/{old.etag}/").status_code == 404
    client.post(f"/coffre/partages/{share.id}/arreter/")
    assert there.get(f"/coffre/chez/{share.id}/{old.node}/versions/{old.etag}/").status_code == 404
    assert guest.ask("GET", f"{bytes_at}/{old.node}/{old.etag}/apercu")[0] == 404
    assert guest.ask("GET", f"/coffre/octets/bureau/chez/{share.id}/{old.node}/{old.etag}")[0] == 404


def test_who_only_reads_sees_a_version_and_brings_none_back(
    drive: Drive, replaced: Callable[..., Version], beaune: Commune, client: Client, colleague: Client
) -> None:
    old = replaced("notes.txt", b"un", b"deux", drive.own)
    at = f"/coffre/{old.node}/versions/{old.etag}/"
    assert colleague.get(at).status_code == 404
    make(client, old.node, f"person:{beaune.colleague.id}")
    page = text(colleague, at)
    assert "Télécharger" in page and "Rétablir" not in page
    client.post(f"/coffre/partages/{only_share(drive).id}/arreter/")
    assert colleague.get(at).status_code == 404
