"""What a stored file says, as text: decoded here where it is plain text, read by ``scan`` where it has a form.

Process: drive-keeper, in the thread of the index; web asks for nothing here.
Hostile: contents. A file with a form (PDF, Office, OpenDocument, a mail) is opened by the process ``scan`` alone, in
         a child without anything; here bytes are decoded, and tags of a page are left out, nothing else.
Fails:   "" for what cannot be read, is too large or holds no text; Unavailable where scan does not answer, so that the
         file is read later.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

from beffroi.drive.store import refs
from beffroi.drive.store.database import Database
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.stock import Stock
from beffroi.lib.errors import Unavailable
from beffroi.previews.wire import suffix_of
from beffroi.scan import pages, values, wire

MOST_TEXT_BYTES = 2 * 1024 * 1024
MOST_DOCUMENT_BYTES = 32 * 1024 * 1024
MOST_CHARS = values.MOST_WORDS_TEXT
PATIENCE_S = 90.0
"""More than scan gives one file: who ends before would take a file that is too much for a busy machine for an absence
of scan, and ask for it first, again and again, while all others wait."""
_PLAIN = frozenset(
    ("txt", "md", "csv", "tsv", "log", "json", "xml", "ini", "yaml", "yml", "tex", "ics", "vcf")
)
_MAILS = frozenset(("eml",))
_PAGES = frozenset(("html", "htm", "xhtml"))
_DOCUMENTS = frozenset((
    "pdf", "rtf", "odt", "ott", "odp", "ods", "ots", "odg", "docx", "docm", "dotx", "xlsx", "xlsm", "pptx", "pptm",
))  # fmt: skip
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

type Reads = Callable[[bytes], str]
"""The text of a document. Errors: Unavailable."""


def by_scan(path: Path, *, patience_s: float = PATIENCE_S) -> Reads:
    """``path``: of scan's socket. ``patience_s``: less where somebody waits."""

    def read(data: bytes) -> str:
        try:
            return values.decode(
                wire.ask(path, wire.WORDS, data, timeout_s=patience_s), most_text=MOST_CHARS
            ).text
        except ValueError:
            return ""
        except (OSError, wire.Ended) as error:
            raise Unavailable("The scanner of files") from error

    return read


def is_read(name: str, size_bytes: int) -> bool:
    """Whether a file of this name and size may have a text for the index."""
    ending = suffix_of(name)
    if ending in _DOCUMENTS:
        return 0 < size_bytes <= MOST_DOCUMENT_BYTES
    return size_bytes > 0 and ending in _PLAIN | _PAGES | _MAILS


def text(name: str, data: bytes, reads: Reads) -> str:
    """At most MOST_CHARS. ``data``: as ``beginning`` gave it. Errors: Unavailable."""
    ending = suffix_of(name)
    if ending in _DOCUMENTS:
        return reads(data)
    if ending in _MAILS and (mail := reads(data)):  # else it is as plain as any text
        return mail
    found = decoded(data)
    if found is not None and ending in _PAGES:
        found = pages.said(found)
    return (found or "")[:MOST_CHARS]


def decoded(data: bytes) -> str | None:
    """Plain text in UTF-8, in UTF-16 with its mark, or as Windows wrote it; None for what is no text."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        # A sign that is cut where the text is, is no sign of another code.
        if len(data) == MOST_TEXT_BYTES and error.start >= len(data) - 3:
            return data[: error.start].decode()
        return data.decode("cp1252", "replace")


def beginning(stock: Stock, database: Database, name: str, manifest: bytes) -> bytes:
    """As much of a stored content as ``text`` looks at. Errors: those of ``Stock.read``."""
    is_document = suffix_of(name) in _DOCUMENTS
    most = MOST_DOCUMENT_BYTES if is_document else MOST_TEXT_BYTES
    out = bytearray()
    for chunk in Manifest.unpack(manifest).chunks:
        if len(out) >= most:
            break
        with database.reading() as reading:
            sealed = refs.sealed(reading, chunk.id)
        out += stock.read(chunk.id, sealed)
    return bytes(out[:most])
