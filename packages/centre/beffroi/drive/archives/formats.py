"""What kind of file it is, for an archive service: a name, a media type, PRONOM's identifier where the bytes say it.
Pure.

Limits:  a proposal by name and content; the archive service identifies each file again. No identifier is better than
         a wrong one, so only those stand here whose version the content names. A PDF/A that compressed its metadata,
         which its first part forbids, is taken for the PDF that it is, too; so it is by PRONOM's signatures.
Source:  PRONOM (The National Archives): PDF fmt/14-20, 276, 1129; PDF/A fmt/95, 354, 476-481, 1910-1912; JFIF
         fmt/42-44. ISO 19005, "Version and conformance level identification".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from beffroi.drive.archives.names import extension

HEAD_BYTES = 1024
_SAID_BYTES = 64
"""Of the words that name a conformance, which two pieces may share."""


@dataclass(frozen=True)
class Format:
    """``pronom``: "" where it is not known."""

    literal: str
    media_type: str
    pronom: str = ""


_PDF = re.compile(rb"%PDF-(\d\.\d)")
_PDF_PRONOM = {
    b"1.0": "fmt/14",
    b"1.1": "fmt/15",
    b"1.2": "fmt/16",
    b"1.3": "fmt/17",
    b"1.4": "fmt/18",
    b"1.5": "fmt/19",
    b"1.6": "fmt/20",
    b"1.7": "fmt/276",
    b"2.0": "fmt/1129",
}
_PART = re.compile(rb"(?:<pdfaid:part>|pdfaid:part\s*=\s*[\"'])\s*([1-4])\s*[<\"']")
_LEVEL = re.compile(rb"(?:<pdfaid:conformance>|pdfaid:conformance\s*=\s*[\"'])\s*([A-Za-z])\s*[<\"']")
_PDF_A_PRONOM = {
    "1A": "fmt/95",
    "1B": "fmt/354",
    "2A": "fmt/476",
    "2B": "fmt/477",
    "2U": "fmt/478",
    "3A": "fmt/479",
    "3B": "fmt/480",
    "3U": "fmt/481",
    "4": "fmt/1910",
    "4E": "fmt/1911",
    "4F": "fmt/1912",
}
_JFIF = re.compile(rb"\xff\xd8\xff\xe0..JFIF\x00\x01([\x00-\x02])", re.DOTALL)
_JFIF_PRONOM = {b"\x00": "fmt/42", b"\x01": "fmt/43", b"\x02": "fmt/44"}
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
_BY_NAME = {
    ".pdf": Format("PDF", "application/pdf"),
    ".jpg": Format("JPEG", "image/jpeg"),
    ".jpeg": Format("JPEG", "image/jpeg"),
    ".png": Format("PNG", "image/png"),
    ".tif": Format("TIFF", "image/tiff"),
    ".tiff": Format("TIFF", "image/tiff"),
    ".txt": Format("Texte", "text/plain"),
    ".csv": Format("CSV", "text/csv"),
    ".xml": Format("XML", "application/xml"),
    ".zip": Format("ZIP", "application/zip"),
    ".eml": Format("Courriel", "message/rfc822"),
    ".doc": Format("Microsoft Word", "application/msword"),
    ".xls": Format("Microsoft Excel", "application/vnd.ms-excel"),
    ".docx": Format("Office Open XML, texte", _OFFICE + "wordprocessingml.document"),
    ".xlsx": Format("Office Open XML, tableur", _OFFICE + "spreadsheetml.sheet"),
    ".pptx": Format("Office Open XML, présentation", _OFFICE + "presentationml.presentation"),
    ".odt": Format("OpenDocument, texte", _OPEN + "text"),
    ".ods": Format("OpenDocument, tableur", _OPEN + "spreadsheet"),
    ".odp": Format("OpenDocument, présentation", _OPEN + "presentation"),
}
UNKNOWN = Format("Inconnu", "application/octet-stream")


class Look:
    """At a content that passes, piece by piece."""

    def __init__(self) -> None:
        self._head, self._tail = b"", b""
        self._part, self._level = "", ""

    def update(self, data: bytes, /) -> None:
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        if not self._head.startswith(b"%PDF-"):
            return
        # The last one counts: a document that was saved again behind itself says it anew.
        seen = self._tail + data
        for found in _PART.finditer(seen):
            self._part = found[1].decode()
        for found in _LEVEL.finditer(seen):
            self._level = found[1].decode().upper()
        self._tail = seen[-_SAID_BYTES:]

    def found(self, name: str) -> Format:
        """What it was. ``name``: of the file."""
        if pdf := _PDF.match(self._head):
            if pronom := _PDF_A_PRONOM.get(self._part + self._level):
                return Format(f"PDF/A-{self._part}{self._level.lower()}", "application/pdf", pronom)
            pronom = "" if self._part else _PDF_PRONOM.get(pdf[1], "")
            return Format(f"PDF {pdf[1].decode()}", "application/pdf", pronom)
        if jpeg := _JFIF.match(self._head):
            return Format("JPEG (JFIF)", "image/jpeg", _JFIF_PRONOM[jpeg[1]])
        return _BY_NAME.get(extension(name), UNKNOWN)
