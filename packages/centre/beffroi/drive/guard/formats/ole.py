"""Compound files: .doc, .xls, .ppt, .msg, and the shell of Office documents with a password. [MS-CFB].

Looked at: header, TABLES sectors of the allocation table, ENTRIES entries of the directory. A parser of our own and not
olefile: that one reads all of a file, and has no bound for one that was made to keep it busy.
"""

from __future__ import annotations

import struct

from beffroi.drive.guard.formats.values import SEALED, SOUND, Finding, broken, torn
from beffroi.drive.guard.reading import Reader, spread

TABLES = 24
ENTRIES = 512
MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LAST_SECTOR = 0xFFFFFFFA
_END_OF_CHAIN = 0xFFFFFFFE


def check(reader: Reader) -> Finding:
    """Errors: reading.Spent."""
    head = reader.head(512)
    if head[:8] != MAGIC or len(head) < 512:
        return broken("header")
    order, shift = struct.unpack("<HH", head[28:32])
    if order != 0xFFFE or shift not in {9, 12}:
        return broken("header")
    sector_bytes = 1 << shift
    count = reader.size_bytes // sector_bytes
    tables = [number for number in struct.unpack("<109I", head[76:512]) if number < _LAST_SECTOR]
    links: dict[int, tuple[int, ...]] = {}
    for number in spread(len(tables), TABLES):
        reader.step()
        data = reader.at((tables[number] + 1) * sector_bytes, sector_bytes)
        if len(data) < sector_bytes:
            return torn("cut off")
        row = struct.unpack(f"<{sector_bytes // 4}I", data)
        if sum(1 for link in row if count < link < _LAST_SECTOR) * 8 > len(row):
            return broken("allocation table")
        links[number] = row
    return _directory(reader, int.from_bytes(head[48:52], "little"), sector_bytes, links)


def _directory(reader: Reader, sector: int, sector_bytes: int, links: dict[int, tuple[int, ...]]) -> Finding:
    names: list[str] = []
    seen: set[int] = set()
    while sector < _LAST_SECTOR and sector not in seen and len(names) < ENTRIES:
        reader.step()
        seen.add(sector)
        data = reader.at((sector + 1) * sector_bytes, sector_bytes)
        if len(data) < sector_bytes:
            return torn("cut off")
        for start in range(0, sector_bytes, 128):
            entry = data[start : start + 128]
            length, kind = int.from_bytes(entry[64:66], "little"), entry[66]
            if kind not in {0, 1, 2, 5} or (kind and not 2 <= length <= 64):
                return torn("blank") if not data.strip(b"\0") else broken("directory")
            if kind:
                names.append(entry[: length - 2].decode("utf-16-le", "replace"))
        table, place = divmod(sector, sector_bytes // 4)
        sector = links[table][place] if table in links else _END_OF_CHAIN
    if not names or names[0] != "Root Entry":
        # Some writers shorten the root's name; none fills the first entry with anything else.
        return SOUND if names and names[0].startswith("R") else broken("directory")
    return SEALED if {"EncryptedPackage", "EncryptionInfo"} <= set(names) else SOUND
