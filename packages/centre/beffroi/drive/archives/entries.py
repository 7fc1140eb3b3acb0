"""What the archive part reads: the files of a folder, one after another, whatever store they lie in.

Purpose: seal, export and verify without knowing the store. Pure: no database, no network.
Input:   paths are hostile text (any character but a separator in a name); content may change or end early while it is
         read, so size and SHA-256 are compared as it passes.
Fails:   closed: ContentChanged ends an export before its end, and what has no end is refused by every reader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from beffroi.lib.errors import Conflict, Invalid

PIECE_BYTES = 1 << 20


class ContentChanged(Conflict):
    """File number {} is no longer what the folder says of it, so nothing was finished."""

    code = "drive.content_changed"


class SamePath(Invalid):
    """File number {} has the name of one before it."""

    code = "drive.same_path"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. ``path``: from the sealed folder, names joined by ``/``; ``mtime_s``: UTC epoch seconds;
    ``sha256``: 64 hex digits, as the store knows it; ``open``: a new reader at the first byte, closed by who asked."""

    path: str
    size_bytes: int
    mtime_s: int
    sha256: str
    open: Callable[[], BinaryIO]


type Entries = Iterable[Entry]
"""Files only: a folder without files leaves no trace in a manifest or an export. In any order; read once."""


class Hash(Protocol):
    """As of ``hashlib``."""

    def update(self, data: bytes, /) -> None: ...


def content(entry: Entry, number: int, *more: Hash) -> Iterator[bytes]:
    """The file in pieces of at most ``PIECE_BYTES``, each added to ``more``. ``number``: for the error, which names
    nothing. Errors: ContentChanged, at the latest after the last piece; OSError of the store."""
    own, left = hashlib.sha256(), entry.size_bytes
    with entry.open() as file:
        while piece := file.read(PIECE_BYTES):
            left -= len(piece)
            if left < 0:
                raise ContentChanged(number)
            for one in (own, *more):
                one.update(piece)
            yield piece
    if left or own.hexdigest() != entry.sha256:
        raise ContentChanged(number)
