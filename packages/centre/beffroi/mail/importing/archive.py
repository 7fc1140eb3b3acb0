"""Mails from a file: mbox, EML, or a ZIP archive of these. Read as a stream, within sizes.

Process: cli; the operator names the file.
Hostile: the file. A mail above ``letters.MAX_BYTES`` is passed over without being held; an entry that does not unpack
         is reported, and the next one follows. Names in archives become folders of the new mailbox and never paths.
Source:  RFC 4155 (mbox), with ">From " taken back as in mboxrd; Status, X-Status and X-Mozilla-Status for flags.
"""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import IO

from beffroi.lib import clock
from beffroi.lib.errors import Invalid
from beffroi.mail.importing import folders, letters
from beffroi.mail.importing.letters import Letter

MAX_ENTRIES = 500_000
NO_MAIL = "no_mail"
_PIECE_BYTES = 64 * 1024
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, OSError, ValueError,
)  # fmt: skip
_SEPARATOR = re.compile(rb"From \S.* (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]?\d \d\d:\d\d")
"""Surely one, though no empty line is before it: files were put together, or a program wrote none."""
_MOZILLA_READ, _MOZILLA_REPLIED, _MOZILLA_MARKED, _MOZILLA_EXPUNGED = 0x1, 0x2, 0x4, 0x8


@dataclass(frozen=True)
class Found:
    """A mail for ``folder``, or why there is none: "too_large", "unreadable", or NO_MAIL of a file of an archive that
    is none (``name``: what it is called there)."""

    folder: str
    letter: Letter | None
    reason: str = ""
    size_bytes: int = 0
    name: str = ""


def read(file: IO[bytes], folder: str) -> Iterator[Found]:
    """Every mail of a seekable file, for this folder and ones below it. Errors: Invalid (none of these formats)."""
    start = file.read(8)
    file.seek(0)
    if start.startswith(b"PK\x03\x04"):
        yield from _zip(file, folder)
    elif start.startswith(b"From "):
        yield from _mbox(file, folder)
    elif b":" in file.readline(_PIECE_BYTES):
        file.seek(0)
        yield _mail(folder, file.read(letters.MAX_BYTES + 1))
    else:
        raise Invalid("the file is no mbox, no mail and no ZIP archive of these")


def _zip(file: IO[bytes], folder: str) -> Iterator[Found]:
    try:
        archive = zipfile.ZipFile(file)
    except _DAMAGED:
        raise Invalid("the ZIP archive is damaged") from None
    if len(archive.infolist()) > MAX_ENTRIES:
        raise Invalid(f"the ZIP archive has more than {MAX_ENTRIES} files: give it in parts")
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename)
        if entry.is_dir() or "__MACOSX" in path.parts or path.name.startswith("."):
            continue
        above = [part for part in path.parts[:-1] if part != "/"]
        below = folders.below(above, folder)
        try:
            with archive.open(entry) as opened:
                if path.suffix.lower() == ".eml":
                    yield _mail(below, opened.read(letters.MAX_BYTES + 1))
                elif opened.read(5) == b"From ":
                    opened.seek(0)
                    yield from _mbox(opened, folders.below([*above, path.stem], folder))
                elif entry.file_size:  # a folder without mails is an empty file
                    yield Found(below, None, NO_MAIL, entry.file_size, entry.filename)
        except _DAMAGED:
            yield Found(below, None, "unreadable", entry.file_size)


def _mbox(file: IO[bytes], folder: str) -> Iterator[Found]:
    held, size, separator, first = bytearray(), 0, b"", True
    begins = blank = True
    while piece := file.readline(_PIECE_BYTES):
        starts, begins = begins, piece.endswith(b"\n")
        if starts and piece.startswith(b"From ") and (blank or _SEPARATOR.match(piece)):
            if not first:
                yield from _one(folder, held, size, separator)
            held, size, separator, first, blank = bytearray(), 0, piece, False, False
            continue
        blank = starts and not piece.strip(b"\r\n")
        if starts and piece.startswith(b">") and piece.lstrip(b">").startswith(b"From "):
            piece = piece[1:]
        size += len(piece)
        if size <= letters.MAX_BYTES + 1:
            held += piece
    yield from _one(folder, held, size, separator)


def _one(folder: str, held: bytearray, size: int, separator: bytes) -> Iterator[Found]:
    if size > letters.MAX_BYTES:
        yield Found(folder, None, "too_large", size)
        return
    for blank in (b"\r\n\r\n", b"\n\n"):  # the empty line before the next separator is no part of the mail
        if held.endswith(blank):
            del held[-len(blank) // 2 :]
            break
    found = _mail(folder, bytes(held), separator)
    if found.letter is None or not _mozilla(letters.header_of(found.letter.data)) & _MOZILLA_EXPUNGED:
        yield found  # Thunderbird leaves deleted mails in its files


def _mail(folder: str, raw: bytes, separator: bytes = b"") -> Found:
    if len(raw) > letters.MAX_BYTES:
        return Found(folder, None, "too_large", len(raw))
    if not raw.strip():
        return Found(folder, None, "unreadable")
    data = letters.clean(raw)
    header = letters.header_of(data)
    return Found(folder, Letter(data, _flags(header), _received(header, separator)), size_bytes=len(data))


def _received(header: bytes, separator: bytes) -> datetime:
    """When it came: the last server's word, the sender's, that of the mbox; else now."""
    found = letters.dated(
        letters.field(header, b"received").rpartition(b";")[2],
        letters.field(header, b"date"),
        b" ".join(separator.split()[2:]),
    )
    return found or clock.now()


def _flags(header: bytes) -> tuple[bytes, ...]:
    status = letters.field(header, b"status") + b" " + letters.field(header, b"x-status")
    mozilla = _mozilla(header)
    marks = (
        (b"\\Seen", b"R" in status or mozilla & _MOZILLA_READ),
        (b"\\Answered", b"A" in status or mozilla & _MOZILLA_REPLIED),
        (b"\\Flagged", b"F" in status or mozilla & _MOZILLA_MARKED),
        (b"\\Draft", b"T" in status),
    )
    return tuple(name for name, is_set in marks if is_set)


def _mozilla(header: bytes) -> int:
    try:
        return int(letters.field(header, b"x-mozilla-status")[:4] or b"0", 16)
    except ValueError:
        return 0
