"""Files as a town hall keeps them, made in memory by small encoders: the same bytes for the same seed.

Real where the format has a reader among the libraries of the project (zipfile, pypdf, olefile, sqlite3, libarchive):
tests/unit/test_drive_structure.py opens them with it. Films, WebP and DWG have the framing of the real ones alone.
"""

from __future__ import annotations

import base64
import io
import math
import random
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pypdf
from pypdf.generic import DecodedStreamObject, NameObject

from tests.drive_pictures import gif, photo, png, tiff, webp

_TEXT = (
    "le conseil municipal réuni en séance publique délibère sur la convention relative aux travaux de voirie du chemin "
    "rural et autorise madame la maire à signer tout document budget annexe assainissement école cantine subvention "
    "association marché public devis entreprise parcelle cadastre permis de construire arrêté circulation cimetière"
)
WORDS = _TEXT.split()


def prose(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(count))


def text(rng: random.Random) -> bytes:
    return "\n".join(prose(rng, rng.randint(5, 60)) for _ in range(rng.randint(20, 300))).encode()


def latin(rng: random.Random) -> bytes:
    return text(rng).decode().encode("cp1252")


def table(rng: random.Random) -> bytes:
    rows = (";".join(f"{rng.random() * 1000:.2f}" for _ in range(8)) for _ in range(rng.randint(100, 2000)))
    return "\r\n".join(["date;libellé;débit;crédit", *rows]).encode()


def page(rng: random.Random) -> bytes:
    return f"<!DOCTYPE html><html><body><p>{prose(rng, 600)}</p></body></html>".encode()


def wide(rng: random.Random) -> bytes:
    return ("\ufeff" + prose(rng, 900)).encode("utf-16-le")


# -- Office ----------------------------------------------------------------------------------------------


def _zip(members: list[tuple[str, bytes, bool]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, stored in members:
            info = zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6))
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return out.getvalue()


def _office(rng: random.Random, part: str, body: str) -> bytes:
    members = [
        ("[Content_Types].xml", b"<?xml version='1.0'?><Types/>" + prose(rng, 20).encode(), False),
        ("_rels/.rels", b"<?xml version='1.0'?><Relationships/>", False),
        (part, f"<?xml version='1.0'?><document>{body}</document>".encode(), False),
        ("docProps/core.xml", f"<coreProperties>{prose(rng, 9)}</coreProperties>".encode(), False),
    ]
    if rng.random() < 0.5:
        members.append(("word/media/image1.jpeg", photo(rng, rows=10), True))
    return _zip(members)


def docx(rng: random.Random) -> bytes:
    return _office(
        rng, "word/document.xml", "".join(f"<p>{prose(rng, 60)}</p>" for _ in range(rng.randint(5, 90)))
    )


def xlsx(rng: random.Random) -> bytes:
    cells = "".join(f"<c><v>{rng.random()}</v></c>" for _ in range(rng.randint(200, 4000)))
    return _office(rng, "xl/worksheets/sheet1.xml", cells)


def odt(rng: random.Random) -> bytes:
    kind = b"application/vnd.oasis.opendocument.text"
    body = "".join(f"<text:p>{prose(rng, 60)}</text:p>" for _ in range(rng.randint(5, 90)))
    return _zip(
        [
            ("mimetype", kind, True),
            ("content.xml", body.encode(), False),
            ("META-INF/manifest.xml", b"<manifest:manifest/>", False),
        ]
    )


def odt_with_password(rng: random.Random) -> bytes:
    """As LibreOffice writes it: members encrypted and stored, the manifest says how."""
    kind = b"application/vnd.oasis.opendocument.text"
    manifest = (
        b"<manifest:manifest><manifest:encryption-data manifest:checksum-type='SHA256'/></manifest:manifest>"
    )
    return _zip(
        [
            ("mimetype", kind, True),
            ("content.xml", rng.randbytes(9000), True),
            ("META-INF/manifest.xml", manifest, False),
        ]
    )


def compound(streams: list[tuple[str, bytes]]) -> bytes:
    """A compound file of streams of 4,096 bytes or more each: header, streams, directory, allocation table."""
    sectors: list[bytes] = []
    links: list[int] = []

    def lay(data: bytes) -> int:
        first = len(sectors)
        pieces = [data[at : at + 512].ljust(512, b"\0") for at in range(0, len(data), 512)]
        sectors.extend(pieces)
        links.extend([*range(first + 1, first + len(pieces)), 0xFFFFFFFE])
        return first

    starts = [(name, lay(data), len(data)) for name, data in streams]
    entries = [_entry("Root Entry", 5, 0xFFFFFFFE, 0, child=1)]
    for number, (name, first, size) in enumerate(starts, 1):
        entries.append(_entry(name, 2, first, size, right=number + 1 if number < len(starts) else 0xFFFFFFFF))
    while len(entries) % 4:
        entries.append(bytes(68) + b"\xff" * 12 + bytes(48))
    directory = lay(b"".join(entries))
    count = math.ceil((len(links) + 1) / 127)
    tables = list(range(len(sectors), len(sectors) + count))
    links += [0xFFFFFFFD] * count
    links += [0xFFFFFFFF] * (128 * count - len(links))
    sectors += [struct.pack("<128I", *links[128 * n : 128 * n + 128]) for n in range(count)]
    header = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(16)
        + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
        + bytes(6)
    )
    header += struct.pack("<IIIIIIIII", 0, count, directory, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    return header + struct.pack("<109I", *tables, *[0xFFFFFFFF] * (109 - count)) + b"".join(sectors)


def _entry(
    name: str, kind: int, first: int, size: int, *, child: int = 0xFFFFFFFF, right: int = 0xFFFFFFFF
) -> bytes:
    label = name.encode("utf-16-le") + b"\0\0"
    return (
        label.ljust(64, b"\0")
        + struct.pack("<HBBIII", len(label), kind, 1, 0xFFFFFFFF, right, child)
        + bytes(36)
        + struct.pack("<IQ", first, size)
    )


def doc(rng: random.Random) -> bytes:
    return compound(
        [("WordDocument", prose(rng, rng.randint(800, 9000)).encode("utf-16-le")), ("1Table", table(rng))]
    )


def docx_with_password(rng: random.Random) -> bytes:
    """As Word and Excel write it: a compound file around one encrypted package ([MS-OFFCRYPTO])."""
    info = b"\x04\0\x04\0\x40\0\0\0" + b"<?xml version='1.0'?><encryption/>" + b" " * 4200
    return compound([("EncryptionInfo", info), ("EncryptedPackage", rng.randbytes(rng.randint(9000, 60000)))])


# -- PDF -------------------------------------------------------------------------------------------------


def pdf(rng: random.Random) -> bytes:
    """By pypdf: a classic table, packed contents."""
    writer = pypdf.PdfWriter()
    for _ in range(rng.randint(1, 8)):
        sheet = writer.add_blank_page(595, 842)
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 50 700 Td ({prose(rng, 300)}) Tj ET".encode("cp1252"))
        sheet[NameObject("/Contents")] = writer._add_object(content.flate_encode())
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def pdf_with_password(rng: random.Random) -> bytes:
    """As a copier scans to it: pypdf encrypts each stream (AES-128)."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(scan(rng)))
    writer.encrypt("mairie", algorithm="AES-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def pdf_of_today(rng: random.Random) -> bytes:
    """Version 1.5: a cross-reference stream, filtered as programs do it."""
    out = bytearray(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")
    offsets = [0]
    packed = [zlib.compress(prose(rng, 800).encode("cp1252")) for _ in range(rng.randint(2, 9))]
    bodies = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"]
    bodies += [
        b"<</Length %d/Filter/FlateDecode>>stream\n" % len(data) + data + b"\nendstream" for data in packed
    ]
    for number, body in enumerate(bodies, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    offsets.append(len(out))
    rows, before = bytearray(), bytes(5)
    for number, offset in enumerate(offsets):
        row = bytes([number > 0]) + offset.to_bytes(3, "big") + b"\0"
        rows += b"\2" + bytes((a - b) & 255 for a, b in zip(row, before, strict=True))
        before = row
    data = zlib.compress(bytes(rows))
    out += b"%d 0 obj\n<</Type/XRef/Size %d/Root 1 0 R/W[1 3 1]/Filter/FlateDecode" % (
        len(offsets) - 1,
        len(offsets),
    )
    out += b"/DecodeParms<</Predictor 12/Columns 5>>/Length %d>>stream\n" % len(data) + data
    out += b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % offsets[-1]
    return bytes(out)


def scan(rng: random.Random) -> bytes:
    """Pages as a copier sends them: JPEG pictures, their lengths in objects of their own, a classic table."""
    out = bytearray(b"%PDF-1.4\n")
    offsets: list[int] = []
    bodies = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"]
    for _ in range(rng.randint(1, 4)):
        data = photo(rng, rows=200)
        bodies += [b"%d" % len(data)]
        bodies += [
            b"<</Subtype/Image/Filter/DCTDecode/Length %d 0 R>>stream\n" % len(bodies) + data + b"\nendstream"
        ]
    for number, body in enumerate(bodies, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(offsets) + 1, start)
    return bytes(out)


# -- films and sound -------------------------------------------------------------------------------------


def film(rng: random.Random, mdat_bytes: int = 0) -> bytes:
    def box(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data) + 8) + kind + data

    moov = box(
        b"moov",
        box(b"mvhd", bytes(100))
        + box(b"trak", box(b"tkhd", bytes(84)) + box(b"mdia", prose(rng, 1500).encode())),
    )
    data = rng.randbytes(mdat_bytes or rng.randint(60000, 200000))
    return box(b"ftyp", b"isom\0\0\2\0isomiso2mp41") + box(b"mdat", data) + moov


def sound(rng: random.Random) -> bytes:
    frame = b"\xff\xfb\x90\x00"  # MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes
    return (
        b"ID3\4\0\0\0\0\0\x0a"
        + bytes(10)
        + b"".join(frame + rng.randbytes(413) for _ in range(rng.randint(90, 300)))
    )


# -- plans and tables ------------------------------------------------------------------------------------


def geopackage(rng: random.Random) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parcelles.gpkg"
        with sqlite3.connect(path) as base:
            base.execute("PRAGMA application_id = 1196444487")
            base.execute("CREATE TABLE parcelle (id INTEGER PRIMARY KEY, section TEXT, geom BLOB)")
            base.execute("CREATE INDEX parcelle_section ON parcelle (section)")
            count = rng.randint(300, 1500)
            base.executemany(
                "INSERT INTO parcelle VALUES (?, ?, ?)",
                (
                    (number, prose(rng, 3), struct.pack("<8d", *(rng.random() for _ in range(8))))
                    for number in range(count)
                ),
            )
        base.close()
        return path.read_bytes()


def shapefile(rng: random.Random) -> bytes:
    records = b"".join(
        struct.pack(">II", number, 10)
        + struct.pack("<Idd", 1, 800000 + rng.random() * 1e4, 6e6 + rng.random() * 1e4)
        for number in range(1, rng.randint(300, 3000))
    )
    words = (100 + len(records)) // 2
    return struct.pack(">I20xI", 9994, words) + struct.pack("<II8d", 1000, 1, *[0.0] * 8) + records


def dbase(rng: random.Random) -> bytes:
    rows = [f" {prose(rng, 9)[:59]:<59}".encode("cp850") for _ in range(rng.randint(100, 900))]
    field = b"LIBELLE\0\0\0\0C" + bytes(4) + b"\x3b" + bytes(15)
    return (
        struct.pack("<BBBBIHH20x", 3, 126, 5, 6, len(rows), 65, 60) + field + b"\r" + b"".join(rows) + b"\x1a"
    )


def dxf(rng: random.Random) -> bytes:
    lines = "".join(
        f"0\nLINE\n8\nVOIRIE\n10\n{rng.random()}\n20\n{rng.random()}\n" for _ in range(rng.randint(200, 900))
    )
    return f"0\nSECTION\n2\nENTITIES\n{lines}0\nENDSEC\n0\nEOF\n".encode()


def dwg(rng: random.Random) -> bytes:
    """Its version, then records of the density that such files have."""
    return b"AC1032\0\0\0\0\0" + b"".join(
        struct.pack("<IHd", number, rng.randrange(300), rng.random())
        for number in range(rng.randint(3000, 9000))
    )


# -- archives --------------------------------------------------------------------------------------------


def archive(rng: random.Random) -> bytes:
    return _zip([(f"pieces/{number}.txt", text(rng), False) for number in range(rng.randint(3, 30))])


def seven(rng: random.Random, packed: bytes = b"") -> bytes:
    """A 7z whose headers are sealed: start header, packed streams, an encoded header that names AES."""
    packed = packed or rng.randbytes(rng.randint(20000, 90000))
    header = (
        b"\x17\x06\x00\x01\x09\x40\x00\x07\x0b\x01\x00\x01\x24\x06\xf1\x07\x01\x12\x53\x0f"
        + rng.randbytes(16)
        + b"\0"
    )
    start = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + packed + header


def zip_with_password(rng: random.Random, name: str = "piece.docx", size_bytes: int = 20000) -> bytes:
    """As 7-Zip and WinZip write it (AE-2): the name in clear, the content not."""
    data = rng.randbytes(size_bytes + 28)
    label = name.encode()
    extra = b"\x01\x99\x07\0\x02\0AE\x03\x08\0"
    fixed = struct.pack("<HHHHHIII", 51, 0x801, 99, 0, 0x5A21, 0, len(data), size_bytes)
    local = b"PK\x03\x04" + fixed + struct.pack("<HH", len(label), len(extra)) + label + extra
    entry = (
        b"PK\x01\x02\x3f\0"
        + fixed
        + struct.pack("<HHHHHII", len(label), len(extra), 0, 0, 0, 0, 0)
        + label
        + extra
    )
    end = b"PK\x05\x06\0\0\0\0" + struct.pack("<HHIIH", 1, 1, len(entry), len(local) + len(data), 0)
    return local + data + entry + end


def armour(data: bytes) -> bytes:
    return base64.encodebytes(data)


MAKERS: dict[str, Callable[[random.Random], bytes]] = {
    "docx": docx,
    "xlsx": xlsx,
    "odt": odt,
    "doc": doc,
    "pdf": pdf,
    "1.5.pdf": pdf_of_today,
    "scan.pdf": scan,
    "jpg": photo,
    "png": png,
    "gif": gif,
    "tif": tiff,
    "webp": webp,
    "mp4": film,
    "mp3": sound,
    "txt": text,
    "latin.txt": latin,
    "utf16.txt": wide,
    "csv": table,
    "html": page,
    "gpkg": geopackage,
    "shp": shapefile,
    "dbf": dbase,
    "dxf": dxf,
    "dwg": dwg,
    "zip": archive,
    "7z": seven,
}
OFFICE = ("docx", "xlsx", "odt", "doc", "pdf", "1.5.pdf", "scan.pdf", "jpg", "png", "txt", "csv")
"""What a town hall's folders are full of."""


@cache
def made(extension: str, seed: int = 0) -> bytes:
    """The bytes of one file of that kind."""
    return MAKERS[extension](random.Random(f"{extension} {seed}"))
