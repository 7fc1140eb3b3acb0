"""Where Office documents in bytes (.doc, .xls, .ppt, sheets of .xlsb) lead, and those in one XML (Word and Excel 2003,
flat OpenDocument). Pure.

Hostile: every byte. Each expression goes over a stream once.
Source:  MS-DOC 2.8.25 (fields), MS-OSHARED 2.3.7.6 (URLMoniker), MS-PPT 2.2.24 (text of a link), MS-XLS 2.5.198 and
         MS-XLSB 2.5.97 (formulas); ISO/IEC 26300-1.
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
_FIRST_TEXTS = re.compile(rb"\x17(?=(?:.\0http|.\x01h\0t\0t\0p|..h\0t\0t\0p)s?)", re.DOTALL | re.IGNORECASE)
_TEXT, _JOIN = b"\x17", b"\x08"
_FUNCTIONS = re.compile(rb"[\x22\x42\x62].(?:\x67\x01|\xff\x00)", re.DOTALL)
"""HYPERLINK, and what came later by its name: WEBSERVICE, IMAGE."""
_MOST_TOKENS, _REACH_BYTES = 200, 24
"""Of a formula; between its last text and its function: a cell or two."""
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
    yield from _told(_MONIKERS, stream)
    yield from of_formulas(stream, wide=False)


def of_formulas(stream: bytes, *, wide: bool) -> Iterator[str]:
    """The first texts that formulas hand to a function which opens or fetches them. ``wide``: a sheet of .xlsb, which
    has other lengths."""
    at = 0
    for _ in range(_MOST):
        found, told = _FIRST_TEXTS.search(stream, at), list[str]()
        if found is None:
            return
        at = found.start()
        for _ in range(_MOST_TOKENS):
            if (token := stream[at : at + 1]) == _TEXT:
                text, at = _text(stream, at + 1, wide=wide)
                told.append(text)
            elif token == _JOIN and len(told) > 1:
                told[-2:], at = ["".join(told[-2:])], at + 1
            else:
                break
        if _FUNCTIONS.search(stream, at, at + _REACH_BYTES):
            yield told[0]


def _text(stream: bytes, at: int, *, wide: bool) -> tuple[str, int]:
    """One of a formula, and where it ends."""
    head = stream[at : at + 2].ljust(2, b"\0")
    is_utf16 = wide or bool(head[1] & 1)
    length = (int.from_bytes(head, "little") if wide else head[0]) * (2 if is_utf16 else 1)
    end = at + 2 + min(length, _MOST_BYTES)
    return stream[at + 2 : end].decode("utf-16-le" if is_utf16 else "latin-1", "replace"), end


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
