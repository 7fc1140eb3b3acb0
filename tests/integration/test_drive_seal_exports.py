"""Coffre, seals: packages for the archives and proofs of one file, by the real process."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from beffroi.cli.check_seal import main as check_seal
from beffroi.core.communes import actions as communes
from beffroi.core.identity.actor import Actor
from beffroi.drive.archives import bagcheck, far, manifest
from beffroi.drive.store import look, seals
from beffroi.drive.store.model import Node
from beffroi.drive.store.stock import stocks
from beffroi.drive.web import granted
from beffroi.drive.web import sealed as door
from beffroi.drive.web.bodies import SealedStore
from beffroi.drive.web.messages import Request
from beffroi.lib import clock
from beffroi.portal import drive_access
from django.conf import settings
from django.test import Client
from lxml import etree

from tests.conftest import Commune
from tests.drive_browser import Browser, server
from tests.drive_pages import Drive
from tests.drive_server import Served
from tests.fixtures_portal import no_door, portal_client
from tests.fixtures_seals import BODIES, drive, elu, folder, node_of, referent, sealed, verbs
from tests.integration.test_drive_archives_tools import OLD_CALLS
from tests.markup import text_of
from tests.unit.test_drive_archives_seda import SCHEMAS, schema
from tests.unit.test_drive_archives_seda_profile import profile

__all__ = ["drive", "elu", "folder", "no_door", "referent", "server"]
pytestmark = pytest.mark.django_db


def test_a_proof_of_one_file_shows_nothing_of_the_others(
    drive: Drive, folder: Node, referent: Client, beaune: Commune
) -> None:
    seal = sealed(drive, folder, referent)
    file = node_of(drive, folder, "Facture 2.pdf")
    agent = portal_client(beaune.agent_membership)
    assert "Preuve de ce fichier" in text_of(agent.get(f"/coffre/{file}/"))
    answer = agent.post(f"/coffre/sceaux/{seal.id}/preuve/{file}/")
    assert "Facture 2.pdf (preuve).zip" in answer["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert set(packed.namelist()) == {"preuve.json", "sceau.txt", "sceau.sig", "cle.pem"}
        proof = manifest.read_proof(json.loads(packed.read("preuve.json")))
        assert proof.holds(manifest.read_statement(packed.read("sceau.txt")))
    assert b"Facture 2.pdf" in proof.line and b"Facture 1" not in answer.content
    beside = drive.file("autre.pdf", drive.common)
    for other in (beside.id, folder.id, drive.common.id):
        assert agent.post(f"/coffre/sceaux/{seal.id}/preuve/{other}/").status_code == 404
    assert verbs() == ["drive:seal:asked", "drive:seal:proved"]


def checked(package: Path, *, document: Path | None = None, key: str = "") -> int:
    return check_seal(package, document=document, key=key)


def test_a_proof_is_checked_far_from_the_centre(
    drive: Drive, folder: Node, referent: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seal = sealed(drive, folder, referent)
    file = node_of(drive, folder, "Facture 2.pdf")
    answer = referent.post(f"/coffre/sceaux/{seal.id}/preuve/{file}/")
    package, document = tmp_path / "preuve.zip", tmp_path / "reçue.pdf"
    package.write_bytes(answer.content)
    document.write_bytes(BODIES["Facture 2.pdf"])
    with drive.database.reading() as reading:
        key = far.public_key(seals.texts(reading, seal.id)["cle.pem"]).hex()
    assert checked(package, document=document, key=key) == 0
    assert "Facture 2.pdf" in capsys.readouterr().out
    document.write_bytes(BODIES["Facture 2.pdf"] + b" ")
    assert checked(package, document=document, key=key) == 1
    assert "ce n’est pas ce fichier" in capsys.readouterr().out
    assert checked(package, document=None, key="00" * 32) == 1


@OLD_CALLS
def test_packages_stream_to_the_referent_and_are_told_before(
    drive: Drive, folder: Node, referent: Client, server: Served, tmp_path: Path
) -> None:
    seal = sealed(drive, folder, referent)
    browser = Browser(server, referent)
    told = Path(server.directory / "told-seals")
    told.unlink(missing_ok=True)
    address = f"/coffre/octets/sceaux/{seal.id}/"
    form = {"organisation": "Beaune, SIREN 212100549"}
    status, headers, body = browser.ask(
        "POST", address + "bagit", urlencode(form).encode(), Origin=server.url
    )
    assert status == 200 and "BagIt" in headers["content-disposition"]
    assert bagcheck.archive(io.BytesIO(body)) == []
    with zipfile.ZipFile(io.BytesIO(body)) as bag:
        bag.extractall(tmp_path / "bag")
    other = pytest.importorskip("bagit", reason="PyPI's bagit is not installed")
    unpacked = next((tmp_path / "bag").iterdir())
    other.Bag(str(unpacked)).validate()
    (tmp_path / "bag.zip").write_bytes(body)
    assert checked(tmp_path / "bag.zip") == checked(unpacked) == 0
    (unpacked / "data" / "Facture 1.pdf").write_bytes(b"autre")
    assert checked(unpacked) == 1
    with zipfile.ZipFile(io.BytesIO(body)) as bag:
        inside = {name.partition("/")[2]: name for name in bag.namelist()}
        assert bag.read(inside["data/Facture 1.pdf"]) == BODIES["Facture 1.pdf"]
        assert manifest.read_statement(bag.read(inside["beffroi/sceau.txt"])).files == 2
        assert "Source-Organization: Beaune, SIREN 212100549" in bag.read(inside["bag-info.txt"]).decode()
    form = {
        "own": "212100549",
        "own_scheme": "agreed",
        "organisation": "Beaune",
        "service": "AD21",
        "dua": "APP-1",
    }
    status, _, body = browser.ask("POST", address + "seda", urlencode(form).encode(), Origin=server.url)
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(body)) as sip:
        assert sip.testzip() is None and sum(one.startswith("content/") for one in sip.namelist()) == 2
        xml = sip.read("manifest.xml").decode()
    if SCHEMAS:
        schema("2.2").assertValid(etree.fromstring(xml.encode()))
    assert "seda:v2.2" in xml and seal.id in xml and "APP-1" in xml and "Factures 2026" in xml
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert [(kind, said["what"]) for kind, _, said in lines] == [
        ("drive:seal_exported", "bagit"),
        ("drive:seal_exported", "seda"),
    ]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"own": "123456789", "own_scheme": "SIREN", "service": "AD21"}, "drive.transfer_invalid"),
        ({"own": "21231", "own_scheme": "x", "service": "AD21"}, "drive.transfer_invalid"),
        ({"own": "21231", "own_scheme": "INSEE"}, "drive.transfer_invalid"),
        ({"own": "21231", "own_scheme": "INSEE", "service": "A", "version": "9"}, "drive.transfer_invalid"),
        ({"origin": "https://ailleurs.example"}, "drive.foreign_origin"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_an_export_that_cannot_be_made_leads_back_with_a_reason(
    drive: Drive, referent: Client, server: Served, form: dict[str, str], code: str
) -> None:
    with drive.database.reading() as reading:
        folder = look.child(reading, drive.common.id, "Factures 2026")
    assert folder is not None
    seal = sealed(drive, folder, referent)
    browser, origin = Browser(server, referent), form.get("origin", server.url)
    address = f"/coffre/octets/sceaux/{seal.id}/seda"
    status, headers, _ = browser.ask("POST", address, urlencode(form).encode(), Origin=origin)
    assert (status, headers["location"]) == (303, f"/coffre/sceaux/{seal.id}/?refus={code}")
    page = text_of(referent.get(headers["location"]))
    assert 'role="alert"' in page


TYPED = {
    "own": "212100549",
    "own_scheme": "SIREN",
    "organisation": "Beaune",
    "service": "AD21",
    "service_name": "Archives de la Côte-d’Or <21>",
    "agreement": "IC-000001",
    "dua": "APP-7",
    "access": "ACC-3",
    "version": "2.1",
}


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("own", "123456789", "n’en sont pas un"),
        ("own", "", "écrivez ce que les Archives ont donné"),
        ("service", "  ", "écrivez ce que les Archives ont donné"),
        ("own_scheme", "x", "Choisissez dans la liste"),
        ("version", "9", "Choisissez dans la liste"),
    ],
)
@pytest.mark.usefixtures("server")
def test_a_wrong_field_of_a_transfer_is_named_and_all_that_was_typed_stays(
    drive: Drive, folder: Node, referent: Client, *, field: str, typed: str, said: str
) -> None:
    seal = sealed(drive, folder, referent)
    form = TYPED | {field: typed}
    answer = referent.post(f"/coffre/sceaux/{seal.id}/seda/", form)
    assert answer.status_code == 400
    (shown,) = etree.HTML(answer.content.decode()).xpath("//details[@open]")
    (wrong,) = shown.xpath(".//*[@aria-invalid='true']")
    (why,) = shown.xpath(f".//*[@id='{wrong.get('aria-describedby')}']")
    assert wrong.get("name") == field and said in why.text
    kept = {one.get("name"): one.get("value") for one in shown.xpath(".//input") if one.get("name") in form}
    kept |= {
        one.getparent().get("name"): one.get("value", one.text) for one in shown.xpath(".//option[@selected]")
    }
    assert {name: kept.get(name) for name in form if name != field} == {
        name: value for name, value in form.items() if name not in (field, "organisation")
    } | {"organisation": "Beaune"}


def test_a_good_form_goes_on_to_the_package(
    drive: Drive, folder: Node, referent: Client, server: Served, nuits: Commune
) -> None:
    seal = sealed(drive, folder, referent)
    address = f"/coffre/sceaux/{seal.id}/seda/"
    answer = referent.post(address, TYPED)
    assert answer.status_code == 307, "a browser sends the same form once more"
    browser = Browser(server, referent)
    status, _, body = browser.ask("POST", answer["Location"], urlencode(TYPED).encode(), Origin=server.url)
    with zipfile.ZipFile(io.BytesIO(body)) as sip:
        xml = sip.read("manifest.xml").decode()
    assert status == 200 and all(
        TYPED[name] in xml for name in ("own", "service", "agreement", "dua", "access")
    )
    assert "seda:v2.1" in xml
    assert portal_client(nuits.referent_membership).post(address, TYPED).status_code == 404


def test_a_file_that_the_door_holds_is_not_exported(
    drive: Drive, folder: Node, referent: Client, server: Served
) -> None:
    seal = sealed(drive, folder, referent)
    with drive.database.reading() as reading:
        node = look.child(reading, folder.id, "Facture 1.pdf")
    assert node is not None
    refused = server.directory / "refused"
    refused.write_text(node.sha256)
    try:
        browser = Browser(server, referent)
        address = f"/coffre/octets/sceaux/{seal.id}/bagit"
        status, headers, _ = browser.ask("POST", address, Origin=server.url)
        assert status == 303 and headers["location"].endswith("?refus=drive.frozen")
    finally:
        refused.unlink()


def test_exports_of_one_town_hall_leave_room_to_those_of_another(
    drive: Drive, folder: Node, referent: Client, server: Served
) -> None:
    """Also those that are asked for at once, before the first byte of any of them."""
    seal, cookie = sealed(drive, folder, referent), Browser(server, referent).cookies[granted.OUT_PATH]

    async def empty() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    def asked() -> Request:
        headers = {b"cookie": f"{granted.COOKIES[granted.OUT_PATH]}={cookie}".encode()}
        headers |= {b"host": b"beffroi.test", b"origin": b"https://beffroi.test"}
        return Request("POST", f"{door.PATH}/{seal.id}/bagit", "", headers, empty)

    async def at_once(desk: door.Sealed, requests: list[Request]) -> list[int]:
        return sorted(one.status for one in await asyncio.gather(*map(desk, requests)))

    with ThreadPoolExecutor(2) as workers:
        communes = drive_access._communes()
        bodies = SealedStore(settings.BEFFROI, communes, workers, lambda *_: None)
        key = settings.BEFFROI.secret("drive-grant.key")
        desk = door.Sealed(communes, bodies, stocks(settings.BEFFROI), key, lambda *_: None, lambda *_: None)
        requests = [asked() for _ in range(door.MOST_OF_ONE + 1)]
        assert asyncio.run(at_once(desk, requests)) == [200] * door.MOST_OF_ONE + [303]
        for one in requests:
            one.end()
        assert asyncio.run(at_once(desk, [asked()])) == [200]


def test_a_folder_that_was_sealed_under_another_name_says_who_made_it_and_who_gives_it(  # noqa: PLR0917
    drive: Drive, folder: Node, referent: Client, server: Served, beaune: Commune, administrator: Actor
) -> None:
    """Communes merged since: the originating agency is the one of the seal, the transferring one that of today."""
    with clock.shifted(-60):
        communes.rename(
            actor=administrator, collectivite=beaune.collectivite, name="Beaune", siren="212100549"
        )
    seal = sealed(drive, folder, referent)
    assert "producer" not in referent.get(f"/coffre/sceaux/{seal.id}/").content.decode()
    beaune.collectivite.refresh_from_db()
    with clock.shifted(60):
        communes.rename(
            actor=administrator, collectivite=beaune.collectivite, name="Beaune-Nuits", siren="212102107"
        )
        page = etree.HTML(referent.get(f"/coffre/sceaux/{seal.id}/").content.decode())

    def sent(kind: str, **more: str) -> zipfile.ZipFile:
        """What the page proposes, as a browser sends it."""
        (form,) = page.xpath(f"//form[contains(@action, '{kind}')]")
        fields = {one.get("name"): one.get("value") or "" for one in form.xpath(".//input")}
        chosen = form.xpath(".//option[@selected]")
        fields |= {one.getparent().get("name"): one.get("value") or "2.2" for one in chosen}
        fields.pop("csrfmiddlewaretoken", None)
        status, headers, body = Browser(server, referent).ask(
            "POST",
            f"/coffre/octets/sceaux/{seal.id}/{kind}",
            urlencode(fields | more).encode(),
            Origin=server.url,
        )
        assert status == 200, headers
        return zipfile.ZipFile(io.BytesIO(body))

    with sent("seda", service="AD21") as sip:
        tree = etree.fromstring(sip.read("manifest.xml"))
    profile("2.2").assertValid(tree)
    if SCHEMAS:
        schema("2.2").assertValid(tree)
    for agency, siren, name in (
        ("OriginatingAgency", "212100549", "Beaune"),
        ("TransferringAgency", "212102107", "Beaune-Nuits"),
    ):
        (found,) = tree.xpath(f"//*[local-name()='{agency}']/*[local-name()='Identifier']")
        assert (found.text, found.get("schemeName")) == (siren, name), agency
    assert tree.xpath("//*[local-name()='OriginatingAgencyIdentifier']")[0].text == "212100549"
    with sent("bagit") as bag:
        (info,) = (bag.read(name).decode() for name in bag.namelist() if name.endswith("bag-info.txt"))
    assert "Source-Organization: Beaune-Nuits, SIREN 212102107\n" in info
    assert "External-Description: Factures 2026 (producteur : Beaune, SIREN 212100549)\n" in info

    wrong = {
        "own": "212102107",
        "own_scheme": "SIREN",
        "producer": "123456789",
        "producer_scheme": "SIREN",
        "service": "A",
    }
    refused = referent.post(f"/coffre/sceaux/{seal.id}/seda/", wrong)
    assert refused.status_code == 400 and "id_producer_error" in refused.content.decode()
