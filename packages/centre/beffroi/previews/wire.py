"""How the process ``previews`` is asked: one document or picture a connection, one answer.

    asked:    "SUFFIX SIZE\\n", then SIZE bytes            SUFFIX: one of SUFFIXES, or PRINTED
              "SUFFIX SIZE EDGE\\n", then SIZE bytes       SUFFIX: one of PHOTOS; EDGE: one of EDGES_PX
    answered: "ok PDF_SIZE SIZE...\\n", then these bytes   a PDF of the first pages, pictures (PNG) of some of them;
                                                         of PRINTED a PDF/A of all pages, alone; with an EDGE a
                                                         thumbnail (JPEG), upright and without what the camera wrote
              "no WHY\\n"                                  WHY: one of ``Why``

Hostile: the answer too: whoever made it has read a stranger's document. Its sizes are bounded before anything is read;
         that it is a PDF or a picture is for who shows it to make harmless.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Literal, NamedTuple

from beffroi.lib.errors import BeffroiError

SUFFIXES = frozenset(
    ("odt", "ott", "docx", "doc", "rtf", "ods", "ots", "xlsx", "xls", "odp", "otp", "pptx", "ppt", "pdf")
)
IMAGES = frozenset(("png", "jpg", "jpeg", "gif", "webp"))
"""What any browser shows by itself."""
PHOTOS = IMAGES | frozenset(("heic", "heif", "avif", "tif", "tiff"))
PHOTOS_AT_ONCE = os.process_cpu_count() or 1
EDGES_PX = (256, 1024)
"""How long the longer edge of a thumbnail is at most: in a list, and alone."""
PRINTED = "fodt"
"""A document that we wrote ourselves, to be printed whole."""
MAX_DOCUMENT_BYTES = 25_000_000
MAX_PDF_BYTES = 32 * 1024 * 1024
MAX_PICTURE_BYTES = 4 * 1024 * 1024
PAGES, PICTURES = 20, 3
MAX_LINE_BYTES = 100
Why = Literal["slow", "unreadable"]
_ASKED = re.compile(rb"([a-z]{3,4}) (\d{1,9})(?: (\d{3,4}))?\n")
_SIZES = re.compile(rb"ok( \d{1,9}){1,4}\n")
_REFUSED = re.compile(rb"no ([a-z]+)\n")


def suffix_of(name: str) -> str:
    """The ending of a file's name, in small letters."""
    return name.rpartition(".")[2].lower()


def has_thumbnail(name: str, size_bytes: int) -> bool:
    """Whether one is asked for at all; whether it can be made shows when it is."""
    return suffix_of(name) in PHOTOS and 0 < size_bytes <= MAX_DOCUMENT_BYTES


class NotShown(BeffroiError):
    """There is no preview of this document: {}."""

    code = "previews.not_shown"
    http_status = 422

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


class Ended(BeffroiError):
    """The process that makes previews ended the connection, or talks nonsense."""

    code = "previews.ended"
    http_status = 503
    retryable = True


class Asked(NamedTuple):
    """``edge_px``: of a thumbnail; 0 where a document is to be shown."""

    suffix: str
    size_bytes: int
    edge_px: int


class Preview(NamedTuple):
    """``pdf``: of the first PAGES pages, or of all of PRINTED; "" of what is a PDF already, and of a thumbnail.
    ``pictures``: PNG, of the first PICTURES; of PRINTED none; of a thumbnail itself, JPEG."""

    pdf: bytes
    pictures: tuple[bytes, ...]

    @property
    def size_bytes(self) -> int:
        return len(self.pdf) + sum(map(len, self.pictures))


def ask(path: Path, suffix: str, data: bytes, *, timeout_s: float, edge_px: int = 0) -> Preview:
    """``edge_px``: as of ``Asked``. ``timeout_s``: for each step; others may be before this one.

    Errors: NotShown, Ended, OSError.
    """
    edge = f" {edge_px}" if edge_px else ""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        connection.sendall(f"{suffix} {len(data)}{edge}\n".encode("ascii") + data)
        line = read_line(connection)
        if found := _REFUSED.fullmatch(line):
            raise NotShown("slow" if found[1] == b"slow" else "unreadable")
        if _SIZES.fullmatch(line) is None:
            raise Ended
        sizes = [int(one) for one in line.split()[1:]]
        if sizes[0] > MAX_PDF_BYTES or any(one > MAX_PICTURE_BYTES for one in sizes[1:]):
            raise Ended
        pdf, *pictures = (read_exactly(connection, size) for size in sizes)
        return Preview(pdf, tuple(pictures))


def asked(line: bytes) -> Asked:
    """The first line of a request. Errors: Ended."""
    found = _ASKED.fullmatch(line)
    if found is None:
        raise Ended
    one = Asked(found[1].decode(), int(found[2]), int(found[3] or 0))
    if one.size_bytes > MAX_DOCUMENT_BYTES or one.edge_px not in (0, *EDGES_PX):
        raise Ended
    if one.suffix not in (PHOTOS if one.edge_px else SUFFIXES | {PRINTED}):
        raise Ended
    return one


def answer(preview: Preview) -> bytes:
    parts = (preview.pdf, *preview.pictures)
    return b"ok " + b" ".join(b"%d" % len(one) for one in parts) + b"\n" + b"".join(parts)


def read_line(connection: socket.socket) -> bytes:
    """Errors: Ended, OSError."""
    out = b""
    while not out.endswith(b"\n"):
        piece = connection.recv(1)
        if not piece or len(out) >= MAX_LINE_BYTES:
            raise Ended
        out += piece
    return out


def read_exactly(connection: socket.socket, size: int) -> bytes:
    """Errors: Ended, OSError."""
    out = bytearray()
    while len(out) < size:
        piece = connection.recv(min(256 * 1024, size - len(out)))
        if not piece:
            raise Ended
        out += piece
    return bytes(out)
