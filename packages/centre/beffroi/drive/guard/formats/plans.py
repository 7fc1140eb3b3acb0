"""Plans and tables of town halls: SQLite (GeoPackage, QGIS), shapefile with its dBase table, DWG, binary DXF.

Looked at: PAGES pages of SQLite; RECORDS records of a shapefile, ROWS rows of dBase; of DWG the header alone, since
what follows is packed in a way of its own (``noise`` tells whether it changed).
"""

from __future__ import annotations

import struct

from beffroi.drive.guard.formats.values import SOUND, Finding, broken, torn
from beffroi.drive.guard.reading import Reader, spread

SQLITE, DXF = b"SQLite format 3\0", b"AutoCAD Binary DXF\r\n\x1a\0"
PAGES = 24
RECORDS = 256
ROWS = 32
_TREE_PAGES = b"\x02\x05\x0a\x0d"
_SHAPES = {0, 1, 3, 5, 8, 11, 13, 15, 18, 21, 23, 25, 28, 31}


def check_sqlite(reader: Reader) -> Finding:
    """SQLite file format 1.3 to 1.6. Errors: reading.Spent."""
    head = reader.head(100)
    if head[:16] != SQLITE:
        return broken("header")
    page_bytes = int.from_bytes(head[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    if len(head) < 100 or page_bytes < 512 or page_bytes & (page_bytes - 1) or head[21:24] != b"\x40\x20\x20":
        return broken("header")
    count = reader.size_bytes // page_bytes
    wrong = blank = looked = 0
    for number in spread(count, PAGES):
        reader.step()
        page = reader.at(number * page_bytes, page_bytes)
        looked += 1
        if not page.strip(b"\0"):
            blank += 1  # a free page
        elif not _is_page(page, number, count, page_bytes):
            wrong += 1
    if wrong * 6 >= looked and wrong:
        return broken("page")
    if looked == blank:
        return torn("blank")
    return SOUND


def _is_page(page: bytes, number: int, count: int, page_bytes: int) -> bool:
    start = 100 if number == 0 else 0
    if page[start] in _TREE_PAGES:
        cells, content = struct.unpack(">HH", page[start + 3 : start + 7])
        free, used = int.from_bytes(page[start + 1 : start + 3], "big"), start + 8 + 2 * cells
        return used <= page_bytes and (content or 65536) >= used and free < page_bytes
    # Overflow, free-list and pointer-map pages begin with the number of a page, or with a kind from 1 to 5.
    return int.from_bytes(page[:4], "big") <= count + 1 or page[0] in range(1, 6)


def check_shapefile(reader: Reader) -> Finding:
    """ESRI Shapefile Technical Description (1998), .shp and .shx. Errors: reading.Spent."""
    head = reader.head(100)
    if len(head) < 100:
        return torn("cut off")
    code, words = int.from_bytes(head[:4], "big"), int.from_bytes(head[24:28], "big")
    version, shape = struct.unpack("<II", head[28:36])
    if code != 9994 or version != 1000 or shape not in _SHAPES:
        return broken("header")
    if words * 2 > reader.size_bytes:
        return torn("cut off")
    at, first = 100, reader.at(100, 8)
    if first[:4] == (50).to_bytes(4, "big"):
        return _shape_index(reader)
    for number in range(1, RECORDS + 1):
        if at >= reader.size_bytes:
            return SOUND
        reader.step()
        record, length = struct.unpack(">II", reader.at(at, 8).ljust(8, b"\0"))
        kind = int.from_bytes(reader.at(at + 8, 4), "little")
        if record != number or kind not in {0, shape} or at + 8 + 2 * length > reader.size_bytes:
            return torn("blank") if not reader.at(at, 256).strip(b"\0") else broken("record")
        at += 8 + 2 * length
    return SOUND


def _shape_index(reader: Reader) -> Finding:
    """.shx: rows of (offset, length), in words, each beginning where the one before ended."""
    rows = reader.at(100, 8 * RECORDS)
    expected = 50
    for start in range(0, len(rows) - 7, 8):
        reader.step()
        offset, length = struct.unpack(">II", rows[start : start + 8])
        if offset < expected or length > 0x10000000:
            return torn("blank") if not rows[start : start + 256].strip(b"\0") else broken("record")
        expected = offset + 4 + length
    return SOUND


def check_dbase(reader: Reader) -> Finding:
    """dBase III to VII table: header, and the mark of deletion of each sampled row. Errors: reading.Spent."""
    head = reader.head(32)
    if len(head) < 32:
        return torn("cut off")
    if not is_dbase(head):
        return broken("header")
    rows, header_bytes, row_bytes = struct.unpack("<IHH", head[4:12])
    if header_bytes + rows * row_bytes > reader.size_bytes + 1:
        return torn("cut off")
    for number in spread(rows, ROWS):
        reader.step()
        mark = reader.at(header_bytes + number * row_bytes, 1)
        if mark not in {b" ", b"*", b"\0", b""}:
            return broken("record")
    return SOUND


def is_dbase(head: bytes) -> bool:
    """Its version, a date, and lengths that agree: dBase has no magic."""
    return (
        len(head) >= 32
        and head[0] in {0x03, 0x04, 0x30, 0x31, 0x83, 0x8B, 0xF5}
        and 1 <= head[2] <= 12
        and 1 <= head[3] <= 31
        and int.from_bytes(head[8:10], "little") >= 33
        and int.from_bytes(head[10:12], "little") >= 1
    )


def check_dwg(reader: Reader) -> Finding:
    """Errors: reading.Spent."""
    head = reader.head(6)
    if head[:4] not in {b"AC10", b"AC1.", b"AC2."} and head[:3] != b"MC0":
        return broken("header")
    return SOUND


def check_dxf(reader: Reader) -> Finding:
    """Binary DXF; that of text is checked as text. Errors: reading.Spent."""
    return SOUND if reader.head(22) == DXF else broken("header")
