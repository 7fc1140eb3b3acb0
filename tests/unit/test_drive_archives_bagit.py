"""Bags: what is written is valid, and every kind of damage is named."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Literal

import pytest
from beffroi.drive.archives import bagcheck, bagit, names
from beffroi.drive.archives.bagcheck import Damage, Kind
from beffroi.drive.archives.entries import ContentChanged, SamePath
from hypothesis import example, given
from hypothesis import strategies as st

from tests.archive_entries import HOSTILE, as_tar, entry, folder, folders, joined, other, unhurried, zeros

ABOUT = bagit.About(
    "délibérations-2026",
    "Commune de Saint-Exemple (SIREN 213 105 554)",
    "Registre\nde 2026",
    "node_7",
    date(2026, 11, 27),
)
FILES = {"2026/a.pdf": b"un", "2026/50 %.pdf": b"deux", "vide.txt": b""}
Container = Literal["zip", "tar"]


def made(files: dict[str, bytes], container: Container = "zip", **more: bytes) -> bytes:
    extra = {name.replace("_", "."): data for name, data in more.items()}
    package = joined(bagit.bag(folder(files), ABOUT, extra=extra))
    return package if container == "zip" else as_tar(package)


def unpacked(bag: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bag)) as package:
        return {name.split("/", 1)[1]: package.read(name) for name in package.namelist()}


def examined(tree: dict[str, bytes]) -> list[Damage]:
    return bagcheck.examine({path: (lambda data=data: io.BytesIO(data)) for path, data in tree.items()})


@unhurried
@given(folders, st.sampled_from(["zip", "tar"]))
@example({"fin.zip": b"PK\x05\x06"}, "tar")
def test_a_bag_of_any_folder_is_valid(files: dict[str, bytes], container: Container) -> None:
    assert bagcheck.archive(io.BytesIO(made(files, container))) == []


def test_a_bag_of_hostile_names_holds_every_content_once() -> None:
    files = {path: str(number).encode() for number, path in enumerate(HOSTILE)}
    bag = made(files)
    assert bagcheck.archive(io.BytesIO(bag)) == bagcheck.archive(io.BytesIO(as_tar(bag))) == []
    tree = unpacked(bag)
    content = sorted(data for path, data in tree.items() if path.startswith("data/"))
    assert content == sorted(files.values())
    changed = dict(line.split("\t") for line in tree[bagit.NAMES].decode().splitlines())
    for path, original in changed.items():
        assert by_quoted(files)[original] == tree[path]
    kept = {path.removeprefix("data/") for path in tree if path.startswith("data/")} - {
        path.removeprefix("data/") for path in changed
    }
    assert kept <= set(files)
    assert len(kept) + len(changed) == len(files)


def by_quoted(files: dict[str, bytes]) -> dict[str, bytes]:
    return {names.quoted(path): data for path, data in files.items()}


def test_the_parts_of_a_bag() -> None:
    tree = unpacked(made(FILES, sceau_txt=b"beffroi/seal/1\n"))
    assert set(tree) == {
        "data/2026/a.pdf",
        "data/2026/50 _.pdf",
        "data/vide.txt",
        "bagit.txt",
        "bag-info.txt",
        "manifest-sha256.txt",
        "manifest-sha512.txt",
        "tagmanifest-sha256.txt",
        "tagmanifest-sha512.txt",
        "beffroi/sceau.txt",
        "beffroi/noms.tsv",
    }
    assert tree["bagit.txt"] == b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    assert tree["bag-info.txt"].decode().splitlines() == [
        "Source-Organization: Commune de Saint-Exemple (SIREN 213 105 554)",
        "External-Description: Registre_de 2026",
        "External-Identifier: node_7",
        "Bagging-Date: 2026-11-27",
        "Bag-Size: 6 B",
        "Payload-Oxum: 6.3",
        "Bag-Software-Agent: Beffroi",
    ]
    assert f"{hashlib.sha256(b'un').hexdigest()}  data/2026/a.pdf\n".encode() in tree["manifest-sha256.txt"]
    assert b"beffroi/sceau.txt" in tree["tagmanifest-sha512.txt"]


@pytest.mark.parametrize("data", [b"", b"u", b"UN", b"un et plus"])
def test_content_that_is_not_as_listed_ends_the_bag_before_its_lists(data: bytes) -> None:
    bag = bagit.bag([other(entry("a.pdf", b"un"), data)], ABOUT)
    sent = b""
    with pytest.raises(ContentChanged, match="File number 1") as raised:
        for piece in bag:
            sent += piece
    assert "a.pdf" not in str(raised.value)
    found = bagcheck.archive(io.BytesIO(sent))
    assert {one.kind for one in found} <= {Kind.UNREADABLE, Kind.NOT_A_BAG}
    assert found


def test_who_stops_asking_closes_the_file() -> None:
    opened: list[io.BytesIO] = []

    def reader() -> io.BytesIO:
        opened.append(io.BytesIO(bytes(8 << 20)))
        return opened[-1]

    bag = bagit.bag([replace(zeros("a", 8 << 20), open=reader)], ABOUT)
    assert next(bag) and next(bag)
    bag.close()  # type: ignore[attr-defined]
    assert [one.closed for one in opened] == [True]


def test_one_path_twice_is_refused() -> None:
    with pytest.raises(SamePath):
        joined(bagit.bag([entry("a"), entry("a")], ABOUT))


@pytest.mark.parametrize("name", ["", "../x", "a/b", "noms.tsv", "A", ".x"])
def test_a_tag_file_needs_a_plain_name(name: str) -> None:
    with pytest.raises(bagit.BagInvalid):
        bagit.bag([], ABOUT, extra={name: b""})


def test_a_large_file_is_sent_in_pieces_not_held() -> None:
    """64 MiB that nobody stores: never more than two pieces between one ``next`` and another."""
    one = zeros("zeros.bin", 64 << 20)
    pieces = [len(piece) for piece in bagit.bag([one], ABOUT)]
    assert 0 < min(pieces) <= max(pieces) <= 2 << 20
    assert len(pieces) > 16


SPOILT: dict[str, tuple[Callable[[dict[str, bytes]], object], Damage]] = {
    "a file is gone": (lambda t: t.pop("data/2026/a.pdf"), Damage(Kind.MISSING, "data/2026/a.pdf")),
    "a file is changed": (
        lambda t: t.update({"data/2026/a.pdf": b"uN"}),
        Damage(Kind.ALTERED, "data/2026/a.pdf"),
    ),
    "a file is cut": (lambda t: t.update({"data/2026/a.pdf": b"u"}), Damage(Kind.ALTERED, "data/2026/a.pdf")),
    "a file came": (lambda t: t.update({"data/x": b""}), Damage(Kind.UNLISTED, "data/x")),
    "a tag file is changed": (
        lambda t: t.update({"bag-info.txt": b"A: b\n"}),
        Damage(Kind.ALTERED, "bag-info.txt"),
    ),
    "a tag file is gone": (lambda t: t.pop("bag-info.txt"), Damage(Kind.MISSING, "bag-info.txt")),
    "no declaration": (lambda t: t.pop("bagit.txt"), Damage(Kind.NOT_A_BAG)),
    "another version": (
        lambda t: t.update({"bagit.txt": t["bagit.txt"].replace(b"1.0", b"2.0")}),
        Damage(Kind.DECLARATION, "bagit.txt"),
    ),
    "no lists": (
        lambda t: [t.pop(f"manifest-{one}.txt") for one in bagit.ALGORITHMS],
        Damage(Kind.NO_LIST),
    ),
    "a list is shorter": (
        lambda t: t.update({"manifest-sha256.txt": b"\n".join(t["manifest-sha256.txt"].split(b"\n")[1:])}),
        Damage(Kind.ALTERED, "manifest-sha256.txt"),
    ),
    "a line is nonsense": (
        lambda t: t.update({"manifest-sha256.txt": t["manifest-sha256.txt"] + b"zz  data/x\n"}),
        Damage(Kind.BAD_LINE, "manifest-sha256.txt"),
    ),
    "a hash is short": (
        lambda t: t.update({"manifest-sha256.txt": b"abcd  data/2026/a.pdf\n"}),
        Damage(Kind.BAD_LINE, "manifest-sha256.txt"),
    ),
    "a line leaves the bag": (
        lambda t: t.update({"manifest-sha256.txt": b"0" * 64 + b"  data/../../x\n"}),
        Damage(Kind.UNSAFE_PATH, "data/../../x"),
    ),
    "a line is absolute": (
        lambda t: t.update({"manifest-sha256.txt": b"0" * 64 + b"  /etc/passwd\n"}),
        Damage(Kind.UNSAFE_PATH, "/etc/passwd"),
    ),
    "a line comes twice": (
        lambda t: t.update({"manifest-sha256.txt": t["manifest-sha256.txt"] * 2}),
        Damage(Kind.TWICE, "data/2026/a.pdf"),
    ),
    "content elsewhere": (
        lambda t: t.update({"fetch.txt": b"http://x 1 data/x\n"}),
        Damage(Kind.ELSEWHERE, "fetch.txt"),
    ),
    "an unknown hash": (
        lambda t: t.update({"manifest-crc32.txt": b""}),
        Damage(Kind.UNKNOWN_HASH, "manifest-crc32.txt"),
    ),
    "not as many bytes as announced": (
        lambda t: t.update({"bag-info.txt": t["bag-info.txt"].replace(b"6.3", b"7.3")}),
        Damage(Kind.OXUM, "bag-info.txt"),
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_damage_is_named(what: str) -> None:
    spoil, damage = SPOILT[what]
    tree = unpacked(made(FILES))
    assert examined(tree) == []
    spoil(tree)
    assert damage in examined(tree)


def test_lists_that_name_different_files_are_told() -> None:
    tree = {
        "bagit.txt": bagit.DECLARATION,
        "data/a": b"",
        "manifest-sha256.txt": f"{hashlib.sha256().hexdigest()}  data/a\n".encode(),
        "manifest-sha512.txt": b"",
    }
    assert examined(tree) == [Damage(Kind.LISTS_DIFFER, "data/a")]


def test_a_bag_of_another_program_is_read_with_its_percent_signs_and_line_ends() -> None:
    digest = hashlib.sha512(b"x").hexdigest().upper()
    tree = {
        "bagit.txt": bagit.DECLARATION.replace(b"\n", b"\r\n"),
        "data/50 %.pdf": b"x",
        "data/a\nb": b"x",
        "manifest-sha512.txt": f"{digest} *data/50 %25.pdf\r\n{digest}  ./data/a%0ab\r\n".encode(),
    }
    assert examined(tree) == []
    assert bagcheck.decoded("a%41%250A%0d") == "a%41%0A\r"
    assert bagcheck.decoded(bagit.encoded("%0A\r\n%25")) == "%0A\r\n%25"


@unhurried
@given(st.data())
def test_no_changed_byte_of_a_content_passes(data: st.DataObject) -> None:
    tree = unpacked(made({"a": b"contenu", "b/c": b"autre"}))
    path = data.draw(st.sampled_from(sorted(tree)))
    raw = bytearray(tree[path])
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    tree[path] = bytes(raw)
    if path.startswith("tagmanifest-"):  # nothing is above it: a change of case alone says the same
        assert (
            examined(tree)
            or raw.decode().lower() == unpacked(made({"a": b"contenu", "b/c": b"autre"}))[path].decode()
        )
    else:
        assert examined(tree)


@unhurried
@given(st.data())
def test_a_cut_zip_or_tar_is_never_valid(data: st.DataObject) -> None:
    container: Container = data.draw(st.sampled_from(["zip", "tar"]))
    bag = made(FILES, container)
    end = len(bag.rstrip(b"\0")) if container == "tar" else len(bag)
    cut = data.draw(st.integers(0, end - 1))
    assert bagcheck.archive(io.BytesIO(bag[:cut]))


@pytest.mark.parametrize("container", ["zip", "tar"])
def test_broken_bytes_are_damages_and_nothing_else_happens(container: Container) -> None:
    chance, whole = random.Random(container), made(FILES, container)
    told = 0
    for _ in range(600):
        raw = bytearray(whole)
        for _ in range(chance.choice((1, 1, 3))):
            place = chance.randrange(len(raw))
            if chance.random() < 0.7:
                raw[place] ^= chance.randrange(1, 256)
            else:
                del raw[place : place + chance.randrange(1, 20)]
        told += bool(bagcheck.archive(io.BytesIO(raw)))
    assert told > 300


def test_a_zip_that_chooses_its_reader_memory_is_not_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as package:
        for path, data in unpacked(made(FILES)).items():
            package.writestr(f"a/{path}", data)
    assert Damage(Kind.UNREADABLE, "bagit.txt") in bagcheck.archive(out)


def test_archives_that_are_no_bags_are_told() -> None:
    assert bagcheck.archive(io.BytesIO(b"rien")) == [Damage(Kind.UNREADABLE)]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        package.writestr("a/bagit.txt", bagit.DECLARATION)
        package.writestr("b/x", b"")
    assert bagcheck.archive(out) == [Damage(Kind.NOT_A_BAG)]


def test_every_damage_has_its_sentence() -> None:
    assert all(kind.sentence.endswith((".", ").")) for kind in Kind)


def test_a_date_that_zip_cannot_say_is_the_nearest() -> None:
    for mtime_s, year in ((-(10**12), 1980), (0, 1980), (10**11, 2107), (10**18, 1980)):
        bag = joined(bagit.bag([replace(entry("a"), mtime_s=mtime_s)], ABOUT))
        with zipfile.ZipFile(io.BytesIO(bag)) as package:
            assert package.infolist()[0].date_time[0] == year
