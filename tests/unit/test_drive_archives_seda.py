"""SEDA transfers: the order of elements, the hashes, and hostile names that are text and nothing else.

The official schemas are not part of this repository (they carry no licence). With BEFFROI_SEDA_SCHEMAS=FOLDER, which
holds ``seda-2.X-main.xsd`` and those beside it, ``xml.xsd`` and ``xlink.xsd`` of W3C, each
transfer is validated by them.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.archives import formats, names, seda
from beffroi.drive.archives.entries import ContentChanged, Entry, SamePath
from beffroi.lib.codes import is_siren
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.archive_entries import HOSTILE, MTIME_S, TRANSFER, entry, folder, folders, joined, other, unhurried

SCHEMAS = os.environ.get("BEFFROI_SEDA_SCHEMAS", "")
VERSIONS: tuple[seda.Version, ...] = ("2.1", "2.2", "2.3")
FILES = {
    "2026/mars/a.pdf": b"%PDF-1.4 un",
    "2026/b.PDF": b"%PDF-9.9 deux",
    "pv.odt": b"trois",
    "vide.txt": b"",
}


def sip(entries: list[Entry], transfer: seda.Transfer = TRANSFER) -> tuple[Any, dict[str, bytes]]:
    """The manifest as a tree, and the files, of a package."""
    with zipfile.ZipFile(io.BytesIO(joined(seda.package(entries, transfer)))) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    return etree.fromstring(parts.pop("manifest.xml"), parser), parts


def texts(tree: Any, name: str) -> list[str]:
    return [one.text or "" for one in tree.iter(f"{{*}}{name}")]


class _Beside(etree.Resolver):
    """W3C's two schemas, from the folder instead of the network."""

    def resolve(self, url: str, _id: str, context: Any) -> Any:
        return self.resolve_filename(str(Path(SCHEMAS, url.rsplit("/", 1)[1])), context)


@cache
def schema(version: str) -> Any:
    parser = etree.XMLParser(no_network=True, load_dtd=False, resolve_entities=False)
    parser.resolvers.add(_Beside())
    return etree.XMLSchema(etree.parse(Path(SCHEMAS, f"seda-{version}-main.xsd"), parser))


@pytest.mark.parametrize("version", VERSIONS)
class OfficialSchema:
    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"agreement": ""},
            {"appraisal": None},
            {"access": None},
            {"appraisal": None, "access": None, "final": "Destroy"},
            {"final": "Destroy"},
            {"title": " \x00<&>\u202e "},
            {"originating": seda.Agency("2A004", "INSEE", "")},
        ],
    )
    def test_a_transfer_is_valid(self, version: seda.Version, change: dict[str, Any]) -> None:
        tree, _ = sip(folder(FILES), replace(TRANSFER, version=version, **change))
        schema(version).assertValid(tree)

    def test_hostile_names_times_and_depths_are_valid(self, version: seda.Version) -> None:
        entries = folder(dict.fromkeys([*HOSTILE, "/".join(["p"] * 400)], b"x"))
        entries.append(entry("ancien.txt", b"x", mtime_s=-(10**11)))
        entries.append(entry("loin.txt", b"x", mtime_s=10**18))
        tree, _ = sip(entries, replace(TRANSFER, version=version))
        schema(version).assertValid(tree)

    def test_an_empty_folder_is_valid(self, version: seda.Version) -> None:
        schema(version).assertValid(sip([], replace(TRANSFER, version=version))[0])

    def test_the_schema_refuses_what_is_wrong(self, version: seda.Version) -> None:
        tree, _ = sip(folder(FILES), replace(TRANSFER, version=version))
        next(tree.iter("{*}MessageDigest")).attrib.clear()
        assert not schema(version).validate(tree)

    @unhurried
    @given(folders)
    def test_any_folder_is_valid(self, version: seda.Version, files: dict[str, bytes]) -> None:
        schema(version).assertValid(sip(folder(files), replace(TRANSFER, version=version))[0])


@pytest.mark.parametrize("version", VERSIONS)
def test_the_message_has_its_elements_in_order(version: seda.Version) -> None:
    tree, _ = sip(folder(FILES), replace(TRANSFER, version=version))
    assert tree.tag == f"{{fr:gouv:culture:archivesdefrance:seda:v{version}}}ArchiveTransfer"
    assert [etree.QName(one).localname for one in tree] == [
        "Comment",
        "Date",
        "MessageIdentifier",
        "ArchivalAgreement",
        "CodeListVersions",
        "DataObjectPackage",
        "ArchivalAgency",
        "TransferringAgency",
    ]
    assert texts(tree, "Date") == ["2026-11-27T05:00:00Z"]
    assert texts(tree, "Rule") == ["APP-00001", "ACC-00001"]
    assert texts(tree, "FinalAction") == ["Keep"]
    assert texts(tree, "DocumentType") == ["Délibérations"]
    assert texts(tree, "OriginatingAgencyIdentifier") == ["213105554"]


def test_every_file_is_in_the_package_with_its_hash_and_size() -> None:
    tree, parts = sip(folder(FILES))
    assert sorted(parts.values()) == sorted(FILES.values())
    objects = list(tree.iter("{*}BinaryDataObject"))
    assert len(objects) == len(FILES)
    for one in objects:
        data = parts[texts(one, "Uri")[0]]
        assert texts(one, "MessageDigest") == [hashlib.sha512(data).hexdigest()]
        assert texts(one, "Size") == ([str(len(data))] if data else [])
    assert texts(tree, "LastModified") == [f"{datetime.fromtimestamp(MTIME_S, UTC):%Y-%m-%dT%H:%M:%SZ}"] * 4


def test_folders_are_units_around_their_files() -> None:
    tree, _ = sip(folder(FILES))

    def shape(unit: Any) -> dict[str, Any]:
        inner = [one for one in unit if etree.QName(one).localname == "ArchiveUnit"]
        title = unit.findtext("{*}Content/{*}Title")
        return {title: [shape(one) for one in inner]}

    root = tree.find(".//{*}DescriptiveMetadata/{*}ArchiveUnit")
    assert shape(root) == {
        "Délibérations 2026": [
            {"pv.odt": []},
            {"vide.txt": []},
            {"2026": [{"b.PDF": []}, {"mars": [{"a.pdf": []}]}]},
        ]
    }
    identifiers = [one.get("id") for one in tree.iter() if one.get("id")]
    assert len(set(identifiers)) == len(identifiers)
    assert set(texts(tree, "DataObjectGroupReferenceId")) == {f"GROUP{number}" for number in range(1, 5)}


@unhurried
@given(folders)
def test_no_name_of_a_file_is_a_name_in_the_package(files: dict[str, bytes]) -> None:
    tree, parts = sip(folder(files))
    assert sorted(parts.values()) == sorted(files.values())
    assert all(re.fullmatch(r"content/ID[0-9]+(\.[a-z0-9]{1,15})?", path) for path in parts)
    assert all(title.strip() for title in texts(tree, "Title"))


def test_hostile_names_are_text() -> None:
    tree, parts = sip(folder(dict.fromkeys(HOSTILE, b"x")))
    assert len(parts) == len(HOSTILE)
    shown = texts(tree, "Filename")
    assert 'a<b>c:d"e|f?g*h.txt' in shown
    assert "retour_chariot_ligne.txt" in shown
    assert "(sans nom)" in shown
    assert not any("\u202e" in name for name in shown)


def test_folders_deeper_than_a_reader_likes_become_a_title() -> None:
    deep = "/".join(["p"] * 300) + "/a.pdf"
    tree, _ = sip(folder({deep: b"x"}))
    title = texts(tree, "Title")[-1]
    assert title == "/".join(["p"] * (300 - seda.MAX_DEPTH)) + "/a.pdf"
    assert max(len(list(one.iterancestors())) for one in tree.iter()) < 60


@pytest.mark.parametrize(
    ("name", "head", "found"),
    [
        ("a.pdf", b"%PDF-1.7\n", formats.Format("PDF 1.7", "application/pdf", "fmt/276")),
        ("a.txt", b"%PDF-1.4\n", formats.Format("PDF 1.4", "application/pdf", "fmt/18")),
        ("a.pdf", b"%PDF-9.9\n", formats.Format("PDF 9.9", "application/pdf")),
        (
            "a.JPG",
            b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01",
            formats.Format("JPEG (JFIF)", "image/jpeg", "fmt/43"),
        ),
        ("a.jpg", b"\xff\xd8\xff\xe1", formats.Format("JPEG", "image/jpeg")),
        ("a.odt", b"PK", formats.Format("OpenDocument, texte", "application/vnd.oasis.opendocument.text")),
        ("a", b"", formats.UNKNOWN),
    ],
)
def test_a_format_is_named_as_far_as_it_is_known(name: str, head: bytes, found: formats.Format) -> None:
    look = formats.Look()
    look.update(head)
    assert look.found(name) == found


ELEMENTS = b"<pdfaid:part>%d</pdfaid:part>\n <pdfaid:conformance>%s</pdfaid:conformance>"
ATTRIBUTES = b'<rdf:Description pdfaid:part="%d" pdfaid:conformance=\'%s\' pdfaid:rev="2020"/>'


@pytest.mark.parametrize("piece_bytes", [7, 1 << 20])
@pytest.mark.parametrize(
    ("says", "literal", "pronom"),
    [
        (ELEMENTS % (1, b"B"), "PDF/A-1b", "fmt/354"),
        (ATTRIBUTES % (1, b"A"), "PDF/A-1a", "fmt/95"),
        (ATTRIBUTES % (2, b"u"), "PDF/A-2u", "fmt/478"),
        (ELEMENTS % (3, b"B"), "PDF/A-3b", "fmt/480"),
        (b"<pdfaid:part>4</pdfaid:part>", "PDF/A-4", "fmt/1910"),
        (ELEMENTS % (1, b"B") + ELEMENTS % (2, b"B"), "PDF/A-2b", "fmt/477"),  # saved again behind itself
        (ELEMENTS % (1, b"U"), "PDF 1.4", ""),  # there is none
        (b"pdfaid:part of the namespace http://www.aiim.org/pdfa/ns/id/", "PDF 1.4", "fmt/18"),
    ],
)
def test_a_pdf_for_archives_is_named_as_one(says: bytes, literal: str, pronom: str, piece_bytes: int) -> None:
    whole = b"%PDF-1.4\n" + b"stream\n" * 999 + says + b"\nendstream" * 999
    look = formats.Look()
    for at in range(0, len(whole), piece_bytes):
        look.update(whole[at : at + piece_bytes])
    assert look.found("délibération.pdf") == formats.Format(literal, "application/pdf", pronom)


@pytest.mark.parametrize(
    "change",
    [
        {"identifier": " "},
        {"title": ""},
        {"document_type": "\n"},
        {"originating": seda.Agency("213105555", "SIREN", "")},
        {"originating": seda.Agency("12345678", "SIREN", "")},
        {"transferring": seda.Agency("2C004", "INSEE", "")},
        {"archival": seda.Agency("", "agreed", "")},
        {"access": seda.Rule(" ", date(2026, 1, 1))},
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"last": date(2025, 1, 1)},
    ],
)
def test_a_transfer_that_says_too_little_is_refused_before_a_byte(change: dict[str, Any]) -> None:
    with pytest.raises(seda.TransferInvalid):
        seda.package([], replace(TRANSFER, **change))


@unhurried
@given(st.text("0123456789", min_size=9, max_size=9))
def test_one_digit_in_ten_ends_a_siren(digits: str) -> None:
    assert sum(is_siren(digits[:8] + last) for last in "0123456789") == 1


def test_content_that_is_not_as_listed_ends_the_package_before_its_manifest() -> None:
    sent = b""
    with pytest.raises(ContentChanged):
        for piece in seda.package([entry("a", b"x"), other(entry("b", b"un"), b"xx")], TRANSFER):
            sent += piece
    assert not zipfile.is_zipfile(io.BytesIO(sent))
    with pytest.raises(SamePath):
        joined(seda.package([entry("a"), entry("a")], TRANSFER))


def test_a_digest_is_in_hexadecimal_and_nothing_else() -> None:
    """The schema takes base64 too: 128 hex digits are valid base64 of something else."""
    tree, _ = sip(folder({"a": b"x"}))
    digest = texts(tree, "MessageDigest")[0]
    assert bytes.fromhex(digest) == hashlib.sha512(b"x").digest()
    assert base64.b64decode(digest) != hashlib.sha512(b"x").digest()


def test_text_of_any_letters_can_stand_in_xml() -> None:
    for code in [*range(0x300), *range(0xD7F0, 0xE010), 0xFEFF, 0xFFFE, 0xFFFF, 0x1F469]:
        etree.Element("a").text = names.shown(chr(code) + "x")


if SCHEMAS:  # their licence lets nobody hand them on: who has them names their folder

    class TestOfficialSchema(OfficialSchema):
        pass
