"""Where Office documents of the old formats (.doc, .xls, .ppt) lead, and those in one XML (Word and Excel 2003, flat
OpenDocument). Pure.

Hostile: every byte. Each expression goes over a stream once.
Source:  MS-DOC 2.8.25 (fields), MS-OSHARED 2.3.7.6 (URLMoniker), MS-PPT 2.2.24 (text of a link); ISO/IEC 26300-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from itertools import islice

FIELD_LINKS = re.compile(
    r"(?:HYPERLINK|INCLUDE(?:TEXT|PICTURE)|IMPORT)\s*(?:\\\w\s*)*[\"“”]\s*(https?:[^\"“”]*)", re.I
)
_MONIKER = bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b")
_MONIKERS = re.compile(re.escape(_MONIKER) + rb"(....)", re.DOTALL)
_SLIDE_TEXTS = re.compile(rb"[\x00\x10\x20\x30]\x00\xba\x0f(..\x00\x00)", re.DOTALL)
_MOST, _MOST_BYTES = 2000, 4096
_FLAT = (b"<pkg:package", b"<?mso-application", b"<office:document")
FLAT_WITHIN_BYTES = 4096
_FLAT_LINKS = re.compile(r"""(?:\bxlink:href|:dest|:HRef)\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)')""", re.IGNORECASE)


def of_text(stream: bytes) -> list[str]:
    """Of a WordDocument: what its fields say, in letters of one byte or two."""
    return FIELD_LINKS.findall(stream.replace(b"\0", b"").decode("cp1252", "replace"))


def of_book(stream: bytes) -> Iterator[str]:
    """Of a Workbook."""
    return _told(_MONIKERS, stream)


def of_slides(stream: bytes) -> Iterator[str]:
    """Of a PowerPoint Document: every short text of a record; one that is no address leads nowhere."""
    return _told(_SLIDE_TEXTS, stream)


def _told(marks: re.Pattern[bytes], stream: bytes) -> Iterator[str]:
    """UTF-16 behind its length in bytes."""
    for found in islice(marks.finditer(stream), _MOST):
        length = min(int.from_bytes(found[1], "little"), _MOST_BYTES)
        yield stream[found.end() : found.end() + length].decode("utf-16-le", "replace").partition("\0")[0]


def is_flat(plain: bytes) -> bool:
    """Whether it is a document in one XML, as Word, Excel and LibreOffice open it. ``plain``: its first
    ``FLAT_WITHIN_BYTES``, as ``kinds.plain``."""
    return any(begins in plain for begins in _FLAT)


def of_flat(part: str) -> list[str]:
    """``part``: as ``office.readable``."""
    return [unescape(one or other) for one, other in _FLAT_LINKS.findall(part)]
