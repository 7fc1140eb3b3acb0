"""The look at one file: sound files of all kinds, what attacks and faults leave of them, large ones."""

from __future__ import annotations

import io
import random
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import olefile
import pypdf
import pytest
from beffroi.drive.guard.kinds import by_name
from beffroi.drive.guard.reading import InFile, InMemory, Limits
from beffroi.drive.guard.structure import Structure, look

from tests import drive_attacks, drive_files, drive_pictures
from tests.drive_files import MAKERS, made

SEEDS = range(4)
STATES = {"sound", "sealed", "torn", "broken", "opaque"}
# Their middle has no framing that can be read without decoding it; ``signs`` has noise and chunks for them.
_OPAQUE_MIDDLE = {"webp", "dwg", "mp4", "7z", "doc", "gpkg"}


def seen(data: bytes, name: str, kind_before: str | None = None) -> Structure:
    return look(InMemory(data), name, len(data), kind_before)


class Counted:
    """A Readable that counts."""

    def __init__(self, data: bytes) -> None:
        self.data, self.bytes = data, 0

    def read(self, offset: int, length: int, /) -> bytes:
        self.bytes += length
        return self.data[offset : offset + length]


@pytest.mark.parametrize("kind", MAKERS)
def test_files_of_every_kind_are_sound_and_told_by_their_content(kind: str) -> None:
    for seed in SEEDS:
        data = made(kind, seed)
        found = seen(data, "piece." + kind)
        assert found.state == ("sealed" if kind == "7z" else "sound")
        assert found.kind == by_name("piece." + kind) == seen(data, "piece").kind


def test_the_files_of_these_tests_are_read_by_the_libraries_of_their_formats() -> None:
    for seed in SEEDS:
        for kind in ("docx", "xlsx", "odt", "zip"):
            assert zipfile.ZipFile(io.BytesIO(made(kind, seed))).testzip() is None
        for maker in (drive_files.doc, drive_files.docx_with_password):
            with olefile.OleFileIO(maker(random.Random(seed))) as document:
                assert all(document.openstream(name).read() for name in document.listdir())
                assert document.listdir() and not document.parsing_issues
        page: Any = pypdf.PdfReader(io.BytesIO(made("pdf", seed))).pages[0]
        assert b"Tj" in page["/Contents"].get_data()
        assert (
            pypdf.PdfReader(io.BytesIO(made("1.5.pdf", seed)), strict=True).trailer["/Root"]["/Type"]
            == "/Catalog"
        )
        pages = pypdf.PdfReader(io.BytesIO(made("scan.pdf", seed)), strict=True)
        assert pages.get_object(4).get_object()["/Filter"] == "/DCTDecode"
        with tempfile.NamedTemporaryFile() as file:
            file.write(made("gpkg", seed))
            file.flush()
            base = sqlite3.connect(file.name)
            assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            base.close()


@pytest.mark.parametrize("pattern", drive_attacks.PATTERNS)
@pytest.mark.parametrize("kind", MAKERS)
def test_encrypted_files_lost_their_structure(kind: str, pattern: str) -> None:
    is_middle = pattern in {"all but the first 4 KiB", "every second 64 KiB after 1 KiB"}
    if is_middle and kind in _OPAQUE_MIDDLE:
        return
    for seed in SEEDS:
        data = made(kind, seed)
        hidden = drive_attacks.PATTERNS[pattern](data, seed)
        found = seen(hidden, "piece." + kind, by_name("piece." + kind))
        assert found.kind == by_name("piece." + kind)
        if hidden != data:
            # A GIF or JPEG that is scrambled seems to go on past its end; ``signs`` knows that by its length.
            assert found.state == "broken" or found.reason == "cut off"


@pytest.mark.parametrize("kind", ["doc", "dwg", "gpkg"])
def test_what_has_no_structure_in_its_middle_becomes_noisier(kind: str) -> None:
    for seed in SEEDS:
        data = made(kind, seed)
        before = seen(data, "a." + kind).noise
        after = seen(drive_attacks.skip_head(data, seed), "a." + kind, by_name("a." + kind)).noise
        assert after.random_share >= before.random_share + 0.4


@pytest.mark.parametrize("kind", MAKERS)
def test_what_a_power_cut_leaves_is_torn_and_not_broken(kind: str) -> None:
    for seed in SEEDS:
        data = made(kind, seed)
        middle = len(data) // 2
        for left in (data[:middle], bytes(len(data)), data[:middle] + bytes(len(data) - middle), b""):
            assert seen(left, "piece." + kind, by_name("piece." + kind)).state in {"torn", "sound"}


@pytest.mark.parametrize("kind", MAKERS)
def test_zeros_behind_any_beginning_of_a_file_are_a_crash(kind: str) -> None:
    rng = random.Random(kind)
    for seed in SEEDS:
        data = made(kind, seed)
        for end in (rng.randrange(1, len(data) * 3 // 4) for _ in range(8)):
            found = seen(data[:end] + bytes(len(data) - end), "piece." + kind, by_name("piece." + kind))
            assert found.state in {"torn", "sound"}, end


@pytest.mark.parametrize("kind", ["docx", "xlsx", "jpg", "mp3", "txt", "csv", "gpkg", "dxf", "zip"])
def test_zeros_behind_what_was_scrambled_are_none(kind: str) -> None:
    for seed in SEEDS:
        data = made(kind, seed)
        blank, head = len(data) * 3 // 10, min(4096, len(data) // 4)
        scrambled = drive_attacks.skip_head(data[:-blank], seed, head) + bytes(blank)
        assert seen(scrambled, "piece." + kind, by_name("piece." + kind)).state == "broken"


def test_of_a_long_file_the_zeros_are_found_and_what_is_before_them_is_judged() -> None:
    prose = drive_files.prose(random.Random(1), 900_000).encode()
    written, blank = prose[: 5 * 1024 * 1024], bytes(2 * 1024 * 1024)
    assert len(written) == 5 * 1024 * 1024
    crashed, scrambled = (
        seen(one + blank, "a.txt", "text") for one in (written, drive_attacks.skip_head(written))
    )
    assert crashed.state in {"torn", "sound"} and scrambled.state == "broken"
    assert max(crashed.read_bytes, scrambled.read_bytes) <= 2 * 4 * 1024 * 1024
    holes = bytearray(drive_attacks.skip_head(written))
    for at in range(4096, len(holes), 8192):
        holes[at : at + 4096] = bytes(4096)
    assert seen(bytes(holes) + blank, "a.txt", "text").state == "torn", "a crash leaves holes, too"


def test_passwords_that_people_put_on_documents_are_told_from_encryption() -> None:
    rng = random.Random(1)
    assert seen(drive_files.docx_with_password(rng), "a.docx", "ooxml").state == "sealed"
    assert seen(drive_files.odt_with_password(rng), "a.odt", "odf").state == "sealed"
    assert seen(drive_files.zip_with_password(rng), "a.zip").state == "sealed"
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(made("pdf")))
    writer.encrypt("secret", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    assert (seen(out.getvalue(), "a.pdf", "pdf").kind, seen(out.getvalue(), "a.pdf", "pdf").state) == (
        "pdf",
        "sealed",
    )


@pytest.mark.parametrize(
    "head",
    [
        b"\x85\x02\x0c\x03",
        b"\x84\x5e\x03\x12",
        b"\x8c\x0d\x04\x09",
        b"\xc1\x5e\x03\x12",
        b"\xc1\xc0\x4c\x03",
        b"\xc3\x0d\x04\x09",
        b"age-encryption.org/v1\n-> X25519 ",
        b"AES\x02\0\0",
        b"Salted__",
        bytes.fromhex("308213a006092a864886f70d010703a0821391"),
        bytes.fromhex("308006092a864886f70d010703a080"),
    ],
)
def test_files_that_people_lock_with_common_programs_are_sealed(head: bytes) -> None:
    found = seen(head + random.Random(1).randbytes(5000), "dossier.docx.gpg")
    assert (found.kind, found.state) == ("locked", "sealed")


def test_a_kind_that_is_known_by_its_magic_alone_is_broken_without_it() -> None:
    picture = b"\0\0\0\x0cjP  \r\n\x87\n" + random.Random(1).randbytes(9000)
    assert seen(picture, "a.jp2").kind == "other"
    assert seen(drive_attacks.head(picture), "a.jp2", "other").state == "broken"


def test_a_document_whose_members_have_a_password_of_their_own_is_none() -> None:
    data = drive_files.zip_with_password(random.Random(1), "[Content_Types].xml", 4000)
    found = seen(data, "a.docx", "ooxml")
    assert (found.kind, found.state, found.reason) == ("ooxml", "broken", "sealed members")


def test_base64_is_another_kind_than_text() -> None:
    found = seen(drive_files.armour(random.Random(2).randbytes(9000)), "a.txt", "text")
    assert (found.kind, found.state) == ("armour", "opaque")


@pytest.mark.parametrize(
    ("inside", "state", "reason"),
    [
        (made("jpg"), "sound", ""),
        (made("pdf"), "sound", ""),
        (b"\x30\x82\x23\x24\x02\x01\x01" + random.Random(4).randbytes(8993), "sound", "not checked"),
        (b"\x30\x82\x00\x24\x02\x01\x01" + random.Random(4).randbytes(8993), "opaque", "armour"),
        (b"openssh-key-v1\0" + random.Random(4).randbytes(3000), "sound", "not checked"),
        (b"\x99\x02\x0d\x04" + random.Random(4).randbytes(3000), "sound", "not checked"),
        (b"age-encryption.org/v1\n" + random.Random(4).randbytes(3000), "sealed", "armour"),
        (b"%PDF-1.7\n" + random.Random(4).randbytes(9000), "opaque", "armour"),
        (b"8BPS\0\1" + random.Random(4).randbytes(9000), "opaque", "armour"),
    ],
)
@pytest.mark.parametrize("head", [b"", b"Fichier: codage base64\n\n"])
def test_what_is_written_as_text_is_judged_by_what_is_in_it(
    inside: bytes, state: str, reason: str, head: bytes
) -> None:
    found = seen(head + drive_files.armour(inside), "a.txt", "text")
    is_plain = bool(head) and found.noise.mean < 0.7 and state == "sound"  # no denser than a table
    assert (found.kind, found.state, found.reason) == ("text" if is_plain else "armour", state, reason)


@pytest.mark.parametrize(("inside", "reason"), [(made("txt"), ""), (bytes(range(8)) * 400, "not checked")])
def test_what_is_written_as_text_and_was_no_secret_is_sound(inside: bytes, reason: str) -> None:
    found = seen(drive_files.armour(inside), "a.txt", "text")
    assert (found.kind, found.state, found.reason) == ("armour", "sound", reason)


def test_lists_tables_and_prose_are_no_armour() -> None:
    rng = random.Random(5)
    texts = (
        "".join(f"{rng.randrange(10**9)};{rng.random()}\n" for _ in range(900)),
        "".join(f"{rng.randbytes(16).hex()} {rng.randbytes(16).hex()}\n" for _ in range(200)),
        drive_files.prose(rng, 3000),
    )
    assert {seen(one.encode(), "a.txt", "text").kind for one in texts} == {"text"}


def _commented() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "a" * 9000)
        archive.comment = b"x" * 60000
    return out.getvalue()


UNUSUAL: dict[str, Callable[[], bytes]] = {
    "empty.zip": lambda: b"PK\x05\x06" + bytes(18),
    "with a comment.zip": _commented,
    "unpacks itself.zip": lambda: b"MZ" + bytes(5000) + made("zip"),
    "old.txt": lambda: "café — ligne\x0c\x1b[0m\r\n".encode("cp1252") * 200,
    "dos.txt": lambda: "réunion du conseil, été\r\n".encode("cp850") * 100,
    "html inside.xls": lambda: b"<html><table><tr><td>1</td></tr></table></html>" * 20,
    "mail.eml": lambda: b"From: a@b.fr\r\nSubject: x\r\n\r\n" + b"Bonjour,\r\n" * 90,
    "tiny.txt": lambda: b"a",
    "behind junk.pdf": lambda: b"\n\n\n" + made("pdf"),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_files_of_honest_programs_are_sound(name: str) -> None:
    assert seen(UNUSUAL[name](), name).state == "sound"


class Pipe(io.RawIOBase):
    """What cannot be gone back in, so that zipfile writes sizes behind the content."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += data
        return len(data)


def test_a_zip_written_as_a_stream_is_sound_and_cut_off_where_it_ends_early() -> None:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(9):
            archive.writestr(f"{number}.txt", made("txt", number))
    data = bytes(pipe.data)
    assert data[6] & 8
    assert seen(data, "a.zip").state == "sound"
    assert seen(data[: len(data) * 2 // 3], "a.zip", "zip").reason == "cut off"
    assert seen(drive_attacks.skip_head(data), "a.zip", "zip").state == "broken"


# -- large files -----------------------------------------------------------------------------------------


def _large(kind: str) -> bytes:
    rng = random.Random(kind)
    match kind:
        case "jpg":
            return drive_pictures.photo(rng, rows=8000, blocks=120)
        case "zip":
            picture = drive_pictures.photo(rng, rows=200)
            return drive_files._zip([(f"{n}.jpg", picture * 6, n % 2 == 0) for n in range(24)])
        case "mp4":
            return drive_files.film(rng, 12 * 1024 * 1024)
        case "txt":
            return made("txt") * (6_500_000 // len(made("txt")))
        case _:
            return made("mp3") + made("mp3", 1)[20:] * 90


@pytest.mark.parametrize("kind", ["jpg", "zip", "mp4", "txt", "mp3"])
def test_of_a_large_file_at_most_4_mib_are_read(kind: str) -> None:
    data = _large(kind)
    assert len(data) > Limits().read_bytes
    counted = Counted(data)
    found = look(counted, "a." + kind, len(data))
    assert found.state == "sound" and found.read_bytes == counted.bytes <= Limits().read_bytes
    for pattern in ("whole", "first 4 KiB", "every second 64 KiB after 1 KiB"):
        if pattern == "every second 64 KiB after 1 KiB" and kind == "mp4":
            continue
        hidden = Counted(drive_attacks.PATTERNS[pattern](data, 1))
        assert look(hidden, "a." + kind, len(data), found.kind).state == "broken"
        assert hidden.bytes <= Limits().read_bytes


def test_a_file_on_the_disk_reads_as_one_in_memory(tmp_path: Path) -> None:
    for kind in MAKERS:
        path = tmp_path / f"a.{kind}"
        path.write_bytes(made(kind))
        with path.open("rb") as file:
            assert look(InFile(file), path.name, path.stat().st_size) == seen(made(kind), path.name)
