"""Kinds of files: how each is told by its content and by its name, of which family it is, and who checks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from beffroi.drive.guard.formats import archives, images, media, ole, pdf, plans, texts, zips
from beffroi.drive.guard.formats.values import SOUND, Finding
from beffroi.drive.guard.reading import Reader

Check = Callable[[Reader], Finding]


@dataclass(frozen=True)
class Kind:
    """``family``: kinds that one program saves in place of one another under one name (.xls that is HTML, .jpg that is
    PNG). ``extensions``: names under which nothing of another family is expected."""

    family: str
    check: Check
    extensions: str = ""
    magics: tuple[bytes, ...] = ()


KINDS: dict[str, Kind] = {
    "ooxml": Kind("office", zips.check, "docx docm dotx xlsx xlsm xltx pptx pptm ppsx potx vsdx"),
    "odf": Kind("office", zips.check, "odt ods odp odg ott ots otp odb"),
    "ole": Kind("office", ole.check, "doc dot xls xlt ppt pps msg vsd pub", (ole.MAGIC,)),
    "text": Kind(
        "office",
        texts.check,
        "txt csv tsv xml html htm json md rtf eml ics vcf dxf svg gml kml geojson prj qgs tex ini log gpx",
    ),
    "armour": Kind("armour", lambda reader: SOUND),
    "pdf": Kind("pdf", pdf.check, "pdf"),
    "jpeg": Kind("image", images.check_jpeg, "jpg jpeg jpe", (b"\xff\xd8\xff",)),
    "png": Kind("image", images.check_png, "png", (images.PNG,)),
    "gif": Kind("image", images.check_gif, "gif", images.GIF),
    "tiff": Kind("image", images.check_tiff, "tif tiff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    "riff": Kind("image", images.check_riff, "webp wav avi", (b"RIFF", b"RIFX", b"RF64")),
    "ico": Kind("image", images.check_ico, "ico", (b"\0\0\1\0",)),
    "bmp": Kind("image", images.check_bmp, "bmp", (b"BM",)),
    "heif": Kind("image", media.check_boxes, "heic heif hif avif"),
    "boxes": Kind("film", media.check_boxes, "mp4 m4v m4a mov 3gp"),
    "mp3": Kind("sound", media.check_mp3, "mp3", (b"ID3",)),
    "ogg": Kind("sound", media.check_ogg, "ogg oga ogv opus", (b"OggS",)),
    "flac": Kind("sound", media.check_flac, "flac", (media.FLAC,)),
    "sqlite": Kind("table", plans.check_sqlite, "gpkg sqlite sqlite3", (plans.SQLITE,)),
    "shapefile": Kind("plan", plans.check_shapefile, "shp shx", (b"\x00\x00\x27\x0a",)),
    "dbase": Kind("table", plans.check_dbase, "dbf"),
    "dwg": Kind("plan", plans.check_dwg, "dwg dwt", (b"AC10", b"AC1.", b"AC2.", b"MC0.")),
    "dxf": Kind("office", plans.check_dxf, "", (plans.DXF,)),
    "zip": Kind(
        "container", zips.check, "zip epub kmz qgz jar 3mf", (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
    ),
    "7z": Kind("container", archives.check_7z, "7z", (archives.SEVEN_ZIP,)),
    "rar": Kind("container", archives.check_rar, "rar", (b"Rar!\x1a\x07",)),
    "packed": Kind(
        "container",
        archives.check_packed,
        "gz tgz bz2 xz zst",
        (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"),
    ),
    "locked": Kind("container", archives.check_locked, "gpg pgp age axx aes"),
    # Told by how they begin, not checked: so that a conversion to one of them is not taken for something unreadable.
    "other": Kind(
        "other",
        lambda reader: SOUND,
        "jp2 jxl psd djvu mkv webm wmv asf mpg mpeg mts m2ts exe dll woff2 woff ttf otf wpd lz4 cab parquet p7m raf"
        " orf rw2 rwl x3f ecw dwf",
        (
            b"\0\0\0\x0cjP  ",
            b"\0\0\0\x0cJXL ",
            b"\xff\x0a",
            b"8BPS\0",
            b"AT&TFORM",
            b"\x1a\x45\xdf\xa3",
            b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
            b"\0\0\1\xba",
            b"\0\0\1\xb3",
            b"MZ",
            b"\x7fELF",
            b"wOFF",
            b"wOF2",
            b"OTTO\0",
            b"\0\1\0\0\0",
            b"\xffWPC",
            b"\x04\x22\x4d\x18",
            b"MSCF\0\0\0\0",
            b"PAR1",
            b"FUJIFILMCCD-RAW",
            b"IIRO",
            b"IIRS",
            b"MMOR",
            b"IIU\0",
            b"FOVb",
            b"e\1\1",
            b"e\2\1",
            b"e\3\1",  # ECW: its letter, a version, blocks by level
            b"(DWF V",
            b"(W2D V",
        ),
    ),
}
UNCHECKED = frozenset(("other", "dwg", "armour"))
"""Kinds of which the beginning alone is known: what follows it may be anything."""
_OF_EXTENSION = {extension: name for name, kind in KINDS.items() for extension in kind.extensions.split()}
_OF_MAGIC = [(magic, name) for name, kind in KINDS.items() for magic in kind.magics]
_BOX_TYPES = (b"ftyp", b"moov", b"mdat", b"wide", b"styp")
_PICTURES = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
"""Brands of what is a picture in boxes."""
_WORDS = frozenset(
    magic for magic, _ in _OF_MAGIC if magic.decode("latin-1").isprintable() and magic.isascii()
)
"""Magics that a text may begin with, too: BM, MZ, ID3."""


def by_name(name: str) -> str:
    """The kind that the last extension of a name promises; empty where it promises none."""
    return _OF_EXTENSION.get(extension(name), "")


def extension(name: str) -> str:
    """What follows the last point of a name, in lower case, without it; empty where there is none."""
    stem, _, last = name.rpartition(".")
    return last.lower() if stem else ""


def family(kind: str) -> str:
    """The family of a kind; a kind that is not in the table is a family of its own."""
    return KINDS[kind].family if kind in KINDS else kind


def by_content(reader: Reader) -> str:
    """The kind that the beginning of a file shows; empty where it shows none. Errors: reading.Spent."""
    head = reader.head(4096)
    if head[4:8] in _BOX_TYPES and not texts.is_plain(head):
        return "heif" if head[8:12] in _PICTURES else "boxes"
    for magic, name in _OF_MAGIC:
        if head.startswith(magic) and not (magic in _WORDS and texts.is_plain(head)):
            return _flavour(reader, head) if name == "zip" else name
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if archives.is_locked(head):
        return "locked"
    if archives.is_signed(head) or media.is_transport(head):
        return "other"
    if texts.is_armour(head):
        return "armour"
    if texts.is_text(head):
        return "text"
    if plans.is_dbase(head):
        return "dbase"
    return "mp3" if head[:1] == b"\xff" and media.check_mp3(reader) is SOUND else ""


def _flavour(reader: Reader, head: bytes) -> str:
    if head[30:38] == b"mimetype" and b"opendocument" in head[38:160]:
        return "odf"
    marks = head + reader.tail(64 * 1024)
    return "ooxml" if b"[Content_Types].xml" in marks else "zip"
