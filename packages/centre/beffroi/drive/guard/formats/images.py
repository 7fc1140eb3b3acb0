"""JPEG, PNG, GIF, WebP, TIFF, BMP, ICO: their markers, chunks, blocks and directories; no picture is decoded.

Looked at: JPEG and GIF to their end or to the limit of the reader; PNG each chunk with its CRC up to CRC_BYTES a chunk;
TIFF the directories and STRIPS of the strips; WebP the chunks and the beginning of the picture.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import Literal

from beffroi.drive.guard.formats.values import SOUND, Finding, broken, torn
from beffroi.drive.guard.reading import Reader, spread

PNG, GIF = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a")
CRC_BYTES = 1024 * 1024
STRIPS = 16
_PIECE_BYTES = 256 * 1024

# Within a scan: FF00 is a byte FF, FFD0-FFD7 restart, FFFF fills.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SEGMENTS = frozenset(
    (0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xC0, 0xC4), *range(0xC5, 0xD0), *range(0xE0, 0xF0))
)
_WITHIN = frozenset((0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE))
"""Segments that may stand between the scans of one picture."""
_SCAN, _END = 0xDA, 0xD9


def check_jpeg(reader: Reader) -> Finding:
    """ISO 10918-1 annex B. Errors: reading.Spent."""
    if reader.head(2) != b"\xff\xd8":
        return broken("header")
    at, scanned = 2, False
    while at < reader.size_bytes:
        reader.step()
        head = reader.at(at, 4)
        if len(head) < 4:
            break
        if head[:2] == b"\xff\xff":
            at += 1
            continue
        code = head[1]
        if head[0] != 0xFF or code not in (_WITHIN if scanned else _SEGMENTS):
            return torn("blank") if not reader.at(at, 512).strip(b"\0") else broken("marker")
        length = int.from_bytes(head[2:4], "big")
        if length < 2:
            return broken("marker")
        at += 2 + length
        if code != _SCAN:
            continue
        scanned = True
        found = _after_scan(reader, at)
        if found is None:
            break
        at = found
        if reader.at(at, 2)[1] == _END:
            return SOUND
    return torn("cut off")


def _after_scan(reader: Reader, at: int) -> int | None:
    """Where the next marker stands; None where the file ends without one."""
    while at < reader.size_bytes:
        piece = reader.at(at, _PIECE_BYTES)
        found = _MARKER.search(piece)
        if found:
            return at + found.start()
        if len(piece) < _PIECE_BYTES:
            return None
        at += len(piece) - 1  # a marker may lie across two pieces
    return None


def check_png(reader: Reader) -> Finding:
    """PNG, third edition. Errors: reading.Spent."""
    if reader.head(8) != PNG:
        return broken("header")
    at = 8
    while at < reader.size_bytes:
        reader.step()
        head = reader.at(at, 8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if len(head) < 8:
            break
        if not kind.isalpha() or length > 0x7FFFFFFF:
            return torn("blank") if not reader.at(at, 512).strip(b"\0") else broken("chunk")
        if at + 12 + length > reader.size_bytes:
            break
        if length <= CRC_BYTES:
            data = reader.at(at + 4, length + 8)
            if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "big"):
                return torn("blank") if not data[4:].strip(b"\0") else broken("crc")
        if kind == b"IEND":
            return SOUND
        at += 12 + length
    return torn("cut off")


def check_gif(reader: Reader) -> Finding:
    """GIF89a. Errors: reading.Spent."""
    head = reader.head(13)
    if head[:6] not in GIF:
        return broken("header")
    at = 13 + _palette_bytes(head[10])
    while at < reader.size_bytes:
        reader.step()
        kind = reader.at(at, 1)
        if kind == b"\x3b":
            return SOUND
        if kind == b"\x2c":
            at += 10 + _palette_bytes(reader.at(at + 9, 1)[0]) + 1 if at + 9 < reader.size_bytes else 10
        elif kind == b"\x21":
            at += 2
        else:
            return torn("blank") if not reader.at(at, 256).strip(b"\0") else broken("block")
        while at < reader.size_bytes and (length := reader.at(at, 1)[0]):
            reader.step()
            at += 1 + length
        at += 1
    return SOUND if at == reader.size_bytes else torn("cut off")  # old programs left the trailer out


def _palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def check_riff(reader: Reader) -> Finding:
    """WebP, WAV, AVI: the chunks of RIFF, and the beginning of a WebP picture (RFC 9649). Errors: reading.Spent."""
    head = reader.head(12)
    if head[:4] in {b"RIFX", b"RF64"} and head[8:12].isalnum():
        return SOUND  # of measuring instruments: the header alone
    if head[:4] != b"RIFF":
        return broken("header")
    at, end = 12, min(reader.size_bytes, 8 + int.from_bytes(head[4:8], "little"))
    if int.from_bytes(head[4:8], "little") + 8 > reader.size_bytes + 1:
        return torn("cut off")
    while at + 8 <= end:
        reader.step()
        chunk = reader.at(at, 16)
        if not all(32 <= byte < 127 for byte in chunk[:4]):
            return torn("blank") if not chunk.strip(b"\0") else broken("chunk")
        picture = chunk[8:]
        if (chunk[:4] == b"VP8L" and picture[:1] != b"\x2f") or (
            chunk[:4] == b"VP8 " and picture[0] & 1 == 0 and picture[3:6] != b"\x9d\x01\x2a"
        ):
            return broken("picture")
        length = int.from_bytes(chunk[4:8], "little")
        at += 8 + length + (length & 1)
    return SOUND if at <= end + 1 else torn("cut off")


_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_COMPRESSION, _STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 259, 273, 279, 324, 325


def check_tiff(reader: Reader) -> Finding:
    """TIFF 6.0. BigTIFF: its header alone. Errors: reading.Spent."""
    head = reader.head(8)
    if head[:4] in {b"II\x2b\0", b"MM\0\x2b"}:
        return SOUND
    if head[:4] not in {b"II\x2a\0", b"MM\0\x2a"}:
        return broken("header")
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    at = int.from_bytes(head[4:8], order)
    for _ in range(8):
        reader.step()
        count = int.from_bytes(reader.at(at, 2), order)
        rows = reader.at(at + 2, 12 * count + 4)
        if len(rows) < 12 * count + 4 or not count:
            return (
                torn("cut off")
                if at + 2 > reader.size_bytes or not rows.strip(b"\0")
                else broken("directory")
            )
        tags: dict[int, list[int]] = {}
        for start in range(0, 12 * count, 12):
            tag, kind, number = struct.unpack(
                "<HHI" if order == "little" else ">HHI", rows[start : start + 8]
            )
            width = _TIFF_BYTES.get(kind, 0)
            if not width:
                return broken("directory")
            if tag in {_COMPRESSION, _STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES} and kind in {3, 4}:
                data = rows[start + 8 : start + 12]
                if width * number > 4:
                    data = reader.at(int.from_bytes(data, order), min(width * number, 65536))
                data = data[: width * number]
                tags[tag] = [int.from_bytes(data[n : n + width], order) for n in range(0, len(data), width)]
        finding = _strips(reader, tags)
        at = int.from_bytes(rows[12 * count :], order)
        if finding is not SOUND or not at:
            return finding
    return SOUND


def _strips(reader: Reader, tags: dict[int, list[int]]) -> Finding:
    method = tags.get(_COMPRESSION, [1])[:1]
    offsets = tags.get(_STRIPS, tags.get(_TILES, []))
    lengths = tags.get(_STRIP_BYTES, tags.get(_TILE_BYTES, []))
    for number in spread(min(len(offsets), len(lengths)), STRIPS):
        reader.step()
        data = reader.at(offsets[number], min(lengths[number], 65536))
        if len(data) < min(lengths[number], 65536):
            return torn("cut off")
        # LZW begins with its clear code, JPEG with SOI or a table, Deflate with a zlib header that inflates.
        if method == [5] and data[:1] not in {b"\x80", b""} and data[:2] != b"\x00\x01":
            return broken("strip")
        if method == [7] and data[:2] != b"\xff\xd8":
            return broken("strip")
        if method in ([8], [32946]):
            try:
                reader.inflate(data, raw=False)
            except zlib.error:
                return broken("strip")
    return SOUND


def check_bmp(reader: Reader) -> Finding:
    """The header of a BMP; pixels have no structure. Errors: reading.Spent."""
    head = reader.head(30)
    size, start, header = (int.from_bytes(head[n : n + 4], "little") for n in (2, 10, 14))
    if head[:2] != b"BM" or header not in {12, 40, 52, 56, 64, 108, 124} or start < 14 + header:
        return broken("header")
    return torn("cut off") if size > reader.size_bytes + 4 or start > reader.size_bytes else SOUND


def check_ico(reader: Reader) -> Finding:
    """The directory of an icon. Errors: reading.Spent."""
    head = reader.head(22)
    count, first = int.from_bytes(head[4:6], "little"), int.from_bytes(head[18:22], "little")
    if head[:4] != b"\0\0\1\0" or not count or first < 6 + 16 * count:
        return broken("header")
    return torn("cut off") if first >= reader.size_bytes else SOUND
