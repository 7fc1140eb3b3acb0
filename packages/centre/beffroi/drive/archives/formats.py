"""What kind of file it is, for an archive service: a name, a media type, PRONOM's identifier where the first bytes
say it. Pure.

Limits:  a proposal by name and first bytes; the archive service identifies each file again. No identifier is better
         than a wrong one, so only those stand here whose version the first bytes name.
Source:  PRONOM (The National Archives): PDF fmt/14-20, 276, 1129; JFIF fmt/42-44.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from beffroi.drive.archives.names import extension

HEAD_BYTES = 1024


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


def of(name: str, head: bytes) -> Format:
    """``head``: the first bytes, ``HEAD_BYTES`` of them at most."""
    if pdf := _PDF.match(head):
        return Format(f"PDF {pdf[1].decode()}", "application/pdf", _PDF_PRONOM.get(pdf[1], ""))
    if jpeg := _JFIF.match(head):
        return Format("JPEG (JFIF)", "image/jpeg", _JFIF_PRONOM[jpeg[1]])
    return _BY_NAME.get(extension(name), UNKNOWN)
