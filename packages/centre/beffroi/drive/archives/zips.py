"""Whether a ZIP says the same to everybody. Pure.

Purpose: who unpacks a stream takes the headers before the contents at their word, who seeks takes the directory's; what
         was judged by the one must not be something else by the other.
Input:   hostile, or damaged.
Source:  APPNOTE 6.3.10, 4.3.7 (local header), 4.3.9 (data descriptor).
"""

from __future__ import annotations

import struct
import zipfile
from typing import IO

BEGINS = b"PK\x03\x04"
_HEADER = struct.Struct("<4s5H3L2H")
_ELSEWHERE = 0xFFFFFFFF
"""In place of a number that is too large for a header."""
_FOLLOWS, _UTF8 = 1 << 3, 1 << 11
"""Flags of a member: CRC and sizes stand behind its content; how its name is written."""
_BEHIND_BYTES = 24


def require_one_account(file: IO[bytes], package: zipfile.ZipFile) -> None:
    """What stands before and behind each content is what the directory says of it, and nothing lies between.

    Errors: BadZipFile; those of a broken header (struct.error, ValueError, OSError)."""
    at = 0
    for info in sorted(package.infolist(), key=lambda one: one.header_offset):
        file.seek(at)
        begins, _, flags, kind, _, _, *here, length, more = _HEADER.unpack(file.read(_HEADER.size))
        name = file.read(length).decode("utf-8" if flags & _UTF8 else "cp437")
        there = info.header_offset, info.flag_bits, info.compress_type, info.orig_filename
        sums = info.CRC, info.compress_size, info.file_size
        follow = bool(flags & _FOLLOWS)
        if begins != BEGINS or (at, flags, kind, name) != there or not _agree(here, sums, follow=follow):
            raise zipfile.BadZipFile("two accounts of a member")
        at += _HEADER.size + length + more + info.compress_size
        if follow:
            file.seek(at)
            at += _behind(file.read(_BEHIND_BYTES), sums)
    if at != package.start_dir:
        raise zipfile.BadZipFile("more than its directory says")


def _agree(here: list[int], sums: tuple[int, int, int], *, follow: bool) -> bool:
    return all(one in (real, _ELSEWHERE, 0 if follow else real) for one, real in zip(here, sums, strict=True))


def _behind(data: bytes, sums: tuple[int, int, int]) -> int:
    """How many bytes these sums take, in any form there is of them, the longest first; 0 where they do not stand."""
    forms = ["<LQQ"] if max(sums) > _ELSEWHERE else ["<LQQ", "<LLL"]
    written = [mark + struct.pack(form, *sums) for form in forms for mark in (b"PK\x07\x08", b"")]
    return next((len(one) for one in written if data.startswith(one)), 0)
