"""Attacks on ``tests.drive_ransom_folders``, in memory alone."""

from __future__ import annotations

import base64
import io
import itertools
import zipfile
from collections.abc import Callable, Iterator

from beffroi.drive.guard.signs import Change

from tests import drive_attacks, drive_files
from tests.drive_files import OFFICE
from tests.drive_ransom_folders import ONE, Folders, Script


def in_place(pattern: str, step_s: float = 0.2) -> Script:
    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        folders.step_s = step_s
        for number, file in enumerate(folders.files):
            if pattern == "all but the first 4 KiB" and len(file.data) <= 5000:
                continue  # nothing of it would change
            yield ONE, folders.change(file, drive_attacks.PATTERNS[pattern](file.data, number), lost=True)

    return script


def ending_in_zeros(folders: Folders) -> Iterator[tuple[str, Change]]:
    """As a crash leaves them, but for what stands before the zeros."""
    for number, file in enumerate(folders.files):
        blank = len(file.data) * 3 // 10
        data = drive_attacks.full(file.data[:-blank], number) + bytes(blank)
        yield ONE, folders.change(file, data, lost=True)


def ending_in_zeros_behind_a_head(folders: Folders) -> Iterator[tuple[str, Change]]:
    """As a crash leaves them, with the beginning that they had."""
    for number, file in enumerate(folders.files):
        if len(file.data) <= 5000:
            continue
        blank = len(file.data) * 3 // 10
        data = drive_attacks.skip_head(file.data[:-blank], number) + bytes(blank)
        yield ONE, folders.change(file, data, lost=True)


def renamed_afterwards(folders: Folders) -> Iterator[tuple[str, Change]]:
    yield from in_place("whole")(folders)
    for file in folders.files:
        yield ONE, folders.rename(file, file.name + ".k9x2")


def renamed_first(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate(folders.files):
        yield ONE, folders.rename(file, file.name + ".k9x2")
        yield ONE, folders.change(file, drive_attacks.full(file.data, number), lost=True)


def renamed_only(folders: Folders) -> Iterator[tuple[str, Change]]:
    for file in folders.files:
        yield ONE, folders.rename(file, file.name + ".k9x2")


def renamed_to_nothing_known(ending: str) -> Script:
    """Names of chance. ``ending``: "" for none, "?" for one of its own."""

    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        for file in folders.files:
            told = f".{folders.rng.randbytes(3).hex()}" if ending else ""
            yield ONE, folders.rename(file, folders.rng.randbytes(8).hex() + told)

    return script


def copied_and_deleted(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate(list(folders.files)):
        data = drive_attacks.full_with_footer(file.data, number)
        yield ONE, folders.create(file.folder, f"{file.name}.[id-7C1].k9x2", data)
        yield ONE, folders.delete(file, lost=True)


def copied_elsewhere(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Under its name, into a tree of its own; the original deleted before or after."""
    for number, file in enumerate(list(folders.files)):
        data = drive_attacks.full_with_footer(file.data, number)
        if number % 2:
            yield ONE, folders.delete(file, lost=True)
        yield ONE, folders.create(f"copies/{file.folder}", f"{file.name}.k9x2", data)
        if not number % 2:
            yield ONE, folders.delete(file, lost=True)


def copied_by_one_deleted_by_another(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate(list(folders.files)):
        data = drive_attacks.full_with_footer(file.data, number)
        yield ONE, folders.create(file.folder, f"{folders.rng.randbytes(6).hex()}", data)
        yield "device 2", folders.delete(file, lost=True)


def deleted_and_copied(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Names that tell nothing; the order that some clients send."""
    for number, file in enumerate(list(folders.files)):
        data = drive_attacks.full_with_footer(file.data, number)
        yield ONE, folders.delete(file, lost=True)
        yield ONE, folders.create(file.folder, f"{folders.rng.randbytes(6).hex()}.k9x2", data)


def padded_and_deleted(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Zeros at the end, as a crash leaves them."""
    for number, file in enumerate(list(folders.files)):
        data = drive_attacks.full(file.data, number) + bytes(1024)
        yield ONE, folders.create(file.folder, f"copie de {file.name}", data)
        yield ONE, folders.delete(file, lost=True)


def archived_and_deleted(folders: Folders) -> Iterator[tuple[str, Change]]:
    for file in list(folders.files):
        data = drive_files.zip_with_password(folders.rng, file.name, len(file.data))
        yield ONE, folders.create(file.folder, file.name + ".zip", data)
        yield ONE, folders.delete(file, lost=True)


def packed_by_folder(is_inside: bool) -> Script:
    """Each folder into one archive with a password that has its name, what was in it deleted."""

    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        files = sorted(folders.files, key=lambda file: file.folder)
        for number, (folder, inside) in enumerate(itertools.groupby(files, key=lambda file: file.folder)):
            where = folder if is_inside else ""
            yield ONE, folders.create(where, f"{folder}.7z", drive_files.made("7z", number % 8))
            for file in inside:
                yield ONE, folders.delete(file, lost=True)

    return script


def archived_in_place(folders: Folders) -> Iterator[tuple[str, Change]]:
    for file in folders.files:
        yield (
            ONE,
            folders.change(
                file, drive_files.zip_with_password(folders.rng, file.name, len(file.data)), lost=True
            ),
        )


def members_encrypted(folders: Folders) -> Iterator[tuple[str, Change]]:
    """The directory of the ZIP stays as it is; what its members hold is encrypted."""
    for number, file in enumerate(folders.files):
        out = bytearray(file.data)
        with zipfile.ZipFile(io.BytesIO(file.data)) as archive:
            for info in archive.infolist():
                at = info.header_offset + 30 + len(info.filename.encode())
                out[at : at + info.compress_size] = drive_attacks.full(
                    bytes(out[at : at + info.compress_size]), number
                )
        yield ONE, folders.change(file, bytes(out), lost=True)


def encrypted_behind_a_blank_header(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Of documents all but the directory of the ZIP is encrypted, and its first member begins with zeros, as a crash
    may leave one."""
    for number, file in enumerate(folders.files):
        with zipfile.ZipFile(io.BytesIO(file.data)) as archive:
            end = archive.start_dir
        data = bytes(64) + drive_attacks.full(file.data[64:end], number) + file.data[end:]
        yield ONE, folders.change(file, data, lost=True)


def in_armour(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate(folders.files):
        data = drive_files.armour(drive_attacks.full(file.data, number))
        yield ONE, folders.change(file, data, lost=True)


def written_as(encode: Callable[[bytes], bytes], head: bytes = b"") -> Script:
    """Ciphertext as text, behind a line of the program's own or without one."""

    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        for number, file in enumerate(folders.files):
            data = head + encode(drive_attacks.full(file.data, number))
            yield ONE, folders.change(file, data, lost=True)

    return script


def armoured_and_deleted(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate(list(folders.files)):
        data = b"<EncryptedKey>" + base64.b64encode(drive_attacks.full(file.data, number))
        yield ONE, folders.create(file.folder, f"{file.name}.k9x2", data)
        yield ONE, folders.delete(file, lost=True)


def framed(start_off_by: int) -> Script:
    """As the one stream of a PDF that shows nothing, under the old names. ``start_off_by``: bytes by which the place of
    its table is wrong, as some programs leave it."""

    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        for number, file in enumerate(folders.files):
            yield (
                ONE,
                folders.change(file, _framed(drive_attacks.full(file.data, number), start_off_by), lost=True),
            )

    return script


def _framed(hidden: bytes, start_off_by: int) -> bytes:
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[]/Count 0>>",
        b"<</Length %d>>\nstream\n%s\nendstream" % (len(hidden), hidden),
    )
    out, rows = b"%PDF-1.4\n", b"0000000000 65535 f \n"
    for number, one in enumerate(objects, 1):
        rows += b"%010d 00000 n \n" % len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"xref\n0 4\n%strailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
    return out + table % (rows, len(out) + start_off_by)


def disguised(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate(folders.files):
        yield ONE, folders.change(file, b"8BPS\0\1" + drive_attacks.full(file.data, number), lost=True)


def with_notes(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Notes in all folders first, as some do."""
    for number in range(24):
        yield (
            ONE,
            folders.create(f"f{number}", "HOW_TO_RESTORE_YOUR_FILES.txt", b"Your files are encrypted. " * 30),
        )
    yield from in_place("whole")(folders)


def tried_first(folders: Folders) -> Iterator[tuple[str, Change]]:
    """On two files, hours before the rest."""
    for number, (device, change) in enumerate(in_place("whole")(folders)):
        if number == 1:
            folders.now_s += 3 * 3600
        yield device, change


def from_devices(count: int, step_s: float) -> Script:
    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        folders.step_s = step_s
        for number, file in enumerate(folders.files):
            yield (
                f"device {number % count}",
                folders.change(file, drive_attacks.full(file.data, number), lost=True),
            )

    return script


def behind_real_passwords(folders: Folders) -> Iterator[tuple[str, Change]]:
    for file in folders.files:
        yield ONE, folders.change(file, drive_files.docx_with_password(folders.rng), lost=True)


def wiped(folders: Folders) -> Iterator[tuple[str, Change]]:
    for file in folders.files:
        yield ONE, folders.change(file, bytes(len(file.data)), lost=True)


_OPEN_XML = ("docx", "xlsx", "odt")
ATTACKS: dict[str, tuple[Script, tuple[str, ...], int]] = {
    # name: (script, kinds of files, the most files that may be lost)
    **{f"in place: {pattern}": (in_place(pattern), OFFICE, 6) for pattern in drive_attacks.PATTERNS},
    "in place: whole, photos alone": (in_place("whole"), ("jpg",), 6),
    "in place: whole, plans alone": (in_place("whole"), ("dwg", "dxf", "shp", "dbf", "gpkg"), 6),
    "in place: whole, films and sound": (in_place("whole"), ("mp4", "mp3"), 6),
    "in place: all but the first 4 KiB, DWG alone": (in_place("all but the first 4 KiB"), ("dwg",), 15),
    "in place: whole, the last third zeros": (ending_in_zeros, OFFICE, 6),
    "in place: all but the first 4 KiB, the last third zeros": (ending_in_zeros_behind_a_head, OFFICE, 6),
    "in place, renamed afterwards": (renamed_afterwards, OFFICE, 6),
    "renamed first, then encrypted": (renamed_first, OFFICE, 6),
    "copy, encrypt, delete": (copied_and_deleted, OFFICE, 6),
    "copy, encrypt, add zeros, delete": (padded_and_deleted, OFFICE, 10),
    "copy, encrypt into another folder, delete": (copied_elsewhere, OFFICE, 6),
    "one device copies and encrypts, another of the same person deletes": (
        copied_by_one_deleted_by_another,
        OFFICE,
        6,
    ),
    "delete, then a copy of another name": (deleted_and_copied, OFFICE, 6),
    "each file into a ZIP with a password, original deleted": (archived_and_deleted, OFFICE, 30),
    "each folder into a .7z with a password in it, originals deleted": (packed_by_folder(True), OFFICE, 60),
    "each folder into a .7z with a password beside it, originals deleted": (
        packed_by_folder(False),
        OFFICE,
        60,
    ),
    "each file a ZIP with a password under its old name": (archived_in_place, OFFICE, 10),
    "members of documents encrypted, ZIP kept": (members_encrypted, _OPEN_XML, 6),
    "documents encrypted behind a blank header, directory of the ZIP kept": (
        encrypted_behind_a_blank_header,
        _OPEN_XML,
        6,
    ),
    "encrypted and written as base64": (in_armour, OFFICE, 10),
    "encrypted and written as base64 behind a line of its own": (
        written_as(base64.b64encode, b"<EncryptedKey>x</EncryptedKey> fichier\n"),
        OFFICE,
        10,
    ),
    "encrypted and written as one line of base64 for URLs": (
        written_as(base64.urlsafe_b64encode),
        OFFICE,
        10,
    ),
    "encrypted and written as hexadecimal": (written_as(lambda data: data.hex().encode()), OFFICE, 10),
    "encrypted and written as base85": (written_as(base64.b85encode), OFFICE, 10),
    "encrypted and written as decimal numbers": (
        written_as(lambda data: " ".join(map(str, data)).encode()),
        OFFICE,
        20,
    ),
    "encrypted and written as RTF": (
        written_as(lambda data: b"\\pict " + data.hex(b"\n", 40).encode() + b"}", b"{\\rtf1"),
        OFFICE,
        20,
    ),
    "texts alone, encrypted and written as base64": (in_armour, ("txt", "csv", "html"), 25),
    "encrypted and written as base64 into a copy, original deleted": (armoured_and_deleted, OFFICE, 6),
    "encrypted behind the magic of another format": (disguised, OFFICE, 10),
    "encrypted and written as a stream of a PDF": (framed(0), OFFICE, 20),
    "encrypted and written as a stream of a PDF whose table stands elsewhere": (framed(7), OFFICE, 6),
    "notes in all folders first": (with_notes, OFFICE, 24),
    "slow: one file a minute": (in_place("whole", 60), OFFICE, 6),
    "slow: one file a minute, first 4 KiB": (in_place("first 4 KiB", 60), OFFICE, 6),
    "slower: one file an hour": (in_place("whole", 3600), OFFICE, 10),
    "on two files, on the others three hours later": (tried_first, OFFICE, 6),
    "four devices in turn": (from_devices(4, 1), OFFICE, 10),
    "ten devices in turn, one file a minute": (from_devices(10, 60), OFFICE, 20),
    "wiped with zeros": (wiped, OFFICE, 120),
    "renamed alone, content untouched": (renamed_only, OFFICE, 60),
    "renamed alone, to names of chance without an ending": (renamed_to_nothing_known(""), OFFICE, 60),
    "renamed alone, to names of chance with an ending of its own each": (
        renamed_to_nothing_known("?"),
        OFFICE,
        60,
    ),
    "two devices in turn, one file in five minutes": (from_devices(2, 300), OFFICE, 10),
    "slow: one file in five minutes, first 4 KiB": (in_place("first 4 KiB", 300), OFFICE, 6),
    "slower: one file in four hours": (in_place("whole", 4 * 3600), OFFICE, 10),
    "real password-protected Office files": (behind_real_passwords, ("docx", "xlsx"), 240),
}
