"""ZIPs that say the same to everybody. Pure.

Purpose: who unpacks a stream takes the headers before the contents at their word, and a content ends where it says
         itself; who seeks takes the directory's. What was judged by the one must not be something else by the other.
Input:   hostile, or damaged.
Source:  APPNOTE 6.3.10, 4.3.7 (local header), 4.3.9 (data descriptor), 4.3.12 to 4.3.16 (directory, end records).
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Buffer
from typing import IO

BEGINS = b"PK\x03\x04"
_HEADER = struct.Struct("<4s5H3L2H")
_ENTRY, _END = struct.Struct("<4s24x3H12x"), struct.Struct("<4s4H2LH")
_END_64, _END_64_AT = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_ELSEWHERE, _ELSEWHERE_2 = 0xFFFFFFFF, 0xFFFF
"""In place of a number that is too large for a header, of four and of two bytes."""
_MORE, _UNICODE_PATH = struct.Struct("<2H"), 0x7075
_FOLLOWS, _UTF8, _STRANGE = 1 << 3, 1 << 11, 1 << 0 | 1 << 5 | 1 << 6
"""Flags of a member: CRC and sizes stand behind its content; how its name is written; encrypted, or a patch."""
_BEHIND_BYTES, _PIECE_BYTES = 24, 64 << 10


def beginnings(file: IO[bytes], package: zipfile.ZipFile) -> dict[int, int]:
    """Where the content of each member begins, by the place of its header, in a ZIP in which what stands before and
    behind each content is what the directory says of it, nothing lies between, and the end says where the directory is.

    Errors: BadZipFile; those of a broken header (struct.error, ValueError, OSError)."""
    found, at = {}, 0
    for info in sorted(package.infolist(), key=lambda one: one.header_offset):
        file.seek(at)
        begins, _, flags, kind, _, _, *here, length, more = _HEADER.unpack(file.read(_HEADER.size))
        name = file.read(length).decode("utf-8" if flags & _UTF8 else "cp437")
        other_name = _other_name(file.read(more))
        there = (
            info.header_offset,
            info.flag_bits,
            info.compress_type,
            info.orig_filename,
            _other_name(info.extra),
        )
        sums = info.CRC, info.compress_size, info.file_size
        follow = bool(flags & _FOLLOWS)
        if (
            begins != BEGINS
            or (at, flags, kind, name, other_name) != there
            or not _agree(here, sums, follow=follow)
        ):
            raise zipfile.BadZipFile("two accounts of a member")
        found[at] = at + _HEADER.size + length + more
        at = found[at] + info.compress_size
        if follow:
            file.seek(at)
            at += _behind(file.read(_BEHIND_BYTES), sums)
    if at != package.start_dir:
        raise zipfile.BadZipFile("more than its directory says")
    _require_end(file, at, len(found))
    return found


def _require_end(file: IO[bytes], start: int, count: int) -> None:
    """A directory of so many entries, then one end of it, which says what it is, and nothing more. Some readers take
    the first end that they find, others the last; some what it counts, others what it measures."""
    at = start
    for _ in range(count):
        file.seek(at)
        mark, *lengths = _ENTRY.unpack(file.read(_ENTRY.size))
        at += _ENTRY.size + sum(lengths)
        if mark != b"PK\x01\x02":
            raise zipfile.BadZipFile("another directory")
    file.seek(at)
    rest = file.read(_END_64.size + _END_64_AT.size + _END.size + _ELSEWHERE_2 + 1)
    end = 0
    if rest.startswith(b"PK\x06\x06"):
        _, size, _, _, *numbers = _END_64.unpack(rest[: _END_64.size])
        end = _END_64.size + _END_64_AT.size
        there = _END_64_AT.unpack(rest[_END_64.size : end])
        told = (size, *numbers), there
        if told != ((_END_64.size - 12, 0, 0, count, count, at - start, start), (b"PK\x06\x07", 0, at, 1)):
            raise zipfile.BadZipFile("another end")
    mark, *small, length = _END.unpack(rest[end : end + _END.size])
    for one, real, too_large in zip(
        small, (0, 0, count, count, at - start, start), (_ELSEWHERE_2,) * 4 + (_ELSEWHERE,) * 2, strict=True
    ):
        if one != real and not (end and one == too_large):
            raise zipfile.BadZipFile("another end")
    comment = rest[end + _END.size :]
    if mark != b"PK\x05\x06" or len(comment) != length or b"PK\x05\x06" in comment:
        raise zipfile.BadZipFile("another end")


def _other_name(extra: bytes) -> bytes:
    """By which readers call a member that know it (Info-ZIP's Unicode path)."""
    while len(extra) >= _MORE.size:
        kind, length = _MORE.unpack(extra[: _MORE.size])
        if kind == _UNICODE_PATH:
            return extra[_MORE.size : _MORE.size + length]
        extra = extra[_MORE.size + length :]
    return b""


def _agree(here: list[int], sums: tuple[int, int, int], *, follow: bool) -> bool:
    return all(one in (real, _ELSEWHERE, 0 if follow else real) for one, real in zip(here, sums, strict=True))


def _behind(data: bytes, sums: tuple[int, int, int]) -> int:
    """How many bytes these sums take, in any form there is of them, the longest first; 0 where they do not stand."""
    forms = ["<LQQ"] if max(sums) > _ELSEWHERE else ["<LQQ", "<LLL"]
    written = [mark + struct.pack(form, *sums) for form in forms for mark in (b"PK\x07\x08", b"")]
    return next((len(one) for one in written if data.startswith(one)), 0)


def content(file: IO[bytes], info: zipfile.ZipInfo, begins: int) -> IO[bytes]:
    """A reader of one member. Errors: BadZipFile, for what is neither stored nor deflated, too; of a read also
    zlib.error."""
    # LZMA lets an archive choose how much memory its reader takes.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & _STRANGE:
        raise zipfile.BadZipFile("neither stored nor deflated")
    return io.BufferedReader(_Content(file, info, begins), _PIECE_BYTES)


class _Content(io.RawIOBase):
    """Ends where the directory says that it does, in itself and in what it is packed in."""

    def __init__(self, file: IO[bytes], info: zipfile.ZipInfo, begins: int) -> None:
        self._file, self._at, self._left = file, begins, info.compress_size
        self._inflating = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type else None
        self._told = info.CRC, info.file_size
        self._crc = self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: Buffer, /) -> int:
        target = memoryview(into)
        data = self._inflated(len(target)) if self._inflating is not None else self._packed(len(target))
        self._crc, self._size = zlib.crc32(data, self._crc), self._size + len(data)
        if self._size > self._told[1] or (not data and (self._crc, self._size) != self._told):
            raise zipfile.BadZipFile("another content")
        target[: len(data)] = data
        return len(data)

    def _packed(self, most: int) -> bytes:
        self._file.seek(self._at)
        data = self._file.read(min(most, self._left))
        self._at, self._left = self._at + len(data), self._left - len(data)
        return data

    def _inflated(self, most: int) -> bytes:
        one = self._inflating
        assert one is not None
        while not one.eof:
            packed = one.unconsumed_tail or self._packed(_PIECE_BYTES)
            if data := one.decompress(packed, most):
                return data
            if not packed and not one.eof:
                raise zipfile.BadZipFile("cut")
        if self._left or one.unused_data or one.unconsumed_tail:
            raise zipfile.BadZipFile("more behind its end")
        return b""
