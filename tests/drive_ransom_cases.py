"""Cases for the judgement about ransomware: attacks and honest work on the folders of a town hall, as changes of a
drive.

Purpose: the tests and the tables of docs/internals/ransomware.md come from one list: ``python -m
         tests.drive_ransom_cases`` writes the tables anew.
Process: memory alone. Content is encrypted by ``tests.drive_attacks``; no file is.
"""

from __future__ import annotations

import io
import random
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median

import pyfastcdc
from beffroi.drive.guard.reading import InMemory
from beffroi.drive.guard.scoring import Alarm, Commune
from beffroi.drive.guard.signs import Change
from beffroi.drive.guard.structure import Structure, look

from tests import drive_attacks, drive_files
from tests.drive_files import OFFICE, made

DOCUMENT = Path(__file__).parent.parent / "docs/internals/ransomware.md"
START_S = 1_800_000_000.0
SEEDS = range(5)


@cache
def _seen(data: bytes, name: str, kind_before: str | None) -> Structure:
    return look(InMemory(data), name, len(data), kind_before)


@cache
def _chunks(data: bytes) -> frozenset[bytes]:
    cutter = pyfastcdc.FastCDC(64 * 1024, min_size=16 * 1024, max_size=256 * 1024)
    return frozenset(data[cut.offset : cut.offset + cut.length] for cut in cutter.cut_buf(data))


@dataclass
class File:
    node: str
    folder: str
    name: str
    data: bytes
    structure: Structure


@dataclass
class Folders:
    """A tree of files, and a clock that goes on by ``step_s`` with each change. ``lost``: nodes whose people's
    content is gone."""

    rng: random.Random
    step_s: float = 0.2
    now_s: float = START_S
    files: list[File] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    _next: int = 0

    def put(self, folder: str, name: str, data: bytes) -> File:
        self._next += 1
        file = File(f"n{self._next}", folder, name, data, _seen(data, name, None))
        self.files.append(file)
        return file

    def _at(self) -> float:
        self.now_s += self.step_s
        return self.now_s

    def create(self, folder: str, name: str, data: bytes) -> Change:
        file = self.put(folder, name, data)
        return Change(
            self._at(), file.node, folder, name, "created", after=file.structure, size_bytes=len(data)
        )

    def change(self, file: File, data: bytes, *, lost: bool = False) -> Change:
        after = _seen(data, file.name, file.structure.kind or None)
        old, new = _chunks(file.data), _chunks(data)
        change = Change(
            self._at(),
            file.node,
            file.folder,
            file.name,
            "changed",
            before=file.structure,
            after=after,
            size_before_bytes=len(file.data),
            size_bytes=len(data),
            chunks_before=len(old),
            chunks_kept=len(old & new),
        )
        file.data, file.structure = data, after
        if lost:
            self.lost.add(file.node)
        return change

    def rename(self, file: File, name: str) -> Change:
        change = Change(
            self._at(), file.node, file.folder, name, "renamed", name_before=file.name, before=file.structure
        )
        file.name = name
        return change

    def delete(self, file: File, *, lost: bool = False) -> Change:
        if lost:
            self.lost.add(file.node)
        return Change(
            self._at(),
            file.node,
            file.folder,
            file.name,
            "deleted",
            before=file.structure,
            size_before_bytes=len(file.data),
        )


def town_hall(seed: int, kinds: tuple[str, ...] = OFFICE) -> Folders:
    """240 files in 24 folders, in an order of their own."""
    rng = random.Random(f"town hall {seed}")
    folders = Folders(rng)
    for number in range(240):
        kind = rng.choice(kinds)
        folders.put(f"f{number // 10}", f"piece {number}.{kind}", made(kind, rng.randrange(8)))
    rng.shuffle(folders.files)
    return folders


Script = Callable[[Folders], Iterator[tuple[str, Change]]]
"""Yields (device, change) in the order in which they come."""
ONE = "device 1"


@dataclass(frozen=True)
class Outcome:
    """``files``: lost, or touched where none is lost, when the alarm came; None without one. ``since_s``: of the
    alarm."""

    files: int | None
    alarms: tuple[Alarm, ...] = ()


def run(script: Script, folders: Folders, *, restarts: bool = False) -> Outcome:
    """Feed the changes one by one until an alarm; ``restarts``: the state is saved and restored after each."""
    state, touched = Commune(), set()
    for device, change in script(folders):
        touched.add(change.node)
        if alarms := state.add(device, change, change.at_s):
            return Outcome(len(folders.lost) or len(touched), tuple(alarms))
        if restarts:
            state = Commune.restore(state.save())
    return Outcome(None)


# -- attacks ---------------------------------------------------------------------------------------------


def in_place(pattern: str, step_s: float = 0.2) -> Script:
    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        folders.step_s = step_s
        for number, file in enumerate(folders.files):
            if pattern == "all but the first 4 KiB" and len(file.data) <= 5000:
                continue  # nothing of it would change
            yield ONE, folders.change(file, drive_attacks.PATTERNS[pattern](file.data, number), lost=True)

    return script


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


def copied_and_deleted(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate(list(folders.files)):
        data = drive_attacks.full_with_footer(file.data, number)
        yield ONE, folders.create(file.folder, f"{file.name}.[id-7C1].k9x2", data)
        yield ONE, folders.delete(file, lost=True)


def deleted_and_copied(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Names that tell nothing; the order that some clients send."""
    for number, file in enumerate(list(folders.files)):
        data = drive_attacks.full_with_footer(file.data, number)
        yield ONE, folders.delete(file, lost=True)
        yield ONE, folders.create(file.folder, f"{folders.rng.randbytes(6).hex()}.k9x2", data)


def archived_and_deleted(folders: Folders) -> Iterator[tuple[str, Change]]:
    for file in list(folders.files):
        data = drive_files.zip_with_password(folders.rng, file.name, len(file.data))
        yield ONE, folders.create(file.folder, file.name + ".zip", data)
        yield ONE, folders.delete(file, lost=True)


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


def in_armour(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate(folders.files):
        data = drive_files.armour(drive_attacks.full(file.data, number))
        yield ONE, folders.change(file, data, lost=True)


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
    "in place, renamed afterwards": (renamed_afterwards, OFFICE, 6),
    "renamed first, then encrypted": (renamed_first, OFFICE, 6),
    "copy, encrypt, delete": (copied_and_deleted, OFFICE, 6),
    "delete, then a copy of another name": (deleted_and_copied, OFFICE, 6),
    "each file into a ZIP with a password, original deleted": (archived_and_deleted, OFFICE, 30),
    "each file a ZIP with a password under its old name": (archived_in_place, OFFICE, 10),
    "members of documents encrypted, ZIP kept": (members_encrypted, _OPEN_XML, 6),
    "encrypted and written as base64": (in_armour, OFFICE, 10),
    "encrypted behind the magic of another format": (disguised, OFFICE, 10),
    "notes in all folders first": (with_notes, OFFICE, 24),
    "slow: one file a minute": (in_place("whole", 60), OFFICE, 6),
    "slow: one file a minute, first 4 KiB": (in_place("first 4 KiB", 60), OFFICE, 6),
    "slower: one file an hour": (in_place("whole", 3600), OFFICE, 10),
    "four devices in turn": (from_devices(4, 1), OFFICE, 10),
    "ten devices in turn, one file a minute": (from_devices(10, 60), OFFICE, 20),
    "wiped with zeros": (wiped, OFFICE, 120),
    "renamed alone, content untouched": (renamed_only, OFFICE, 60),
    "real password-protected Office files": (behind_real_passwords, ("docx", "xlsx"), 240),
}


# -- honest work -----------------------------------------------------------------------------------------


def _all(folders: Folders, kind: str) -> list[File]:
    return [file for file in folders.files if file.name.endswith("." + kind)]


def passwords_on_one_folder(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number in range(80):
        kind = folders.rng.choice(("docx", "xlsx"))
        file = folders.put("paie", f"fiche {number}.{kind}", made(kind, number % 8))
        yield ONE, folders.change(file, drive_files.docx_with_password(folders.rng))


def passwords_on_several_folders(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate([*_all(folders, "docx"), *_all(folders, "odt")][:40]):
        data = (drive_files.docx_with_password if number % 2 else drive_files.odt_with_password)(folders.rng)
        yield ONE, folders.change(file, data)


def converted(old: str, new: str, count: int = 200) -> Script:
    """Each file of one kind saved as another beside it, the old one deleted."""

    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        for number in range(count):
            file = folders.put(f"f{number // 20}", f"piece {number}.{old}", made(old, number % 8))
            yield ONE, folders.create(file.folder, f"piece {number}.{new}", made(new, number % 8))
            yield ONE, folders.delete(file)

    return script


def rewritten(old: str, new: str, count: int = 200) -> Script:
    """Each file of one kind written anew under its name: photos of less quality, PDF to PDF/A."""

    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        for number in range(count):
            file = folders.put(f"f{number // 20}", f"piece {number}.{old}", made(old, number % 8))
            yield ONE, folders.change(file, made(new, (number + 3) % 8))

    return script


def to_jpeg_xl(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number in range(200):
        file = folders.put(f"f{number // 20}", f"photo {number}.jpg", made("jpg", number % 8))
        yield (
            ONE,
            folders.create(file.folder, f"photo {number}.jxl", b"\xff\x0a" + folders.rng.randbytes(9000)),
        )
        yield ONE, folders.delete(file)


def turned_in_place(folders: Folders) -> Iterator[tuple[str, Change]]:
    """A viewer turns photos: one byte of their header."""
    for number in range(300):
        file = folders.put(f"f{number // 20}", f"photo {number}.jpg", made("jpg", number % 8))
        yield ONE, folders.change(file, file.data[:13] + b"\x02" + file.data[14:])


def checkout(folders: Folders) -> Iterator[tuple[str, Change]]:
    rng = folders.rng
    for number in range(200):
        blob = zlib.compress(made("txt", number % 8)[: rng.randint(200, 9000)])
        yield ONE, folders.create(f".git/objects/{number % 16:02x}", rng.randbytes(19).hex(), blob)
    index = folders.put(".git", "index", b"DIRC" + rng.randbytes(9000))
    yield ONE, folders.rename(folders.put(".git", "index.lock", b"DIRC" + rng.randbytes(9000)), "index.new")
    yield ONE, folders.change(index, b"DIRC" + rng.randbytes(9000))
    for number in range(150):
        kind = rng.choice(("txt", "html", "png", "csv", "docx"))
        file = folders.put(f"src/{number // 10}", f"source {number}.{kind}", made(kind, number % 8))
        if number % 5 == 0:
            yield ONE, folders.delete(file)
        else:
            yield ONE, folders.change(file, made(kind, (number + 1) % 8))


def quarantine(folders: Folders) -> Iterator[tuple[str, Change]]:
    for file in folders.files[:60]:
        yield ONE, folders.rename(file, file.name + ".vir")


def quarantine_elsewhere(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Content made harmless, in a folder of the antivirus, the original deleted."""
    for number, file in enumerate(folders.files[:60]):
        data = bytes(byte ^ 0x5A for byte in file.data)
        yield ONE, folders.create("Quarantine", f"{number:08x}.qua", data)
        yield ONE, folders.delete(file)


def unpacked(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number in range(5000):
        yield ONE, folders.create(f"photos/{number // 500}", f"IMG_{number:04}.jpg", made("jpg", number % 8))


def backups(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Encrypted archives each night, the oldest one deleted."""
    kept: list[File] = []
    for number in range(60):
        yield ONE, folders.create("sauvegardes", f"sauvegarde-{number:03}.7z", made("7z", number % 8))
        kept.append(folders.files[-1])
        if len(kept) > 7:
            yield ONE, folders.delete(kept.pop(0))


def one_archive_of_a_folder(folders: Folders) -> Iterator[tuple[str, Change]]:
    files = [
        folders.put("rh", f"dossier {n}.{k}", made(k, n % 8)) for n in range(120) for k in ("docx", "pdf")
    ]
    yield ONE, folders.create("rh", "rh.7z", made("7z"))
    for file in files:
        yield ONE, folders.delete(file)


def each_file_of_a_folder_locked(maker: str) -> Script:
    """Each into an archive of its own with a password, or encrypted for somebody; the originals deleted."""

    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        for number in range(40):
            kind = folders.rng.choice(("docx", "pdf"))
            file = folders.put("rh", f"dossier {number}.{kind}", made(kind, number % 8))
            packed = (
                made("7z", number % 8) if maker == "7z" else b"\x85\x02\x0c\x03" + folders.rng.randbytes(9000)
            )
            yield ONE, folders.create("rh", f"{file.name}.{maker}", packed)
            yield ONE, folders.delete(file)

    return script


def vault(folders: Folders) -> Iterator[tuple[str, Change]]:
    """A vault of Cryptomator in the drive takes a hundred files in."""
    for number, file in enumerate(folders.files[:100]):
        data = folders.rng.randbytes(len(file.data) + 88 + 28)
        yield ONE, folders.create(f"coffre/d/{number % 9:02}", folders.rng.randbytes(20).hex() + ".c9r", data)
        yield ONE, folders.delete(file)


def power_cut(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate(folders.files[:50]):
        data = bytes(len(file.data)) if number % 2 else file.data[: len(file.data) // 2]
        yield ONE, folders.change(file, data)


def faulty_program(folders: Folders) -> Iterator[tuple[str, Change]]:
    """A business program of one trade writes PDF files that nobody can open."""
    for number, file in enumerate(_all(folders, "pdf")[:5]):
        yield ONE, folders.change(file, drive_attacks.full(file.data, number))


def saved_by_office(folders: Folders) -> Iterator[tuple[str, Change]]:
    """A lock file, a temporary file, the document, both gone: for each of 150 documents."""
    for number, file in enumerate([*_all(folders, "docx"), *_all(folders, "xlsx")] * 3):
        kind = file.name.rsplit(".", 1)[1]
        yield ONE, folders.create(file.folder, "~$" + file.name[2:], b"\x05Maire" + bytes(156))
        lock = folders.files[-1]
        yield ONE, folders.create(file.folder, f"~WRD{number:04}.tmp", made(kind, number % 8))
        temporary = folders.files[-1]
        yield ONE, folders.change(file, made(kind, (number + 1) % 8))
        yield ONE, folders.delete(temporary)
        yield ONE, folders.delete(lock)


def renamed_by_a_person(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate(folders.files[:200]):
        stem, _, kind = file.name.partition(".")
        new = (
            f"{stem} v2.{kind}",
            f"{file.name}.bak",
            f"{file.name}.old",
            f"2026-11-{number % 30}_{file.name}",
        )[number % 4]
        yield ONE, folders.rename(file, new)
    for file in folders.files[200:220]:
        yield ONE, folders.rename(file, file.name + ".traité")


def tables_as_pages(folders: Folders) -> Iterator[tuple[str, Change]]:
    """A business program writes .xls files that are HTML over real ones."""
    for number in range(100):
        file = folders.put(f"f{number % 9}", f"export {number}.xls", made("doc", number % 8))
        yield ONE, folders.change(file, made("html", number % 8))


def logs_packed(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number in range(100):
        file = folders.put("journaux", f"app-{number}.log", made("csv", number % 8))
        yield ONE, folders.create("journaux", f"app-{number}.log.gz", zlib.compress(file.data, wbits=31))
        yield ONE, folders.delete(file)


def uploads_in_two_steps(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Empty first, as explorers do it."""
    for number in range(200):
        kind = folders.rng.choice(OFFICE)
        yield ONE, folders.create(f"f{number // 20}", f"piece {number}.{kind}", b"")
        yield ONE, folders.change(folders.files[-1], made(kind, number % 8))


def cleaned_up(folders: Folders) -> Iterator[tuple[str, Change]]:
    for file in folders.files:
        yield ONE, folders.delete(file)


def plans_worked_on(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number in range(120):
        kind = folders.rng.choice(("gpkg", "shp", "dbf", "dxf", "dwg"))
        file = folders.put(f"sig/{number % 7}", f"plan {number}.{kind}", made(kind, number % 8))
        yield ONE, folders.change(file, made(kind, (number + 1) % 8))


def photos_into_old_documents(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number in range(12):
        file = folders.put(f"f{number % 4}", f"bulletin {number}.doc", made("doc", number % 8))
        body = drive_files.prose(folders.rng, 3000).encode("utf-16-le")
        data = drive_files.compound([("WordDocument", body), ("Data", folders.rng.randbytes(200000))])
        yield ONE, folders.change(file, data)


HONEST: dict[str, Script] = {
    "80 Office files of one folder get a password": passwords_on_one_folder,
    "40 documents (Word, OpenDocument) of many folders get a password": passwords_on_several_folders,
    "200 .doc saved as .docx, the old ones deleted": converted("doc", "docx"),
    "200 .docx printed to .pdf, the old ones deleted": converted("docx", "pdf"),
    "200 photos converted to WebP, the old ones deleted": converted("jpg", "webp"),
    "200 photos converted to JPEG XL (not checked), the old ones deleted": to_jpeg_xl,
    "200 photos compressed anew under their names": rewritten("jpg", "jpg"),
    "200 photos written as PNG under the name .jpg": rewritten("jpg", "png"),
    "200 PDF converted to PDF/A under their names": rewritten("pdf", "1.5.pdf"),
    "300 photos turned by one byte": turned_in_place,
    "git: 200 objects, 150 files changed or deleted": checkout,
    "an antivirus renames 60 files": quarantine,
    "an antivirus moves 60 scrambled files to its folder": quarantine_elsewhere,
    "5,000 photos unpacked": unpacked,
    "60 encrypted archives of a backup program, old ones deleted": backups,
    "a folder of 240 files into one .7z, then deleted": one_archive_of_a_folder,
    "40 files of one folder, each into a .7z, then deleted": each_file_of_a_folder_locked("7z"),
    "40 files of one folder, each encrypted by OpenPGP, then deleted": each_file_of_a_folder_locked("gpg"),
    "100 files moved into a vault of Cryptomator": vault,
    "a power cut leaves 50 files blank or cut off": power_cut,
    "a faulty program spoils 5 PDF within a second": faulty_program,
    "documents saved by Office, with lock and temporary files": saved_by_office,
    "220 files renamed (.bak, .old, a date, .traité)": renamed_by_a_person,
    "100 .xls overwritten by HTML of the same name": tables_as_pages,
    "100 logs packed, the old ones deleted": logs_packed,
    "200 files created empty, then written": uploads_in_two_steps,
    "240 files deleted": cleaned_up,
    "120 plans and tables saved": plans_worked_on,
    "photos put into 12 old .doc": photos_into_old_documents,
}


# -- the tables of the document --------------------------------------------------------------------------


def kinds_table() -> list[str]:
    patterns = list(drive_attacks.PATTERNS)
    lines = ["| kind | sound | " + " | ".join(patterns) + " |", "|---|---|" + "---|" * len(patterns)]
    for kind in drive_files.MAKERS:
        sound, cells = 0, dict.fromkeys(patterns, 0)
        for seed in range(8):
            data = made(kind, seed)
            before = _seen(data, "a." + kind, None)
            sound += before.state in {"sound", "sealed"}
            for pattern, encrypt in drive_attacks.PATTERNS.items():
                hidden = encrypt(data, seed)
                after = look(InMemory(hidden), "a." + kind, len(hidden), before.kind)
                cells[pattern] += hidden == data or after.state in {"broken", "torn"}
        lines.append(f"| {kind} | {sound} of 8 | " + " | ".join(str(cells[one]) for one in patterns) + " |")
    return lines


def attacks_table() -> list[str]:
    lines = ["| attack | files lost until the alarm: median, worst of 5 orders |", "|---|---|"]
    for name, (script, kinds, _) in ATTACKS.items():
        counts = [run(script, town_hall(seed, kinds)).files for seed in SEEDS]
        known = [count for count in counts if count is not None]
        said = f"{median(known):g}, {max(known)}" if len(known) == len(counts) else "no alarm"
        lines.append(f"| {name} | {said} |")
    return lines


def honest_table() -> list[str]:
    lines = ["| honest work | alarm |", "|---|---|"]
    for name, script in HONEST.items():
        alarms = sum(run(script, town_hall(seed)).files is not None for seed in SEEDS)
        lines.append(f"| {name} | {alarms or 'none'} |")
    return lines


TABLES = {"kinds": kinds_table, "attacks": attacks_table, "honest": honest_table}


def written(document: str) -> str:
    """The document with its tables made anew."""
    for name, table in TABLES.items():
        made_anew = f"<!-- {name} -->\n" + "\n".join(table()) + f"\n<!-- end of {name} -->"
        document = re.sub(
            f"<!-- {name} -->.*?<!-- end of {name} -->", lambda _, new=made_anew: new, document, flags=re.S
        )
    return document


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8")), "utf-8")
