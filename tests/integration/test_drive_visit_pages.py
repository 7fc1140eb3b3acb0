"""What is shared from elsewhere on the pages: found by name, in Récents, its versions, previews and editor."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from beffroi.core.planes.tokens import GrantRefused
from beffroi.drive import reach
from beffroi.drive.office import tokens
from beffroi.drive.store import versions
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import Share
from beffroi.drive.web.dav import properties
from beffroi.lib.errors import Unavailable
from beffroi.portal import drive_access
from django.conf import settings
from django.test import Client

from tests.conftest import Commune
from tests.drive_browser import Browser
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served
from tests.drive_share_pages import colleague, make, only_share, text, there
from tests.fixtures_drive_visit import crossings, folder, inside, share
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_link_previews import PDF, PNG
from tests.integration.test_drive_office_pages import office, server, with_editor
from tests.office_editor import Office

__all__ = [
    "client",
    "colleague",
    "drive",
    "folder",
    "no_door",
    "office",
    "server",
    "share",
    "there",
    "with_editor",
]
pytestmark = pytest.mark.django_db


def test_a_colleague_finds_what_is_shared_by_name_and_in_what_came_last(
    drive: Drive, beaune: Commune, folder: Node, client: Client, colleague: Client
) -> None:
    for page in ("/coffre/recents/", "/coffre/recherche/?q=plan", "/coffre/recherche/?q=piste"):
        assert "Plan de la piste" not in text(colleague, page)
    make(client, folder.id, f"person:{beaune.colleague.id}")
    for page in ("/coffre/recents/", "/coffre/recherche/?q=plan", "/coffre/recherche/?q=piste"):
        shown = text(colleague, page)
        assert "Plan de la piste.odt" in shown and "Partagé avec moi › Piste cyclable" in shown
        assert "Plan secret" not in shown
    assert f'/coffre/{folder.id}/"' in text(colleague, "/coffre/recherche/?q=cyclable")
    client.post(f"/coffre/partages/{only_share(drive).id}/arreter/")
    assert "Plan de la piste" not in text(colleague, "/coffre/recherche/?q=plan")


def test_a_file_that_is_shared_alone_is_found(
    drive: Drive, beaune: Commune, folder: Node, client: Client, colleague: Client
) -> None:
    node = inside(drive, folder)
    make(client, node, f"person:{beaune.colleague.id}")
    for page in ("/coffre/recents/", "/coffre/recherche/?q=plan"):
        shown = text(colleague, page)
        assert f"/coffre/{node}/" in shown and "Piste cyclable" not in shown and "secret" not in shown


def test_a_program_opens_what_another_commune_shares_by_its_number(
    drive: Drive,
    folder: Node,
    share: Share,
    client: Client,
    there: Client,
    *,
    beaune: Commune,
    nuits: Commune,
) -> None:
    """The number is the one that sync clients are told, which copy it as an internal link."""
    node, above = inside(drive, folder), properties.shift(beaune.id, nuits.id)
    opened = there.get(f"/index.php/f/{above + node}", follow=True)
    assert opened.status_code == 200 and "Plan de la piste.odt" in opened.content.decode()
    assert opened.redirect_chain[-1][0] == f"/coffre/chez/{share.id}/{node}/"
    secret = inside(drive, drive.own, "Plan secret.odt")
    for absent in (above + secret, above + node + (1 << 40), 1 << 62, 1 << 70):
        assert there.get(f"/index.php/f/{absent}", follow=True).status_code == 404, absent
    client.post(f"/coffre/partages/{share.id}/arreter/")
    assert there.get(f"/index.php/f/{above + node}", follow=True).status_code == 404


def test_what_another_commune_shares_is_found_apart_and_told_as_a_listing(
    drive: Drive, folder: Node, share: Share, client: Client, there: Client, *, nuits: Commune
) -> None:
    node = inside(drive, folder)
    for page in ("/coffre/recents/", "/coffre/recherche/?q=plan", "/coffre/recherche/?q=PISTE"):
        shown = text(there, page)
        assert f"/coffre/chez/{share.id}/{node}/" in shown and "Beaune" in shown and "secret" not in shown
    assert f"/coffre/chez/{share.id}/{folder.id}/" in text(there, "/coffre/recherche/?q=cyclable")
    assert crossings() == ["list"]
    agent = portal_client(nuits.agent_membership)
    text(agent, "/coffre/recherche/?q=introuvable")
    assert crossings() == ["list"]  # nothing of it was shown
    assert "Plan de la piste.odt" in text(agent, "/coffre/recherche/?q=plan") and crossings() == ["list"] * 2
    client.post(f"/coffre/partages/{share.id}/arreter/")
    for page in ("/coffre/recents/", "/coffre/recherche/?q=plan"):
        assert "Plan de la piste" not in text(there, page)


def test_a_third_commune_and_one_that_said_no_find_nothing(
    folder: Node, share: Share, there: Client, make_commune: Callable[..., Commune]
) -> None:
    third = portal_client(make_commune("Seurre", "seurre.test").agent_membership)
    assert "Plan de la piste" not in text(third, "/coffre/recherche/?q=plan")
    there.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "refuse"})
    assert "Plan de la piste" not in text(there, "/coffre/recherche/?q=plan")
    assert "Plan de la piste" not in text(there, "/coffre/recents/")


def test_an_owner_who_does_not_answer_is_named_missing_and_the_rest_is_shown(
    share: Share, there: Client, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    Drive(nuits.referent_membership).file("Plan à nous.odt")

    def away(*_: Any) -> None:
        raise Unavailable("The drive's database")

    monkeypatch.setattr(reach, "there", away)
    shown = text(there, "/coffre/recherche/?q=plan")
    assert "Plan à nous.odt" in shown and "Plan de la piste" not in shown and "ne répond pas" in shown


@pytest.fixture
def broken(share: Share, beaune: Commune) -> None:
    """The owner's metadata do not open any more."""
    drive_access._communes()._forget(beaune.id)
    folder = settings.BEFFROI.state / "drive" / beaune.id
    for one in folder.glob("metadata.db*"):
        one.unlink()
    (folder / "metadata.db").write_bytes(b"no database" * 1000)


def test_an_owner_whose_metadata_do_not_open_is_left_out_of_the_pages(
    broken: None, there: Client, beaune: Commune, nuits: Commune, server: Served
) -> None:
    ours = Drive(nuits.referent_membership)
    own = ours.file("Plan à nous.odt")
    there.post("/coffre/favoris/", {"ajouter": str(own.id)})
    assert "Plan à nous.odt" in text(there, "/coffre/") and "Plan à nous.odt" in text(
        there, f"/coffre/{own.id}/"
    )
    for page in ("recents/", "favoris/", "recherche/?q=plan", "partages-avec-moi/"):
        shown = text(there, f"/coffre/{page}")
        assert "Plan de la piste" not in shown, page
        assert f"{beaune.collectivite.name} ne répond pas" in shown and "ses fichiers manquent ici" in shown
        assert ("Plan à nous.odt" in shown) == (page != "partages-avec-moi/")
        assert "Rien pour le moment" not in shown
    assert Browser(server, there).send(b"un", folder=ours.own.id, name="notes.txt")[0] == 201
    assert "notes.txt" in ours.names()


def test_what_its_owner_lost_whole_is_said_to_the_referent_who_may_refuse_it(
    share: Share, there: Client, beaune: Commune, nuits: Commune
) -> None:
    drive_access._communes()._forget(beaune.id)
    shutil.rmtree(settings.BEFFROI.state / "drive" / beaune.id)
    ours = Drive(nuits.referent_membership).database

    def fingerprint() -> Any:
        with ours.reading() as reading:
            return reading.one("SELECT value FROM meta WHERE name = 'fingerprint'")

    before, page = fingerprint(), "/coffre/partages-avec-moi/"
    shown = text(there, page)
    assert "Introuvable" in shown and "Cette commune a perdu son Coffre" in shown and "Accepter" not in shown
    assert "ses fichiers manquent ici" not in shown, "what is wrong is said once"
    shown = text(portal_client(nuits.agent_membership), page)
    assert "a perdu ce qu’elle partageait avec vous" in shown and "Réessayez dans une minute" not in shown
    answer = there.get(f"/coffre/chez/{share.id}/")
    shown = answer.content.decode()
    assert answer.status_code == 503
    assert "Cette commune a perdu ce qu’elle partageait" in shown and "Réessayer</a>" not in shown
    assert fingerprint() == before
    there.post(page, {"partage": share.id, "what": "refuse"})
    assert fingerprint() != before, "devices delete nothing by it"
    assert "Cette commune a perdu son Coffre" not in text(there, page)
    assert there.get(f"/coffre/chez/{share.id}/").status_code == 404


def test_one_who_shares_nothing_with_the_other_reads_of_no_silence(broken: None, make_commune: Any) -> None:
    third = portal_client(make_commune("Seurre", "seurre.test").agent_membership)
    for page in ("recents/", "partages-avec-moi/"):
        assert "ses fichiers manquent ici" not in text(third, f"/coffre/{page}")


def test_versions_of_a_visit_are_listed_fetched_and_restored_by_who_may_write(
    drive: Drive, folder: Node, share: Share, client: Client, there: Client, *, server: Served, nuits: Commune
) -> None:
    owner, guest = Browser(server, client), Browser(server, there)
    node = owner.send(b"un", folder=folder.id, name="notes.txt")[1]["node"]
    owner.send(b"deux", folder=folder.id, name="notes.txt", taken="replace")
    with drive.database.reading() as reading:
        (old,) = versions.of(reading, node)
    at = f"/coffre/chez/{share.id}/{node}/"
    page = text(there, at)
    assert f"/coffre/octets/chez/{share.id}/{node}/{old.etag}" in page
    assert f"/coffre/chez/{share.id}/{node}/comparer/{old.etag}/" in page and "Rétablir" in page
    assert f"/coffre/octets/chez/{share.id}/{node}/apercu?v=" in page
    assert guest.ask("GET", f"/coffre/octets/chez/{share.id}/{node}/{old.etag}")[2] == b"un"
    assert guest.ask("GET", f"/coffre/octets/{node}/{old.etag}")[0] == 404
    assert there.post(at, {"what": "version", "etag": "1"}).status_code == 302  # none of these
    assert there.post(at, {"what": "version", "etag": str(old.etag)}).status_code == 302
    assert owner.ask("GET", f"/coffre/octets/{node}")[2] == b"un"
    client.post(f"/coffre/partages/{share.id}/arreter/")
    assert there.post(at, {"what": "version", "etag": str(old.etag)}).status_code == 404
    assert there.get(f"{at}comparer/{old.etag}/").status_code == 404


def test_who_only_reads_restores_nothing(
    drive: Drive, folder: Node, nuits: Commune, client: Client, there: Client
) -> None:
    drive.file("Plan de la piste.odt", folder)
    node = inside(drive, folder)
    make(client, folder.id, f"collectivite:{nuits.id}")
    made = only_share(drive)
    there.post("/coffre/partages-avec-moi/", {"partage": made.id, "what": "accept"})
    with drive.database.reading() as reading:
        (old,) = versions.of(reading, node)
    at = f"/coffre/chez/{made.id}/{node}/"
    page = text(there, at)
    assert "Versions précédentes" in page and "Rétablir" not in page
    there.post(at, {"what": "version", "etag": str(old.etag)})
    with drive.database.reading() as reading:
        assert len(versions.of(reading, node)) == 1


def test_previews_of_a_visit_are_told_once_however_many_parts_they_have(
    drive: Drive, folder: Node, share: Share, client: Client, there: Client, *, server: Served
) -> None:
    owner, guest = Browser(server, client), Browser(server, there)
    image = owner.send(PNG, folder=folder.id, name="façade.png")[1]["node"]
    pdf = owner.send(PDF, folder=folder.id, name="plan.pdf")[1]["node"]
    secret = owner.send(PNG, folder=drive.own.id, name="secret.png")[1]["node"]
    at = f"/coffre/octets/chez/{share.id}"
    assert f'data-pdf="{at}/{pdf}"' in text(there, f"/coffre/chez/{share.id}/{pdf}/")
    told = server.directory / "told-crossings"
    told.unlink(missing_ok=True)
    status, headers, body = guest.ask("GET", f"{at}/{image}/apercu")
    assert (status, headers["content-type"], body) == (200, "image/png", PNG)
    assert guest.ask("GET", f"{at}/{pdf}")[2] == PDF
    for start in (4, 8, 12):
        status, _, body = guest.ask("GET", f"{at}/{pdf}", Range=f"bytes={start}-{start + 3}")
        assert (status, body) == (206, PDF[start : start + 4])
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert [(one["what"], one["node_id"]) for one in lines] == [("read", image), ("read", pdf)]
    for path in (
        f"{at}/{secret}/apercu",
        f"{at}/{secret}",
        f"/coffre/octets/bureau/chez/{share.id}/{secret}",
    ):
        assert guest.ask("GET", path)[0] == 404
    stranger = f"/coffre/octets/bureau/chez/shr_{'0' * 26}/{image}"
    assert guest.ask("GET", stranger)[0] == 404
    client.post(f"/coffre/partages/{share.id}/arreter/")
    assert guest.ask("GET", f"{at}/{image}/apercu")[0] == 404


def test_a_part_is_told_where_nothing_was_read_before(
    folder: Node, share: Share, client: Client, there: Client, server: Served
) -> None:
    node = Browser(server, client).send(PDF, folder=folder.id, name="autre.pdf")[1]["node"]
    told = server.directory / "told-crossings"
    told.unlink(missing_ok=True)
    path = f"/coffre/octets/chez/{share.id}/{node}"
    assert Browser(server, there).ask("GET", path, Range="bytes=-4")[0] == 206
    assert [json.loads(line)["what"] for line in told.read_text().splitlines()] == ["read"]


def test_a_whole_file_is_told_each_time_whatever_part_of_it_was_asked_for(
    folder: Node, share: Share, client: Client, there: Client, server: Served
) -> None:
    node = Browser(server, client).send(PDF, folder=folder.id, name="encore.pdf")[1]["node"]
    told = server.directory / "told-crossings"
    told.unlink(missing_ok=True)
    guest, path = Browser(server, there), f"/coffre/octets/chez/{share.id}/{node}"
    asked = (
        {},
        {"Range": "bytes=9-8"},
        {"Range": "bytes=4-7,8-9"},
        {"Range": "lines=4-"},
        {"Range": "bytes=4-", "If_Range": '"of another content"'},
        {"Range": f"bytes=-{len(PDF)}"},
        {"Range": "bytes = 0-"},
    )
    for number, headers in enumerate(asked, 1):
        assert guest.ask("GET", path, **headers)[2] == PDF, headers
        assert len(told.read_text().splitlines()) == number, headers
    image = Browser(server, client).send(PNG, folder=folder.id, name="encore.png")[1]["node"]
    told.unlink()
    for number in (1, 2):
        assert guest.ask("GET", f"/coffre/octets/chez/{share.id}/{image}/apercu", Range="bytes=4-")[2] == PNG
        assert len(told.read_text().splitlines()) == number


def test_the_editor_of_a_visit_gets_a_token_by_its_share(
    drive: Drive,
    folder: Node,
    share: Share,
    there: Client,
    nuits: Commune,
    *,
    office: Office,
    with_editor: None,
) -> None:
    node = inside(drive, folder)
    at = f"/coffre/chez/{share.id}/{node}/"
    assert f"{at}editer/" in text(there, at)
    page = text(there, f"{at}editer/")
    assert f"wopi%2Ffiles%2F{drive.collectivite_id}-{node}" in page and f'data-back="{at}"' in page
    token = re.findall(r'name="access_token" value="([^"]+)"', page)[0]
    key, file = settings.BEFFROI.secret("drive-grant.key"), tokens.File(drive.collectivite_id, node)
    grant = tokens.read(key, token, file)
    assert (grant.share_id, grant.collectivite_id) == (share.id, nuits.id) and tokens.may_write(grant, file)
    with pytest.raises(GrantRefused):
        tokens.read(key, token, tokens.File(nuits.id, node))
    there.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "refuse"})
    assert there.get(f"{at}editer/").status_code == 404


def test_a_new_document_is_made_in_a_visit_by_who_may_write(
    drive: Drive,
    folder: Node,
    share: Share,
    client: Client,
    there: Client,
    *,
    server: Served,
    with_editor: None,
) -> None:
    assert f"/coffre/envoi/nouveau/chez/{share.id}" in text(there, f"/coffre/chez/{share.id}/")
    guest = Browser(server, there)

    def made(folder_id: int, share_id: str = share.id, rest: str = "") -> str:
        form = urlencode({"dossier": folder_id, "genre": "texte", "nom": "Compte rendu"}).encode()
        path = f"/coffre/envoi/nouveau/chez/{share_id}{rest}"
        status, headers, _ = guest.ask("POST", path, form, Origin=f"http://127.0.0.1:{server.port}")
        assert status == 303
        return headers["location"]

    location = made(folder.id)
    found = re.fullmatch(rf"/coffre/chez/{share.id}/(\d+)/editer/", location)
    assert found is not None and int(found[1]) == inside(drive, folder, "Compte rendu.odt"), location
    assert made(drive.own.id) == f"/coffre/chez/{share.id}/{drive.own.id}/?refus=drive.absent"
    assert made(folder.id, f"shr_{'0' * 26}").endswith("refus=drive.absent")
    assert made(folder.id, rest="/x").endswith("refus=drive.absent")
    client.post(f"/coffre/partages/{share.id}/arreter/")
    assert made(folder.id).endswith("refus=drive.absent")
    assert drive.names(folder) == ["Compte rendu.odt", "Plan de la piste.odt"]


def test_who_only_reads_a_visit_is_told_that_they_make_nothing_there(
    drive: Drive,
    folder: Node,
    nuits: Commune,
    client: Client,
    there: Client,
    *,
    server: Served,
    with_editor: None,
) -> None:
    make(client, folder.id, f"collectivite:{nuits.id}")
    made = only_share(drive)
    there.post("/coffre/partages-avec-moi/", {"partage": made.id, "what": "accept"})
    assert "Nouveau document" not in text(there, f"/coffre/chez/{made.id}/")
    form = urlencode({"dossier": folder.id, "genre": "texte", "nom": "x"}).encode()
    path = f"/coffre/envoi/nouveau/chez/{made.id}"
    origin = f"http://127.0.0.1:{server.port}"
    _, headers, _ = Browser(server, there).ask("POST", path, form, Origin=origin)
    assert headers["location"] == f"/coffre/chez/{made.id}/{folder.id}/?refus=drive.read_only"
    assert "lire" in text(there, headers["location"])
