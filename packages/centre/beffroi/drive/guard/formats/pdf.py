"""PDF: header, end, cross-reference table or stream, objects where it says they are, packed streams. ISO 32000-2 §7.5.

Looked at: OBJECTS of the objects that the newest cross-references name; of their streams up to STREAM_BYTES: packed
ones, pictures (scans are JPEG), ASCII ones.
"""

from __future__ import annotations

import re
import zlib

from beffroi.drive.guard.formats.images import check_jpeg
from beffroi.drive.guard.formats.values import SEALED, SOUND, Finding, broken, torn
from beffroi.drive.guard.reading import InMemory, Reader, spread

OBJECTS = 32
STREAM_BYTES = 64 * 1024
PICTURE_BYTES = 1024 * 1024
"""In its place where the whole file is read."""
CUT_OFF = torn("cut off")
_TABLE_BYTES = 512 * 1024
_OBJECT = re.compile(rb"\s{0,4}\d{1,10}\s{1,4}\d{1,5}\s{1,4}obj\b")
_START = re.compile(rb"startxref\s{1,4}(\d{1,12})")
_ROW = re.compile(rb"(\d{10}) \d{5} n")
_PREVIOUS = re.compile(rb"/Prev\s{0,4}(\d{1,12})")
_LENGTH = re.compile(rb"/Length\s{0,4}(\d{1,10})(?!\s{1,4}\d{1,5}\s{1,4}R)")
_WIDTHS = re.compile(rb"/W\s{0,4}\[\s{0,4}(\d)\s{1,4}(\d)\s{1,4}(\d)\s{0,4}\]")
_COLUMNS = re.compile(rb"/Columns\s{0,4}(\d{1,3})")
_FILTER = re.compile(rb"/Filter\s{0,4}\[?\s{0,4}/(\w{2,20})")
_STREAM = re.compile(rb"stream\r?\n")
_SECTIONS = 4


def check(reader: Reader) -> Finding:
    """Errors: reading.Spent."""
    shift = reader.head(1024).find(b"%PDF-")
    if shift < 0:
        return broken("header")
    tail = reader.tail(2048)
    starts = _START.findall(tail)
    if not starts:
        return (
            torn("cut off") if _is_text_or_blank(tail[-512:]) or _ends_within(reader) else broken("trailer")
        )
    offsets: list[int] = []
    sealed, at = False, int(starts[-1])
    for _ in range(_SECTIONS):
        reader.step()
        found = _section(reader, at + shift)
        if isinstance(found, Finding):
            return found
        section, more, locked = found
        offsets += section
        sealed |= locked
        if more is None or len(offsets) >= OBJECTS:
            break
        at = more
    for number in spread(len(offsets), OBJECTS):
        reader.step()
        finding = _object(reader, offsets[number] + shift, sealed)
        if finding is not SOUND:
            return finding
    return SEALED if sealed else SOUND


def _section(reader: Reader, at: int) -> tuple[list[int], int | None, bool] | Finding:
    """Offsets of objects, the section before, and whether the file has a password."""
    head = reader.at(at, 4096)
    if head.lstrip()[:4] == b"xref":
        data = reader.at(at, _TABLE_BYTES)
        table, _, trailer = data.partition(b"trailer")
        trailer = trailer[:4096] or reader.tail(2048)
        previous = _PREVIOUS.search(trailer)
        return (
            [int(row) for row in _ROW.findall(table)],
            int(previous[1]) if previous else None,
            b"/Encrypt" in trailer,
        )
    if _OBJECT.match(head):
        rows = _stream_rows(reader, at, head)
        if isinstance(rows, Finding):
            return rows
        dictionary = head.partition(b"stream")[0]
        previous = _PREVIOUS.search(dictionary)
        return rows, int(previous[1]) if previous else None, b"/Encrypt" in dictionary
    # Old programs and mail gateways leave wrong positions behind: the place then holds something that reads as PDF.
    return torn("cross-reference") if _is_text_or_blank(head[:256]) else broken("cross-reference")


def _stream_rows(reader: Reader, at: int, head: bytes) -> list[int] | Finding:
    """Offsets of the rows of type 1 of a cross-reference stream; none where it is written in a way not read here."""
    found = _STREAM.search(head)
    widths, length = _WIDTHS.search(head), _LENGTH.search(head)
    if not found or not widths or not length:
        return []
    packed = reader.at(at + found.end(), min(int(length[1]), _TABLE_BYTES))
    if b"/FlateDecode" in head[: found.start()]:
        try:
            packed, _ = reader.inflate(packed, raw=False)
        except zlib.error:
            return broken("cross-reference")
    one, two, three = (int(width) for width in widths.groups())
    width = one + two + three
    columns = _COLUMNS.search(head[: found.start()])
    if columns and int(columns[1]) == width:
        packed = _unfiltered(packed, width)
    if not width:
        return []
    rows = [packed[start : start + width] for start in range(0, len(packed) - width + 1, width)]
    return [
        int.from_bytes(row[one : one + two], "big")
        for row in rows
        if not one or row[:one].lstrip(b"\0") == b"\1"
    ]


def _unfiltered(data: bytes, width: int) -> bytes:
    """PNG filter "up", which is what programs use here; rows of another filter are left out."""
    rows, before = bytearray(), bytes(width)
    for start in range(0, len(data) - width, width + 1):
        if data[start] not in {0, 2}:
            return b""
        row = data[start + 1 : start + 1 + width]
        if data[start] == 2:
            row = bytes((a + b) & 255 for a, b in zip(row, before, strict=True))
        rows += row
        before = row
    return bytes(rows)


def _ends_within(reader: Reader) -> bool:
    """Whether the end of the file interrupts a packed stream, or an object after one, that is well as far as it
    goes."""
    tail = reader.tail(PICTURE_BYTES if reader.is_whole else STREAM_BYTES)
    at = tail.rfind(b"stream")
    if at < 0:
        return False
    if tail[max(0, at - 3) : at] == b"end":
        return _is_text_or_blank(tail[at:])
    return _content(reader, tail[max(0, at - 512) : at], tail[tail.find(b"\n", at) + 1 :]) is CUT_OFF


def _object(reader: Reader, at: int, sealed: bool) -> Finding:
    head = reader.at(at, 1024)
    if not _OBJECT.match(head):
        return torn("object") if _is_text_or_blank(head[:128]) else broken("object")
    found = _STREAM.search(head)
    if sealed or not found or b"endobj" in head[: found.start()]:
        return SOUND
    dictionary = head[: found.start()]
    most_bytes = PICTURE_BYTES if reader.is_whole else STREAM_BYTES
    length = _LENGTH.search(dictionary)
    data = reader.at(at + found.end(), min(int(length[1]), most_bytes) if length else most_bytes)
    finding = _content(reader, dictionary, data)
    return SOUND if finding is CUT_OFF else finding  # the rest of it was not read


def _content(reader: Reader, dictionary: bytes, data: bytes) -> Finding:
    """What a stream, or its beginning, holds by its outermost filter; CUT_OFF where it is well and ends early."""
    found = _FILTER.search(dictionary)
    name = found[1] if found else b""
    if name in {b"FlateDecode", b"Fl"}:
        try:
            _, ended = reader.inflate(data, raw=False)
        except zlib.error:
            return broken("packed data")
        return SOUND if ended else CUT_OFF
    if name in {b"DCTDecode", b"DCT"}:
        state = check_jpeg(Reader(InMemory(data), len(data))).state
        return broken("picture") if state == "broken" else CUT_OFF if state == "torn" else SOUND
    if name in {b"ASCII85Decode", b"A85", b"ASCIIHexDecode", b"AHx"}:
        text, end, _ = data.partition(b"endstream")
        if not _is_text_or_blank(text):
            return broken("characters")
        return SOUND if end else CUT_OFF
    return SOUND


def _is_text_or_blank(data: bytes) -> bool:
    """No byte that neither text nor a blank place has: what stands here is wrong, but nobody scrambled it."""
    if not data.strip(b"\0"):
        return True
    controls = sum(1 for byte in data if byte < 32 and byte not in b"\t\n\r\f\0")
    high = sum(1 for byte in data if byte > 126)
    return controls == 0 and high * 4 <= len(data)
