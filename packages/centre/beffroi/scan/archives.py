"""What an archive holds, one file at a time, within caps: zip, 7z, rar, cab, tar, iso, xar, lha, and compressed files.

Hostile: everything. libarchive is C: this runs in a child of ``scan`` alone, which has given up everything.
Fails:   Broken for what libarchive cannot read, TooMuch past a cap; neither says that an archive is harmless.
Source:  libarchive(3) of Debian, by the bindings libarchive-c; docs/decisions/0046-scanner-process.md.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# By its name, or the bindings ask a compiler where it is.
os.environ.setdefault("LIBARCHIVE", "libarchive.so.13")
from libarchive import ffi
from libarchive.entry import ArchiveEntry
from libarchive.exception import ArchiveError
from libarchive.read import ArchiveRead

MEMBER_BYTES = 32 * 1024 * 1024
"""So much of one file in an archive is looked at: what it is stands at its beginning."""
_PIECE_BYTES = 256 * 1024
# One reader for each kind, so that no file chooses the code that reads it: (formats, filters).
_READERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "zip": (("zip",), ()),
    "7z": (("7zip",), ()),
    "rar": (("rar", "rar5"), ()),
    "cab": (("cab",), ()),
    "tar": (("tar",), ()),
    "iso": (("iso9660",), ()),
    "xar": (("xar",), ()),
    "lha": (("lha",), ()),
    "gz": (("tar", "raw"), ("gzip",)),
    "bz2": (("tar", "raw"), ("bzip2",)),
    "xz": (("tar", "raw"), ("xz",)),
    "lz": (("tar", "raw"), ("lzip",)),
    "zst": (("tar", "raw"), ("zstd",)),
}
_is_encrypted = ffi.libarchive.archive_entry_is_encrypted
_is_encrypted.argtypes, _is_encrypted.restype = [ctypes.c_void_p], ctypes.c_int
_has_encrypted = ffi.libarchive.archive_read_has_encrypted_entries
_has_encrypted.argtypes, _has_encrypted.restype = [ctypes.c_void_p], ctypes.c_int


class Broken(Exception):
    """libarchive cannot read it, or not to its end."""


class TooMuch(Exception):
    """Past a cap: bytes, files, depth or ratio."""


@dataclass
class Budget:
    """What one examination may take out of all archives together. ``ratio``: bytes out of one archive for each in it,
    counted beyond ``free_bytes``."""

    bytes_left: int = 256 * 1024 * 1024
    files_left: int = 2000
    depth: int = 4
    ratio: int = 200
    free_bytes: int = 16 * 1024 * 1024

    def take(self, count: int) -> None:
        """Errors: TooMuch."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise TooMuch("bytes")

    def take_file(self) -> None:
        """Errors: TooMuch."""
        self.files_left -= 1
        if self.files_left < 0:
            raise TooMuch("files")


@dataclass(frozen=True)
class Member:
    """``data``: its first MEMBER_BYTES; empty where it is ``encrypted``."""

    name: str
    data: bytes = b""
    encrypted: bool = False


def names(data: bytes, kind: str) -> set[str]:
    """Names of all files of an archive. Errors: Broken."""
    with _opened(data, kind) as archive:
        return {_name(entry) for entry in archive}


def members(data: bytes, kind: str, budget: Budget) -> Iterator[Member]:
    """Each file of the archive. Errors: Broken, TooMuch."""
    taken, most = 0, budget.free_bytes + budget.ratio * len(data)
    with _opened(data, kind) as archive:
        for entry in archive:
            budget.take_file()
            if not entry.isreg and entry.filetype:
                continue
            name = _name(entry)
            if _is_encrypted(entry._entry_p):
                yield Member(name, encrypted=True)
                continue
            content = _read(entry, budget)
            taken += len(content)
            if taken > most:
                raise TooMuch("ratio")
            yield Member(name, content)


def _name(entry: ArchiveEntry) -> str:
    """Old programs write names without UTF-8: extensions are ASCII, and that is what matters."""
    name = entry.pathname or ""
    return name.decode("cp437") if isinstance(name, bytes) else str(name)


def _read(entry: ArchiveEntry, budget: Budget) -> bytes:
    pieces, length = [], 0
    for piece in entry.get_blocks(_PIECE_BYTES):
        budget.take(len(piece))
        pieces.append(piece)
        length += len(piece)
        if length >= MEMBER_BYTES:
            break
    return b"".join(pieces)


@contextmanager
def _opened(data: bytes, kind: str) -> Iterator[Any]:
    formats, filters = _READERS[kind]
    archive, recognised = ffi.read_new(), False
    try:
        for name in filters:
            ffi.get_read_filter_function(name)(archive)
        for name in formats:
            ffi.get_read_format_function(name)(archive)
        ffi.read_open_memory(archive, ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data))
        recognised = True
        yield ArchiveRead(archive)
    except ArchiveError as error:
        # Asked before a format is recognised, libarchive follows a null pointer.
        if recognised and _has_encrypted(archive) == 1:
            raise Encrypted from None
        raise Broken(type(error).__name__) from None
    finally:
        ffi.read_free(archive)


class Encrypted(Broken):
    """Even its list of files needs a password."""
