"""Seals and packages under tools of others: unzip, tar, sha256sum, openssl, Python's own, and the `bagit` library."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path

import pytest
from beffroi.drive.archives import bagcheck, bagit, manifest, seda, streams
from beffroi.drive.archives.bagcheck import Damage, Kind
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from tests.archive_entries import HOSTILE, MTIME_S, SUBJECT, TRANSFER, folder

ABOUT = bagit.About("paquet", "Commune de Saint-Exemple", "Essai", "node_7", date(2026, 11, 27))
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8"}
OLD_CALLS = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in the library itself
CONTENTS = {path: f"contenu {number}\n".encode() for number, path in enumerate(HOSTILE)}


def run(*command: str | Path, cwd: Path, well: bool = True) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=240,  # 4 GiB on a busy machine
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode == 0) == well, done.stdout + done.stderr
    return done.stdout


def unpacked(place: Path, files: dict[str, bytes] = CONTENTS) -> Path:
    """The bag, unpacked by ``unzip``."""
    packed = place / "paquet.zip"
    with packed.open("wb") as file:
        file.writelines(bagit.bag(folder(files), ABOUT))
    inside = place / "inside"
    inside.mkdir()
    run("unzip", "-tq", packed, cwd=place)
    run("unzip", "-q", packed, cwd=inside)
    assert [one.name for one in inside.iterdir()] == ["paquet"]
    assert sorted(one.name for one in place.iterdir()) == ["inside", packed.name]
    return inside / "paquet"


def test_a_bag_of_hostile_names_unpacks_in_its_folder_and_sha256sum_agrees(tmp_path: Path) -> None:
    bag = unpacked(tmp_path)
    for algorithm in ("sha256", "sha512"):
        for kind in ("manifest", "tagmanifest"):
            run(f"{algorithm}sum", "--check", "--strict", "--quiet", f"{kind}-{algorithm}.txt", cwd=bag)
    found = sorted(one.read_bytes() for one in (bag / "data").rglob("*") if one.is_file())
    assert found == sorted(CONTENTS.values())
    assert bagcheck.directory(bag) == []


def test_a_tar_that_tar_made_is_read(tmp_path: Path) -> None:
    bag = unpacked(tmp_path)
    run("tar", "-cf", "autre.tar", "./paquet", cwd=bag.parent)
    with (bag.parent / "autre.tar").open("rb") as file:
        assert bagcheck.archive(file) == []


def test_damage_that_sha256sum_finds_is_found(tmp_path: Path) -> None:
    bag = unpacked(tmp_path, {"a.pdf": b"un", "b.pdf": b"deux"})
    (bag / "data/a.pdf").write_bytes(b"uN")
    run("sha256sum", "--check", "--quiet", "manifest-sha256.txt", cwd=bag, well=False)
    (bag / "data/b.pdf").unlink()
    (bag / "data/b.pdf").symlink_to("/etc/hostname")
    (bag / "data/ailleurs").symlink_to("/etc")
    assert {
        Damage(Kind.ALTERED, "data/a.pdf"),
        Damage(Kind.UNREADABLE, "data/b.pdf"),
        Damage(Kind.UNREADABLE, "data/ailleurs"),
    } <= set(bagcheck.directory(bag))


@OLD_CALLS
def test_the_library_of_the_library_of_congress_agrees(tmp_path: Path) -> None:
    other = pytest.importorskip("bagit", reason="PyPI's bagit is not installed")
    bag = unpacked(tmp_path)
    other.Bag(str(bag)).validate()
    (bag / "data/-rf").write_bytes(b"autre")
    with pytest.raises(other.BagValidationError):
        other.Bag(str(bag)).validate()
    assert bagcheck.directory(bag) != []


def test_a_bag_of_nothing_has_the_folder_that_no_bag_is_without(tmp_path: Path) -> None:
    bag = unpacked(tmp_path, {})
    assert list((bag / "data").iterdir()) == bagcheck.directory(bag) == []
    with (tmp_path / "paquet.zip").open("rb") as file:
        assert bagcheck.archive(file) == []


@OLD_CALLS
def test_bags_of_that_library_are_valid_here(tmp_path: Path) -> None:
    other = pytest.importorskip("bagit", reason="PyPI's bagit is not installed")
    (tmp_path / "été").mkdir()
    (tmp_path / "été/a.txt").write_bytes(b"un")
    other.make_bag(str(tmp_path), checksums=["sha256", "sha512"])
    assert bagcheck.directory(tmp_path) == []


def test_a_transfer_is_a_zip_for_unzip_and_for_python(tmp_path: Path) -> None:
    packed = tmp_path / "sip.zip"
    with packed.open("wb") as file:
        file.writelines(seda.package(folder(CONTENTS), TRANSFER))
    run("unzip", "-tq", packed, cwd=tmp_path)
    run(sys.executable, "-m", "zipfile", "-t", packed, cwd=tmp_path)
    run("unzip", "-q", packed, cwd=tmp_path)
    tree = etree.parse(tmp_path / "manifest.xml", etree.XMLParser(no_network=True, resolve_entities=False))
    sums = "".join(
        f"{one.findtext('{*}MessageDigest')}  {one.findtext('{*}Uri')}\n"
        for one in tree.iter("{*}BinaryDataObject")
    )
    (tmp_path / "sums").write_text(sums)
    run("sha512sum", "--check", "--strict", "--quiet", "sums", cwd=tmp_path)
    assert sums.count("\n") == len(CONTENTS)


def test_a_seal_is_checked_by_openssl_and_sha256sum_alone(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    files = {"a.pdf": b"un", "pv/é.odt": b"deux"}
    sealed = manifest.seal(folder(files), SUBJECT, key)
    for name, data in sealed.parts().items():
        (tmp_path / name).write_bytes(data)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "cle.pem").write_bytes(public)
    command = (
        "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "cle.pem", "-rawin",
        "-in", "sceau.txt", "-sigfile", "sceau.sig",
    )  # fmt: skip
    run(*command, cwd=tmp_path)
    statement = tmp_path / "sceau.txt"
    statement.write_bytes(statement.read_bytes().replace(b"per_3", b"per_4"))
    run(*command, cwd=tmp_path, well=False)

    for path, data in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    shell = (
        "sed -E 's/^([0-9a-f]{64}) [0-9]+ -?[0-9]+ /\\1  /' fichiers.txt | sha256sum --check --strict --quiet"
    )
    run("sh", "-c", shell, cwd=tmp_path)
    (tmp_path / "a.pdf").write_bytes(b"uN")
    run("sh", "-c", shell, cwd=tmp_path, well=False)


@pytest.mark.slow
def test_a_file_of_more_than_4_gib_is_read_by_unzip(tmp_path: Path) -> None:
    """ZIP64 on a stream: its size stands behind it, and takes eight bytes. ``unzip`` compares its checksum."""
    size_bytes, block = (4 << 30) + 5, bytes(1 << 20)
    out, packed = streams.ZipStream(), tmp_path / "grand.zip"
    with packed.open("wb") as file:
        pieces = itertools.chain(itertools.repeat(block, 4 << 10), [bytes(5)])
        file.writelines(out.member("grand.bin", size_bytes, MTIME_S, pieces))
        file.writelines(out.close())
    assert packed.stat().st_size < 64 << 20
    with zipfile.ZipFile(packed) as package:
        assert package.getinfo("grand.bin").file_size == size_bytes
    run("unzip", "-tq", packed, cwd=tmp_path)
