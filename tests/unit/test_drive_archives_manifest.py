"""The seal of a folder: what it covers, what it proves, and what a look at the folder says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from beffroi.drive.archives import manifest, merkle, names, report
from beffroi.drive.archives.entries import Entry, SamePath
from beffroi.portal.drive_seal_words import sentences
from beffroi_protocol.signing import public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.archive_entries import (
    HOSTILE,
    KEY,
    MTIME_S,
    SUBJECT,
    TRUSTED,
    entry,
    folder,
    folders,
    unhurried,
)

FILES = {"2026/a.pdf": b"un", "2026/b.pdf": b"deux", "pv.odt": b"trois"}


def sealed_folder() -> tuple[manifest.Sealed, list[Entry]]:
    entries = folder(FILES)
    return manifest.seal(entries, SUBJECT, KEY), entries


# RFC 6962's tree, by the leaves and roots that the authors of Certificate Transparency test with.
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


@pytest.mark.parametrize("count", range(1, 9))
def test_the_tree_is_that_of_certificate_transparency(count: int) -> None:
    assert merkle.root(LEAVES[:count]).hex() == ROOTS[count - 1]


@unhurried
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
def test_a_path_leads_from_its_line_alone_to_the_root(lines: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(lines) - 1))
    root, path = merkle.root(lines), merkle.path(lines, index)
    assert merkle.leads_to(root, lines[index], index=index, count=len(lines), path=path)
    assert len(path) <= (len(lines) - 1).bit_length()

    assert not merkle.leads_to(root, lines[index] + b"x", index=index, count=len(lines), path=path)
    assert not merkle.leads_to(root, lines[index], index=index, count=len(lines), path=[*path, root])
    if path:
        assert not merkle.leads_to(root, lines[index], index=index, count=len(lines), path=path[:-1])
    assert not merkle.leads_to(root, lines[index], index=len(lines), count=len(lines), path=path)


@unhurried
@given(folders)
def test_a_seal_reads_back_and_the_folder_is_intact(files: dict[str, bytes]) -> None:
    files = {names.unescaped(names.escaped(path)): data for path, data in files.items()}
    entries = folder(files)
    sealed = manifest.seal(entries, SUBJECT, KEY)

    statement = manifest.read_statement(sealed.statement)
    assert statement.subject == SUBJECT
    assert statement.files == len(files)
    assert len(manifest.read_files(sealed.files)) == len(files)
    found = report.verify(sealed, reversed(entries), keys=TRUSTED, damaged=())
    assert found.intact
    assert found.present == len(files)


def test_the_texts_are_those_of_the_documentation() -> None:
    sealed, _ = sealed_folder()
    assert sealed.statement.decode().splitlines()[:4] == [
        "beffroi/seal/1",
        "collectivite: col_1",
        "folder: node_7",
        "name: Délibérations 2026",
    ]
    assert sealed.files.decode().splitlines()[0].split(" ", 3)[1:] == ["2", str(MTIME_S), "2026/a.pdf"]
    assert set(sealed.parts()) == {"sceau.txt", "fichiers.txt", "sceau.sig"}
    assert set(replace(sealed, stamp=b"der").parts()) == {
        "sceau.txt",
        "fichiers.txt",
        "sceau.sig",
        "sceau.tsr",
    }


def test_two_paths_that_are_one_in_nfc_cannot_be_sealed() -> None:
    with pytest.raises(SamePath):
        manifest.seal(folder({"é": b"", "e\u0301": b""}), SUBJECT, KEY)


def test_one_file_is_proved_without_the_others() -> None:
    sealed, _ = sealed_folder()
    statement = manifest.read_statement(sealed.statement)
    for path in FILES:
        proof = manifest.prove(sealed, path)
        assert proof is not None
        assert proof.holds(statement)
        assert not replace(proof, line=proof.line.replace(b" 2 ", b" 3 ") + b"x").holds(statement)
        assert not replace(proof, count=4).holds(statement)
        one = proof.as_json()
        assert manifest.read_proof(json.loads(json.dumps(one))) == proof
    assert manifest.prove(sealed, "absent.pdf") is None
    for said in (
        None,
        {},
        {**one, "path": ["zz"]},
        {**one, "path": [1]},
        {"beffroi": "x"},
    ):
        with pytest.raises(manifest.Malformed):
            manifest.read_proof(said)


def test_a_report_names_what_is_absent_changed_and_added() -> None:
    sealed, entries = sealed_folder()
    now = [
        entry("2026/a.pdf", b"UN"),
        replace(entries[2], mtime_s=MTIME_S + 1),
        entry("nouveau\n.pdf", b""),
    ]
    found = report.verify(sealed, now, keys=TRUSTED, damaged=())

    assert not found.intact
    assert found.absent == ("2026/b.pdf",)
    assert found.changed == (("2026/a.pdf", ("content",)), ("pv.odt", ("date",)))
    assert found.added == ("nouveau\\u{A}.pdf",)
    assert found.present == 0
    text = " ".join(sentences(found))
    assert "n’est plus tel qu’il a été scellé" in text
    assert "Fichiers modifiés\u00a0: 2." in text


def test_a_content_that_was_not_sound_when_it_was_read_is_named() -> None:
    sealed, entries = sealed_folder()
    found = report.verify(sealed, entries, keys=TRUSTED, damaged={"2026/a.pdf"})
    assert found.changed == (("2026/a.pdf", ("content",)),)
    assert found.present == len(FILES) - 1


@unhurried
@given(st.data())
def test_no_changed_bit_of_a_seal_is_believed(data: st.DataObject) -> None:
    sealed, entries = sealed_folder()
    part = data.draw(st.sampled_from(["statement", "files", "signature"]))
    raw = bytearray(getattr(sealed, part))
    place = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[place // 8] ^= 1 << place % 8
    found = report.verify(replace(sealed, **{part: bytes(raw)}), entries, keys=TRUSTED, damaged=())
    assert not found.intact
    assert sentences(found)


def test_a_list_with_a_line_less_is_not_the_one_that_was_sealed() -> None:
    sealed, entries = sealed_folder()
    shorter = replace(sealed, files=b"".join(sealed.files.splitlines(keepends=True)[:2]))
    found = report.verify(shorter, entries[:2], keys=TRUSTED, damaged=())
    assert (found.signed, found.listed, found.intact) == (True, False, False)


def test_a_stranger_signature_is_told() -> None:
    sealed, entries = sealed_folder()
    stranger = public_bytes(Ed25519PrivateKey.generate())
    found = report.verify(sealed, entries, keys=[stranger, b"short"], damaged=())
    assert not found.signed
    assert report.verify(sealed, entries, keys=[stranger, *TRUSTED], damaged=()).signed


def test_a_seal_is_no_statement_of_the_audit_log() -> None:
    from beffroi.core.audit import signing

    sealed, _ = sealed_folder()
    said = signing.Statement("export", 1, "ab", 1, 1)
    assert not said.signed_bytes.startswith(manifest.MARK.encode())
    assert sealed.statement.startswith(manifest.MARK.encode())
    assert not sealed.statement.startswith(said.signed_bytes.split(b"\n")[0])


@pytest.mark.parametrize(
    "change",
    [
        (b"beffroi/seal/1", b"beffroi/seal/2"),
        (b"files: 3", b"files: 03"),
        (b"files: 3", "files: ٣".encode()),
        (b"until: 2025", b"until: 99999"),
        (b"root: ", b"root: 00"),
        (b"by: ", b"by: \\u{FFFFFF}"),
        (b"by: per_3\n", b""),
        (b"by: per_3\n", b"by: per_3\nby: per_3\n"),
        (b"name: ", b"name: \xff"),
    ],
)
def test_another_spelling_of_a_statement_is_refused(change: tuple[bytes, bytes]) -> None:
    sealed, _ = sealed_folder()
    text = sealed.statement.replace(*change)
    assert text != sealed.statement
    with pytest.raises(manifest.Malformed):
        manifest.read_statement(text)


def test_lists_that_are_none_are_refused() -> None:
    sealed, _ = sealed_folder()
    lines = sealed.files.splitlines(keepends=True)
    for text in (sealed.files[:-1], lines[1] + lines[0], lines[0] * 2, b"x\n", b"\xff\n", b"\n"):
        with pytest.raises(manifest.Malformed):
            manifest.read_files(text)


def test_hostile_names_are_sealed_as_text() -> None:
    unique = {names.escaped(path): path for path in HOSTILE}
    entries = folder(dict.fromkeys(unique.values(), b"x"))
    sealed = manifest.seal(entries, SUBJECT, KEY)
    assert report.verify(sealed, entries, keys=TRUSTED, damaged=()).present == len(unique)
    assert sealed.files.count(b"\n") == len(unique)
