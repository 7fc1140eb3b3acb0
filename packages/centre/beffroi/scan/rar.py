"""What the list of a RAR tells of its files that need a password. Pure.

Hostile: every byte. Blocks are followed as far as they can be, _MOST_BLOCKS at most.
Source:  RAR 5.0 archive format (rarlab); technote of RAR 4 and libarchive's reader of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from beffroi.scan import bodies
from beffroi.scan.bodies import Body

_MOST_BLOCKS = 20_000
_RAR4 = b"Rar!\x1a\x07\0"
_FILE_BLOCK, _END_BLOCK = 0x74, 0x7B
_NEEDS_PASSWORD, _IS_LARGE, _MORE_FOLLOWS = 0x04, 0x100, 0x8000
_RAR5 = b"Rar!\x1a\x07\x01\x00"
_ENCRYPTION, _FILE, _END, _BLOCK_BYTES = 4, 2, 5, 64 * 1024
_HAS_EXTRA, _HAS_DATA, _OF_FILE = 1, 2, 1
_HAS_TIME, _HAS_SUM = 2, 4


def named(body: Body) -> Iterator[tuple[str, int, int]]:
    """Of a RAR 5, as far as its blocks can be followed: (name, length in bytes, packed) of each file in it that needs a
    password; ("", 0, 0) for its list. libarchive 3.7 does not tell, and takes the cipher for the file. Source: RAR 5.0
    archive format (rarlab)."""
    at = len(_RAR5)
    if bodies.part(body, 0, at) != _RAR5:
        return
    for _ in range(_MOST_BLOCKS):  # of a long content each asks its owner once
        head = bodies.part(body, at, _BLOCK_BYTES)
        try:
            size, start = _number(head, 4)
            kind, place = _number(head, start)
            flags, place = _number(head, place)
            extra_bytes, place = _number(head, place) if flags & _HAS_EXTRA else (0, place)
            data_bytes, place = _number(head, place) if flags & _HAS_DATA else (0, place)
            if kind == _ENCRYPTION:
                yield "", 0, 0
                return
            if kind == _FILE and _is_locked(head[: start + size], extra_bytes):
                yield (*_named(head, place), data_bytes)
        except IndexError:
            return
        if kind == _END:
            return
        at += start + size + data_bytes


def _named(head: bytes, place: int) -> tuple[str, int]:
    """Of a file: name, length in bytes. Errors: IndexError."""
    flags, place = _number(head, place)
    size_bytes, place = _number(head, place)
    _attributes, place = _number(head, place)
    place += 4 * (bool(flags & _HAS_TIME) + bool(flags & _HAS_SUM))
    for _ in ("how it is packed", "where"):
        _, place = _number(head, place)
    length, place = _number(head, place)
    return head[place : place + length].decode("utf-8", "replace"), size_bytes


def _is_locked(head: bytes, extra_bytes: int) -> bool:
    """Errors: IndexError."""
    at = len(head) - extra_bytes
    while 0 < at < len(head):
        size, start = _number(head, at)
        if _number(head, start)[0] == _OF_FILE:
            return True
        at = start + size
    return False


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first: it, and the place behind it. Errors: IndexError."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80 or shift > 63:
            return value, at


def locked(body: Body) -> Iterator[tuple[int, int]]:
    """Of a RAR 4: (CRC-32, length in bytes) of each file that needs a password; none where its list does, which is no
    block then."""
    at = len(_RAR4)
    if bodies.part(body, 0, at) != _RAR4:
        return
    for _ in range(_MOST_BLOCKS):
        head = bodies.part(body, at, 40).ljust(40, b"\0")
        kind, flags, size, data_bytes = struct.unpack("<2xBHHI", head[:11])
        if size < 7 or kind == _END_BLOCK:
            return
        if kind == _FILE_BLOCK:
            (size_bytes,), (crc,) = struct.unpack("<I", head[11:15]), struct.unpack("<I", head[16:20])
            if flags & _IS_LARGE:
                high_data, high_size = struct.unpack("<II", head[32:40])
                data_bytes, size_bytes = data_bytes | high_data << 32, size_bytes | high_size << 32
            if flags & _NEEDS_PASSWORD:
                yield crc, size_bytes
        at += size + (data_bytes if kind == _FILE_BLOCK or flags & _MORE_FOLLOWS else 0)
