"""A mail as Exchange wraps it (TNEF, winmail.dat): whether it carries files, and where its text leads. Pure.

No library for it is maintained, so its files are not read (docs/decisions/0062-mail-in-a-file.md). Its text Outlook
shows instead of the mail's own one.
Hostile: everything. One pass over its attributes.
Source:  MS-OXTNEF 2.1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from beffroi.scan import letter, pages, rtf

_HEAD, _CHECKSUM_BYTES = struct.Struct("<BII"), 2
_FIRST_ATTRIBUTE = 6  # behind signature and key
_OF_THE_MAIL = 1
_OF_FILES = frozenset(
    (0x00018010, 0x00038012, 0x00038013, 0x0006800F, 0x00068011, 0x00069001, 0x00069002, 0x00069005)
)
"""attAttach…: some programs ask for these, some for the level."""
_PACKED = re.compile(rb"LZFu|MELA")
_PACKED_AT = 8
_READINGS = ((0, "utf-8"), (0, "utf-16-le"), (1, "utf-16-le"))


def carries_files(data: bytes) -> bool:
    """Errors: ValueError where its list is broken."""
    return any(level != _OF_THE_MAIL or kind in _OF_FILES for level, kind, _ in _attributes(data))


def links(data: bytes) -> Iterator[str]:
    """Of its text, in each form that it has there. Errors: ValueError where its list is broken, or a form too long;
    what stands before comes first."""
    for level, kind, content in _attributes(data):
        if level != _OF_THE_MAIL or kind in _OF_FILES:
            continue
        for start, letters in _READINGS:
            written = content[start:].decode(letters, "replace")
            yield from pages.links(written)
            yield from letter.WEB.findall(written)
        for found in _PACKED.finditer(content, _PACKED_AT):
            yield from rtf.packed_links(content[found.start() - _PACKED_AT :])


def _attributes(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(level, identifier, content). Errors: ValueError."""
    at = _FIRST_ATTRIBUTE
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise ValueError("cut off")
        level, kind, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield level, kind, data[at : at + length]
        at += length + _CHECKSUM_BYTES
    if at != len(data):
        raise ValueError("cut off")
