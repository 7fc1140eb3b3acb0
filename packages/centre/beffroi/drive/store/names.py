"""Names of files and folders: one form for all clients, and what no client may send.

Hostile: every name. It is data; it never becomes part of a path on the centre's disk.
Source:  docs/internals/drive.md, "Names".
"""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from functools import lru_cache

from beffroi.lib.errors import BeffroiError
from beffroi.lib.unseen import TURNING

MAX_NAME_BYTES = 255
MAX_DEPTH = 100
FORBIDDEN = frozenset("/\\") | {chr(code) for code in (*range(32), 127, 0xFFFE, 0xFFFF)}
"""Signs that no name holds; the last two no XML may hold either: no program could read the list of such a folder."""
_TURNING = re.compile(f"[{TURNING}]")


class NameRefused(BeffroiError):
    """This name cannot be used: it is blank, longer than 255 bytes, or holds a sign that some computers refuse."""

    code = "drive.name_refused"
    http_status = 400


class TooDeep(BeffroiError):
    """Folders can lie at most 100 deep in one another."""

    code = "drive.too_deep"
    http_status = 400


def normal(name: str) -> str:
    """The name in NFC, as it is kept: macOS sends NFD, and two forms of one name would be two files.

    Errors: NameRefused.
    """
    try:
        kept = unicodedata.normalize("NFC", name)
        size_bytes = len(kept.encode())
    except UnicodeEncodeError:
        raise NameRefused from None
    if kept.strip() in ("", ".", "..") or size_bytes > MAX_NAME_BYTES or not FORBIDDEN.isdisjoint(kept):
        raise NameRefused
    return kept


@lru_cache(1024)  # a request asks for each of its names several times
def folded(name: str) -> str:
    """What two names share that Windows and macOS take for one. ``name``: as ``normal`` gives it."""
    return unicodedata.normalize("NFC", name.casefold())


def in_order(text: str) -> str:
    """What people are shown: of "facture<turn>fdp.exe" a browser would make "factureexe.pdf"."""
    return _TURNING.sub("\N{REPLACEMENT CHARACTER}", text)


def content_type(name: str) -> str:
    """MIME type of a file, by the ending of its name: "data:plan,photo.png" is a name, no address."""
    return mimetypes.guess_file_type(name, strict=False)[0] or "application/octet-stream"


def numbered(name: str, number: int) -> str:
    """ "a.pdf", 2: "a (2).pdf"; of a long name the end before the number goes."""
    return normal(shortened(name, f" ({number})"))


def shortened(name: str, mark: str = "") -> str:
    """With a mark before its ending, as short as a name has to be: of a long one the end before the mark goes."""
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > 10:
        stem, dot, ending = name, "", ""
    end = f"{mark}{dot}{ending}"
    return stem.encode()[: MAX_NAME_BYTES - len(end.encode())].decode(errors="ignore") + end


def path(text: str) -> tuple[str, ...]:
    """The names of a path with slashes, none for the root; doubled slashes count once.

    Errors: NameRefused, TooDeep.
    """
    names = tuple(normal(name) for name in text.split("/") if name)
    if len(names) > MAX_DEPTH:
        raise TooDeep
    return names
