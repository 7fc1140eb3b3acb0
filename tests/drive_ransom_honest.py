"""Honest work on ``tests.drive_ransom_folders`` that looks like an attack to one rule or another."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

from beffroi.drive.guard.signs import Change
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7

from tests import drive_attacks, drive_files
from tests.drive_files import OFFICE, made
from tests.drive_ransom_folders import ONE, File, Folders, Script


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


def to_what_is_not_checked(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Aerial photos become ECW, plans DWF, films what televisions play; what they were is deleted."""
    rng = folders.rng
    for number in range(240):
        packets = b"".join(b"\x47" + rng.randbytes(187) for _ in range(60))
        clocked = b"".join(rng.randbytes(4) + b"\x47" + rng.randbytes(187) for _ in range(60))
        old, new, data = (
            ("tif", "ecw", b"e\x02\x01\x02" + rng.randbytes(9000)),
            ("dwg", "dwf", b"(DWF V06.00)PK\x03\x04" + rng.randbytes(9000)),
            ("mp4", "ts", packets),
            ("mp4", "m2ts", clocked),
        )[number % 4]
        file = folders.put(f"f{number // 20}", f"piece {number}.{old}", made(old, number % 8))
        yield ONE, folders.create(file.folder, f"piece {number}.{new}", data)
        yield ONE, folders.delete(file)


def raw_beside_jpeg(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Photos come from a camera as raw data and as JPEG; the JPEGs are deleted."""
    heads = (b"FUJIFILMCCD-RAW ", b"IIRO\x08\0\0\0", b"IIU\0\x18\0\0\0", b"FOVb\0\0\2\0")
    for number in range(60):
        kind = number % 4
        name, data = f"P{number:07}", heads[kind] + folders.rng.randbytes(40_000)
        yield ONE, folders.create("photos", f"{name}.{('raf', 'orf', 'rw2', 'x3f')[kind]}", data)
        yield ONE, folders.create("photos", f"{name}.jpg", made("jpg", number % 8))
    for file in _all(folders, "jpg"):
        if file.folder == "photos":
            yield ONE, folders.delete(file)


def unknown_beside_jpeg(folders: Folders) -> Iterator[tuple[str, Change]]:
    """A camera's own data of an unknown kind in one folder, JPEGs of the same names in another: those are deleted."""
    for number in range(60):
        raw = folders.rng.randbytes(40_000)
        yield ONE, folders.create(f"originaux/{number % 5}", f"P{number:07}.srw", raw)
        yield ONE, folders.create(f"photos/{number % 5}", f"P{number:07}.jpg", made("jpg", number % 8))
    for file in _all(folders, "jpg"):
        if file.folder.startswith("photos"):
            yield ONE, folders.delete(file)


def each_into_an_archive_elsewhere(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number, file in enumerate(list(folders.files)[:60]):
        yield ONE, folders.create("coffre-fort", f"{file.name}.7z", made("7z", number % 8))
        yield ONE, folders.delete(file)


def brought_elsewhere(folders: Folders) -> Iterator[tuple[str, Change]]:
    """A program that knows no move: each file is sent anew in another folder, and deleted."""
    for file in list(folders.files):
        yield ONE, folders.create(f"2025/{file.folder}", file.name, file.data)
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


def folders_of_years_locked(count: int, step_s: float) -> Script:
    """The acts of each year into one .7z with a password, which has the name of their folder; then deleted."""

    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        for year in range(2000, 2000 + count):
            folder = f"actes/{year}"
            files = [
                folders.put(f"{folder}/{n % 4}", f"acte {n}.{kind}", made(kind, n % 8))
                for n in range(20)
                for kind in ("docx", "pdf")
            ]
            yield ONE, folders.create("actes", f"{year}.7z", made("7z", year % 8))
            for file in files:
                yield ONE, folders.delete(file)
            folders.now_s += step_s

    return script


def each_file_of_a_folder_locked(maker: str) -> Script:
    """Each into an archive of its own with a password, or encrypted for somebody; the originals deleted."""

    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        for number in range(40):
            kind = folders.rng.choice(("docx", "pdf"))
            file = folders.put("rh", f"dossier {number}.{kind}", made(kind, number % 8))
            packed = made("7z", number % 8)
            if maker != "7z":
                packed = b"\x85\x02\x0c\x03" + folders.rng.randbytes(9000)
            if maker == "asc":
                packed = (
                    b"-----BEGIN PGP MESSAGE-----\n\n"
                    + base64.encodebytes(packed)
                    + b"-----END PGP MESSAGE-----\n"
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


def first_pages_blank(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number in range(30):
        kind = ("docx", "xlsx", "odt")[number % 3]
        file = folders.put(f"f{number % 7}", f"rapport {number}.{kind}", made(kind, number % 8))
        yield ONE, folders.change(file, bytes(min(4096, len(file.data))) + file.data[4096:])


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


def numbered(folders: Folders) -> Iterator[tuple[str, Change]]:
    """As a page or an explorer names all that is chosen."""
    for number, file in enumerate(folders.files):
        yield ONE, folders.rename(file, f"Mairie - {number:03}.{file.name.partition('.')[2]}")


def titled(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Photos get a title, by somebody who leaves out their ending."""
    for number in range(50):
        file = folders.put(f"f{number // 5}", f"IMG_{2000 + number}.jpg", made("jpg", number % 8))
        yield ONE, folders.rename(file, f"Fête du village, groupe {number}")


def kept_as_records(folders: Folders) -> Iterator[tuple[str, Change]]:
    """A folder of its archives gets names as its inventory has them."""
    for number in range(80):
        file = folders.put("archives", f"piece {number}.pdf", made("pdf", number % 8))
        yield ONE, folders.rename(file, f"2W{number:04}")


def films_exported(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Each is sent while it is written, then whole."""
    folders.step_s = 60
    films = [folders.put(f"f{number % 3}", f"film {number}.mp4", made("mp4", number)) for number in range(8)]
    for number, film in enumerate(films * 3):
        data = made("mp4", (number + 3) % 8)
        for end in (0, len(data) // 3, data.rindex(b"moov") - 4, len(data)):
            yield ONE, folders.change(film, data[:end])


def passwords_each_day(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Tables that have one, saved daily with another key, as Excel does."""
    folders.step_s = 86400 / 30
    files = [
        folders.put(f"f{number % 5}", f"paie {number}.xlsx", drive_files.docx_with_password(folders.rng))
        for number in range(30)
    ]
    for file in files * 5:
        yield ONE, folders.change(file, drive_files.docx_with_password(folders.rng))


def locked_as(old: str, new: str, count: int) -> Script:
    """Saved with a password under the newer kind, or printed to a PDF with one; the old one deleted."""
    locks = {"xlsx": drive_files.docx_with_password, "pdf": drive_files.pdf_with_password}

    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        for number in range(count):
            file = folders.put(f"f{number // 5}", f"piece {number}.{old}", made(old, number % 8))
            yield ONE, folders.create(file.folder, f"piece {number}.{new}", locks[new](folders.rng))
            yield ONE, folders.delete(file)

    return script


def scans_with_passwords(folders: Folders) -> Iterator[tuple[str, Change]]:
    """By a copier that encrypts each PDF, and takes the last name again."""
    for number in range(100):
        yield ONE, folders.create("scans", f"scan {number}.pdf", drive_files.pdf_with_password(folders.rng))
    file = folders.put("scans", "dernier.pdf", made("scan.pdf", 1))
    for _ in range(100):
        yield ONE, folders.change(file, drive_files.pdf_with_password(folders.rng))


def edited_by_three(folders: Folders) -> Iterator[tuple[str, Change]]:
    """One document in the online editor, saved each half minute for two hours."""
    folders.step_s = 30
    files = [
        folders.put("conseil", f"compte rendu {number}.docx", made("docx", number)) for number in range(3)
    ]
    for number in range(240):
        yield f"office {number % 3}", folders.change(files[number % 3], made("docx", number % 8))


def moved_and_restored(folders: Folders) -> Iterator[tuple[str, Change]]:
    for file in folders.files:
        file.folder = f"archives {file.folder}"
        yield ONE, folders.rename(file, file.name)
    for file in folders.files:
        yield ONE, folders.change(file, made(file.name.partition(".")[2], 7))


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


def over_texts(write: Callable[[Folders, int], bytes], kind: str, count: int) -> Script:
    """Files of one kind in several folders are written over with what ``write`` makes."""

    def script(folders: Folders) -> Iterator[tuple[str, Change]]:
        for number in range(count):
            file = folders.put(f"f{number % 9}", f"export {number}.{kind}", made(kind, number % 8))
            yield ONE, folders.change(file, write(folders, number))

    return script


@cache
def _certificate(number: int) -> x509.Certificate:
    key = _key(number)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"mairie{number}.test")])
    made_at = datetime(2026, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 100 + number)
        .not_valid_before(made_at)
        .not_valid_after(made_at + timedelta(days=900))
        .sign(key, hashes.SHA256())
    )


@cache
def _key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(1000 + number, ec.SECP384R1())


def chain(_: Folders, number: int) -> bytes:
    """Certificates one after the other, PEM."""
    some = [_certificate((number + step) % 8).public_bytes(serialization.Encoding.PEM) for step in range(6)]
    return b"".join(some)


def _signed(data: bytes, number: int) -> bytes:
    builder = pkcs7.PKCS7SignatureBuilder().set_data(data)
    signed = builder.add_signer(_certificate(number % 8), _key(number % 8), hashes.SHA256())
    return signed.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])


def signature(_: Folders, number: int) -> bytes:
    """A .p7m that was saved as base64 in a text, with the signed document in it."""
    return base64.encodebytes(_signed(made("pdf", number % 8), number))


def signed_beside(folders: Folders) -> Iterator[tuple[str, Change]]:
    """Each document within its signature, the original deleted."""
    for number, file in enumerate(list(folders.files)[:60]):
        yield ONE, folders.create(file.folder, file.name + ".p7m", _signed(file.data, number))
        yield ONE, folders.delete(file)


def table_with_photos(_: Folders, number: int) -> bytes:
    photos = (base64.b64encode(made("jpg", (number + row) % 8)) for row in range(3))
    return b"nom;photo\r\n" + b"".join(b"Durand;" + photo + b"\r\n" for photo in photos)


def page_with_pictures(_: Folders, number: int) -> bytes:
    picture = base64.b64encode(made("png", number % 8))
    return b'<html><body><p>Bulletin</p><img src="data:image/png;base64,' + picture + b'"></body></html>'


def codes(folders: Folders, _: int) -> bytes:
    """One hash a line, as a program of checksums writes them."""
    return b"".join(folders.rng.randbytes(32).hex().encode() + b"\n" for _ in range(80))


def numbers(folders: Folders, _: int) -> bytes:
    return b"".join(b"%d\n" % folders.rng.randrange(10**9) for _ in range(400))


def dump(_: Folders, number: int) -> bytes:
    """What was in the document, in hexadecimal."""
    return made("csv", number % 8)[:20_000].hex().encode()


def to_base64(folders: Folders) -> Iterator[tuple[str, Change]]:
    for number in range(200):
        kind = OFFICE[number % len(OFFICE)]
        file = folders.put(f"f{number // 20}", f"piece {number}.{kind}", made(kind, number % 8))
        data = (
            b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(file.data) + b"-----END CERTIFICATE-----\n"
        )
        yield ONE, folders.create(file.folder, f"piece {number}.{kind}.b64", data)
        yield ONE, folders.delete(file)


HONEST: dict[str, Script] = {
    "80 Office files of one folder get a password": passwords_on_one_folder,
    "40 documents (Word, OpenDocument) of many folders get a password": passwords_on_several_folders,
    "200 .doc saved as .docx, the old ones deleted": converted("doc", "docx"),
    "200 .docx printed to .pdf, the old ones deleted": converted("docx", "pdf"),
    "200 photos converted to WebP, the old ones deleted": converted("jpg", "webp"),
    "200 photos converted to JPEG XL (not checked), the old ones deleted": to_jpeg_xl,
    "60 photos as raw data and JPEG, the JPEGs deleted": raw_beside_jpeg,
    "60 photos as data of an unknown kind in other folders, the JPEGs deleted": unknown_beside_jpeg,
    "60 files of many folders, each into a .7z in another folder, then deleted": each_into_an_archive_elsewhere,
    "240 files sent anew in other folders, the old ones deleted": brought_elsewhere,
    "240 aerial photos, plans and films converted to what is not checked, the old ones deleted": to_what_is_not_checked,
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
    "five folders of years, each into one .7z, then deleted": folders_of_years_locked(5, 60),
    "nine folders of years in a day, each into one .7z, then deleted": folders_of_years_locked(9, 3600),
    "40 files of one folder, each into a .7z, then deleted": each_file_of_a_folder_locked("7z"),
    "40 files of one folder, each encrypted by OpenPGP, then deleted": each_file_of_a_folder_locked("gpg"),
    "100 files moved into a vault of Cryptomator": vault,
    "a power cut leaves 50 files blank or cut off": power_cut,
    "a power cut leaves the beginning of 30 documents blank": first_pages_blank,
    "a faulty program spoils 5 PDF within a second": faulty_program,
    "documents saved by Office, with lock and temporary files": saved_by_office,
    "220 files renamed (.bak, .old, a date, .traité)": renamed_by_a_person,
    "240 files numbered anew": numbered,
    "50 photos of many folders get a title without an ending": titled,
    "80 files of one folder named as an inventory has them": kept_as_records,
    "300 .odt saved as .docx, the old ones deleted": converted("odt", "docx", 300),
    "40 .doc of many folders saved as .xlsx with a password, the old ones deleted": locked_as(
        "doc", "xlsx", 40
    ),
    "40 .docx of many folders printed to .pdf with a password, the old ones deleted": locked_as(
        "docx", "pdf", 40
    ),
    "8 films exported three times, sent while they are written": films_exported,
    "30 tables with a password saved each day": passwords_each_day,
    "a copier that encrypts 200 PDF, half of them over the last one": scans_with_passwords,
    "three documents saved each half minute by three people": edited_by_three,
    "240 files moved to other folders, then restored from a backup": moved_and_restored,
    "100 .xls overwritten by HTML of the same name": tables_as_pages,
    "100 logs packed, the old ones deleted": logs_packed,
    "200 files created empty, then written": uploads_in_two_steps,
    "240 files deleted": cleaned_up,
    "120 plans and tables saved": plans_worked_on,
    "photos put into 12 old .doc": photos_into_old_documents,
    "40 files of one folder, each encrypted by OpenPGP as text, then deleted": each_file_of_a_folder_locked(
        "asc"
    ),
    "60 texts overwritten by certificates (PEM)": over_texts(chain, "txt", 60),
    "60 texts overwritten by signed documents (.p7m as base64)": over_texts(signature, "txt", 60),
    "60 documents within their signature (.p7m) beside them, the old ones deleted": signed_beside,
    "60 tables that now carry photos as base64": over_texts(table_with_photos, "csv", 60),
    "100 .doc overwritten by pages with pictures as base64": over_texts(page_with_pictures, "doc", 100),
    "60 texts overwritten by dumps in hexadecimal": over_texts(dump, "txt", 60),
    "15 texts overwritten by lists of hashes": over_texts(codes, "txt", 15),
    "60 texts overwritten by lists of numbers": over_texts(numbers, "txt", 60),
    "200 documents written as base64 beside them, the old ones deleted": to_base64,
}
