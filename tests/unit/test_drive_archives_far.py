"""`check seal`: a proof or an export of a sealed folder, looked at where nothing of the centre is."""

from __future__ import annotations

import json
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from beffroi.cli import check_seal
from beffroi.drive.archives import bagcheck, bagit, far, manifest
from beffroi.drive.archives.manifest import Malformed, Sealed
from beffroi.drive.seals.key import public_pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.archive_entries import HOSTILE, KEY, SUBJECT, TRUSTED, as_tar, folder, joined

FILES = {"2026/a.pdf": b"un", "2026/b.pdf": b"deux", "pv.odt": b"trois"}
OTHER = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
ABOUT = bagit.About("Délibérations", "Commune de Saint-Exemple", "Registre", "node_7", date(2026, 11, 27))


def seal(files: Mapping[str, bytes] = FILES) -> Sealed:
    return manifest.seal(folder(files), SUBJECT, KEY)


def proof(**changed: bytes) -> dict[str, bytes]:
    """``changed``: parts by their names, "_" for "."."""
    sealed = seal()
    found = manifest.prove(sealed, "2026/b.pdf")
    assert found is not None
    parts = {
        "preuve.json": json.dumps(found.as_json()).encode(),
        "sceau.txt": sealed.statement,
        "sceau.sig": sealed.signature,
        "cle.pem": public_pem(KEY),
    }
    return parts | {name.replace("_", "."): data for name, data in changed.items()}


def packed(folder_: Path, parts: Mapping[str, bytes]) -> Path:
    path = folder_ / "preuve.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return path


def bag(folder_: Path, files: Mapping[str, bytes] = FILES, sealed: Sealed | None = None) -> Path:
    path, parts = folder_ / "paquet.zip", (sealed or seal()).parts() | {"cle.pem": public_pem(KEY)}
    path.write_bytes(joined(bagit.bag(folder(files), ABOUT, extra=parts)))
    return path


def test_a_proof_shows_one_file_and_whose_key_signed(tmp_path: Path) -> None:
    shown = far.show(packed(tmp_path, proof()))
    assert shown.is_signed and shown.is_proof and shown.is_whole and shown.key in TRUSTED
    assert shown.proved is not None and shown.proved.path == "2026/b.pdf"
    assert not far.show(packed(tmp_path, proof()), b"\2" * 32).is_signed, "another key is asked for"
    forged = proof(sceau_sig=OTHER.sign(seal().statement), cle_pem=public_pem(OTHER))
    assert far.show(packed(tmp_path, forged)).key not in TRUSTED, "by another's key it is another's word"
    assert not far.show(packed(tmp_path, proof(cle_pem=public_pem(OTHER)))).is_signed


def test_a_proof_that_was_changed_leads_nowhere(tmp_path: Path) -> None:
    said = json.loads(proof()["preuve.json"])
    for wrong in (
        {**said, "line": said["line"].replace("b.pdf", "c.pdf")},
        {**said, "index": said["index"] + 1},
        {**said, "count": said["count"] + 1},
        {**said, "path": said["path"][:-1]},
    ):
        shown = far.show(packed(tmp_path, proof(preuve_json=json.dumps(wrong).encode())))
        assert shown.is_signed and not shown.is_whole and shown.proved is None


@pytest.mark.parametrize(
    "changed",
    [
        {"preuve_json": b"["},
        {"preuve_json": b"[" * 100_000},
        {"preuve_json": b'{"beffroi": "seal-proof/1"}'},
        {"preuve_json": b" " * (2 << 20)},
        {"sceau_txt": b"beffroi/seal/1\n"},
        {"cle_pem": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"},
        {"cle_pem": b""},
    ],
)
def test_what_cannot_be_read_is_refused_in_one_way(tmp_path: Path, changed: dict[str, bytes]) -> None:
    with pytest.raises(Malformed):
        far.show(packed(tmp_path, proof(**changed)))


def test_a_line_that_is_two_is_no_proof(tmp_path: Path) -> None:
    said = json.loads(proof()["preuve.json"])
    said["line"] += "\n" + said["line"].replace("b.pdf", "c.pdf")
    with pytest.raises(Malformed):
        far.show(packed(tmp_path, proof(preuve_json=json.dumps(said).encode())))


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(Malformed):
        far.public_key(public_pem(X25519PrivateKey.generate()))  # type: ignore[arg-type]


def test_what_is_no_package_is_told(tmp_path: Path) -> None:
    for data in (b"", b"PK\x03\x04", b"%PDF-1.7\n" + b"x" * 5000):
        (tmp_path / "autre").write_bytes(data)
        with pytest.raises(Malformed):
            far.show(tmp_path / "autre")
    with pytest.raises(Malformed):
        far.show(tmp_path)
    with pytest.raises(check_seal.NotReadable):
        check_seal.main(tmp_path / "absent", document=None, key="")


def test_an_export_has_what_was_sealed_and_nothing_else(tmp_path: Path) -> None:
    assert far.show(bag(tmp_path)).is_whole
    less = dict(list(FILES.items())[1:])
    more, other = FILES | {"d.pdf": b"quatre"}, FILES | {"pv.odt": b"autre"}
    for files in (less, more, other):
        shown = far.show(bag(tmp_path, files))
        assert not shown.damages and not shown.is_whole, "a valid bag, of something else"
    stranger = replace(seal(more), statement=seal().statement, signature=seal().signature)
    assert not far.show(bag(tmp_path, more, stranger)).is_whole, "another list beside the signed statement"


def test_contents_that_changed_names_are_not_what_was_sealed(tmp_path: Path) -> None:
    first, second, third = FILES.items()
    swapped = {first[0]: second[1], second[0]: first[1], third[0]: third[1]}
    renamed = {"2026/a (signé).pdf": first[1], second[0]: second[1], third[0]: third[1]}
    for files in (swapped, renamed):
        shown = far.show(bag(tmp_path, files))
        assert not shown.damages and not shown.is_whole, "a valid bag, of other files"


def test_names_that_a_bag_had_to_change_are_those_that_were_sealed(tmp_path: Path) -> None:
    files = {path: str(number).encode() for number, path in enumerate(HOSTILE) if path != "cha\u0302teau.pdf"}
    assert far.show(bag(tmp_path, files, seal(files))).is_whole
    parts = seal(files).parts() | {"cle.pem": public_pem(KEY), "autre.txt": b""}
    pieces = bagit.bag(folder(dict(reversed(files.items()))), ABOUT, extra=parts)
    (tmp_path / "autre.zip").write_bytes(joined(pieces))
    assert far.show(tmp_path / "autre.zip").is_whole, "whichever of two that are alike came first"


@pytest.mark.parametrize("listed", [b"data/a\t\\u{FFFFFF}\n", b"\xff\t\n"])
def test_a_list_of_names_that_is_none_is_refused(tmp_path: Path, listed: bytes) -> None:
    path = bag(tmp_path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(f"{file.namelist()[0].split('/')[0]}/beffroi/noms.tsv", listed)
    with pytest.raises(Malformed):
        far.show(path)


def test_an_export_is_the_same_as_zip_tar_and_folder_and_its_damages_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(bag(tmp_path)) as file:
        file.extractall(tmp_path / "folder")
    unpacked = next((tmp_path / "folder").iterdir())
    assert far.show(unpacked).is_whole and not far.show(unpacked).damages
    parts = seal().parts() | {"cle.pem": public_pem(KEY)}
    tar = tmp_path / "paquet.tar"
    tar.write_bytes(as_tar(joined(bagit.bag(folder(FILES), ABOUT, extra=parts))))
    assert far.show(tar).is_whole and not far.show(tar).damages
    (unpacked / "data" / "pv.odt").write_bytes(b"change")
    assert [one.kind for one in far.show(unpacked).damages] == [bagcheck.Kind.ALTERED, bagcheck.Kind.OXUM]


def test_sealed_files_that_are_called_as_parts_are_files(tmp_path: Path) -> None:
    files = FILES | {"sceau.txt": b"cachet", "beffroi/cle.pem": b"une autre", "manifest-sha256.txt": b"liste"}
    path = tmp_path / "paquet.tar"
    parts = seal(files).parts() | {"cle.pem": public_pem(KEY)}
    path.write_bytes(as_tar(joined(bagit.bag(folder(files), ABOUT, extra=parts))))
    assert far.show(path).is_whole
    with tarfile.open(path) as package:
        package.extractall(tmp_path / "folder", filter="data")
    assert far.show(next((tmp_path / "folder").iterdir())).is_whole
    subprocess.run(("tar", "-C", tmp_path / "folder", "-cf", path, "."), check=True)
    assert far.show(path).is_whole, "as tar(1) writes it"


def test_a_part_that_is_there_twice_is_no_part(tmp_path: Path) -> None:
    path = packed(tmp_path, proof())
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("sceau.txt", b"autre")
    with pytest.raises(Malformed):
        far.show(path)


def test_names_of_a_stranger_write_nothing_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = replace(SUBJECT, name="\x1b[2Jdossier")
    sealed = manifest.seal(folder(FILES), subject, KEY)
    path = bag(tmp_path, FILES | {"\x1b[31mrouge.pdf": b"x"}, sealed)
    assert check_seal.main(path, document=None, key="") == 1
    assert "\x1b" not in capsys.readouterr().out


def test_the_command_says_what_is_wrong_with_its_words(tmp_path: Path) -> None:
    for key in ("zz", "00", "0" * 63):
        with pytest.raises(check_seal.KeyUnclear):
            check_seal.main(packed(tmp_path, proof()), document=None, key=key)
    with pytest.raises(check_seal.NoProof):
        check_seal.main(bag(tmp_path), document=tmp_path / "x", key="")
    with pytest.raises(check_seal.NotReadable):
        check_seal.main(packed(tmp_path, proof()), document=tmp_path / "absent", key="")
