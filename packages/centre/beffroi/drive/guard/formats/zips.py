"""ZIP, and what is built on it: Office Open XML, OpenDocument, EPUB, KMZ. PKWARE APPNOTE 6.3.

Looked at: the end record (also of ZIP64), the directory, and MEMBERS files: local header, name, and content (whole
up to MEMBER_BYTES with its CRC, else the first PREFIX_BYTES of a packed one).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from beffroi.drive.guard.formats.values import SEALED, SOUND, Finding, broken, torn
from beffroi.drive.guard.reading import Reader, spread

MEMBERS = 12
MEMBER_BYTES = 512 * 1024
PREFIX_BYTES = 32 * 1024
_END, _ENTRY, _LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_END_BYTES, _ENTRY_BYTES, _LOCAL_BYTES = 22, 46, 30
_DIRECTORY_BYTES = 1024 * 1024
_FULL32 = 0xFFFFFFFF
_WALKED = 512
"""Members that are followed in a file without a directory; one with more is not taken for cut off."""
_NEVER_SEALED = {b"[Content_Types].xml", b"mimetype", b"META-INF/manifest.xml"}
"""Office seals the file as a whole, OpenDocument all members but these: with a password on them it is no document."""


_BLANK = torn("member")


@dataclass(frozen=True)
class _Entry:
    name: bytes
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int


def check(reader: Reader) -> Finding:
    """Errors: reading.Spent."""
    tail = reader.tail(_END_BYTES + 65535)
    end = tail.rfind(_END)
    if end < 0 or len(tail) < end + _END_BYTES:
        return torn("cut off") if _is_cut_off(reader) else broken("directory")
    end_at = reader.size_bytes - len(tail) + end
    count, length, offset = _directory(reader, tail, end, end_at)
    shift = end_at - length - offset if length != _FULL32 else 0
    if shift < 0 or reader.at(offset + shift, 4) != _ENTRY:
        # ZIP64 end records lie between the directory and the end.
        shift = 0
    entries = _entries(reader.at(offset + shift, min(length, _DIRECTORY_BYTES)))
    if entries is None or (not entries and count):
        return broken("directory")
    if not entries:
        return SOUND
    if any(entry.flags & 1 and entry.name in _NEVER_SEALED for entry in entries):
        return broken("sealed members")
    chosen = {*spread(len(entries), MEMBERS), max(range(len(entries)), key=lambda n: entries[n].packed_bytes)}
    sealed, is_blank = False, False
    for number in sorted(chosen):
        reader.step()
        finding = _member(reader, entries[number], shift)
        if finding is SEALED:
            sealed = True
        elif finding == _BLANK:  # is no excuse for the others
            is_blank = True
        elif finding is not SOUND:
            return finding
    if is_blank:
        return _BLANK
    return SEALED if sealed or _is_sealed_document(reader, entries, shift) else SOUND


def _is_cut_off(reader: Reader) -> bool:
    """Whether members follow one another from the beginning to one that the end of the file interrupts, whose content
    is well as far as it goes: what a power cut leaves, and what no encryption of the rest does."""
    at = unpacked_bytes = 0
    for _ in range(_WALKED):
        local = reader.at(at, _LOCAL_BYTES)
        if local[:4] != _LOCAL or len(local) < _LOCAL_BYTES:
            return at > 0 and _LOCAL.startswith(local[:4]) and at + len(local) == reader.size_bytes
        flags, method = struct.unpack("<HH", local[6:10])
        packed, name, extra = struct.unpack("<I4xHH", local[18:30])
        start = at + _LOCAL_BYTES + name + extra
        unpacker = zlib.decompressobj(-15)
        data = reader.at(start, MEMBER_BYTES)
        at = start + packed
        if method == 8:
            try:
                unpacked_bytes += len(unpacker.decompress(data[:packed] if packed else data, MEMBER_BYTES))
            except zlib.error:
                return False
            if unpacked_bytes > reader.limits.unpacked_bytes:
                return False
            if flags & 8 and unpacker.eof:
                # Sizes follow the content; the next member follows those.
                rest = unpacker.unused_data[:28].find(_LOCAL)
                if rest < 0:
                    return len(unpacker.unused_data) < 28
                at = start + len(data) - len(unpacker.unused_data) + rest
                continue
        if at >= reader.size_bytes or (flags & 8 and not packed):
            return bool(start + len(data) >= reader.size_bytes)
    return False


def _directory(reader: Reader, tail: bytes, end: int, end_at: int) -> tuple[int, int, int]:
    count, length, offset = struct.unpack("<HII", tail[end + 10 : end + 20])
    if 0xFFFF in {count} or _FULL32 in {length, offset}:
        locator = reader.at(end_at - 20, 20)
        if locator[:4] == b"PK\x06\x07":
            record = reader.at(int.from_bytes(locator[8:16], "little"), 56)
            if record[:4] == b"PK\x06\x06" and len(record) == 56:
                return struct.unpack("<QQQ", record[32:56])
    return count, length, offset


def _entries(directory: bytes) -> list[_Entry] | None:
    """None where something else lies between the entries."""
    found: list[_Entry] = []
    at = 0
    while at + _ENTRY_BYTES <= len(directory):
        if directory[at : at + 4] != _ENTRY:
            return None
        flags, method = struct.unpack("<HH", directory[at + 8 : at + 12])
        crc, packed, size, name, extra, comment = struct.unpack("<IIIHHH", directory[at + 16 : at + 34])
        offset = int.from_bytes(directory[at + 42 : at + 46], "little")
        found.append(
            _Entry(
                directory[at + _ENTRY_BYTES : at + _ENTRY_BYTES + name],
                flags,
                method,
                crc,
                packed,
                size,
                offset,
            )
        )
        at += _ENTRY_BYTES + name + extra + comment
    return found


def _member(reader: Reader, entry: _Entry, shift: int) -> Finding:
    if _FULL32 in {entry.offset, entry.packed_bytes, entry.size_bytes}:
        return SOUND  # its sizes stand in an extra field; the other members tell
    at = entry.offset + shift
    local = reader.at(at, _LOCAL_BYTES + len(entry.name))
    if local[:4] != _LOCAL:
        return _BLANK if not local.strip(b"\0") else broken("member")
    name, extra = struct.unpack("<HH", local[26:30])
    if local[_LOCAL_BYTES:] != entry.name and name == len(entry.name):
        return broken("member")
    if entry.flags & 1 or entry.method == 99:
        return SEALED
    return _content(reader, entry, at + _LOCAL_BYTES + name + extra)


def _content(reader: Reader, entry: _Entry, at: int) -> Finding:
    whole = entry.packed_bytes <= MEMBER_BYTES
    packed = reader.at(at, entry.packed_bytes if whole else PREFIX_BYTES)
    if whole and len(packed) < entry.packed_bytes:
        return torn("cut off")
    if entry.method == 0:
        return broken("crc") if whole and zlib.crc32(packed) != entry.crc else SOUND
    if entry.method != 8:
        return SOUND
    try:
        content, ended = reader.inflate(packed, raw=True)
    except zlib.error:
        return broken("packed data")
    if ended and zlib.crc32(content) != entry.crc:
        return broken("crc")
    return SOUND


def _is_sealed_document(reader: Reader, entries: list[_Entry], shift: int) -> bool:
    """An OpenDocument file with a password: its manifest names the algorithm, every member is stored as it is."""
    for entry in entries:
        if (
            entry.name == b"META-INF/manifest.xml"
            and entry.packed_bytes <= MEMBER_BYTES
            and entry.method == 8
        ):
            local = reader.at(entry.offset + shift, _LOCAL_BYTES)
            name, extra = struct.unpack("<HH", local[26:30])
            packed = reader.at(entry.offset + shift + _LOCAL_BYTES + name + extra, entry.packed_bytes)
            try:
                content, _ = reader.inflate(packed, raw=True, most_bytes=256 * 1024)
            except zlib.error:
                return False
            return b"encryption-data" in content
    return False
