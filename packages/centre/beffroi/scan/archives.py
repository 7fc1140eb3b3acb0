"""What an archive holds, one file at a time, within caps: zip, 7z, rar, cab, tar, iso, xar, lha, and compressed files.

Hostile: everything. libarchive is C: this runs in a child of ``scan`` alone, which has given up everything.
Fails:   Broken for what libarchive cannot read, TooMuch past a cap; neither says that an archive is harmless.
Source:  libarchive(3) of Debian, by the bindings libarchive-c; docs/decisions/0046-scanner-process.md.
"""

from __future__ import annotations

import ctypes
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

# By its name, or the bindings ask a compiler where it is.
os.environ.setdefault("LIBARCHIVE", "libarchive.so.13")
from libarchive import ffi
from libarchive.entry import ArchiveEntry
from libarchive.exception import ArchiveError
from libarchive.read import ArchiveRead

from beffroi.scan import bodies
from beffroi.scan.bodies import Body

MEMBER_BYTES = bodies.WINDOW_BYTES
"""So much of one file in an archive is looked at as a file: what it is stands at its beginning. What follows meets the
rules, window by window."""
NAMES_READ = 20_000
_PIECE_BYTES = 256 * 1024
_BUDGET_EACH_BYTES = 64 * 1024 * 1024
LOCKED = 1
"""Of the flags in a zip's list."""
UNLISTED = "zip from its beginning"
"""A zip, read without its list of files."""
# One reader for each kind, so that no file chooses the code that reads it: (formats, filters).
_READERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "zip": (("zip",), ()),
    UNLISTED: (("zip_streamable",), ()),
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
    "lz4": (("tar", "raw"), ("lz4",)),
    "z": (("tar", "raw"), ("compress",)),
}
_is_encrypted = ffi.libarchive.archive_entry_is_encrypted
_is_encrypted.argtypes, _is_encrypted.restype = [ctypes.c_void_p], ctypes.c_int
_has_encrypted = ffi.libarchive.archive_read_has_encrypted_entries
_has_encrypted.argtypes, _has_encrypted.restype = [ctypes.c_void_p], ctypes.c_int
_set_option = ffi.libarchive.archive_read_set_format_option
_set_option.argtypes, _set_option.restype = [ctypes.c_void_p, *[ctypes.c_char_p] * 3], ctypes.c_int


class Broken(Exception):
    """libarchive cannot read it, or not to its end."""


class TooMuch(Exception):
    """Past a cap: bytes, files, depth or ratio."""


class OutOfTime(BaseException):
    """The processor's share is used up (``worker``); no error, or the readers of hostile bytes would catch it."""


@dataclass
class Budget:
    """What one examination may take out of all archives together. ``ratio``: bytes out of one archive for each in it,
    counted beyond ``free_bytes``. ``beyond_left``: bytes past MEMBER_BYTES of files in archives; where they are used
    up, the rest of such a file is left out, and ``is_spent``."""

    bytes_left: int = 256 * 1024 * 1024
    files_left: int = 2000
    depth: int = 4
    ratio: int = 200
    free_bytes: int = 16 * 1024 * 1024
    beyond_left: int = 256 * 1024 * 1024
    is_spent: bool = False

    @classmethod
    def of(cls, size_bytes: int) -> Budget:
        """A longer file holds more."""
        times, one = max(1, size_bytes // _BUDGET_EACH_BYTES), cls()
        return cls(
            bytes_left=times * one.bytes_left,
            files_left=times * one.files_left,
            beyond_left=times * one.beyond_left,
        )

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


def names(body: Body, kind: str) -> set[str]:
    """Names of all files of an archive, NAMES_READ at most. Errors: Broken."""
    with _opened(body, kind) as archive:
        return {_name(entry) for entry in islice(archive, NAMES_READ)}


def listed(body: Body) -> Iterator[zipfile.ZipInfo]:
    """A zip's list, which most programs show; ``members`` has the names that stand before each file. Errors: those of
    zipfile."""
    with zipfile.ZipFile(bodies.stream(body)) as archive:
        yield from archive.infolist()


def members(
    body: Body, kind: str, budget: Budget, beyond: Callable[[bytes], object] = lambda window: None
) -> Iterator[Member]:
    """Each file of the archive. ``beyond``: takes each window of what follows MEMBER_BYTES of a file, before the file
    itself is told. Errors: Broken, TooMuch."""
    taking = Taking(budget, budget.free_bytes + budget.ratio * bodies.length(body), beyond)
    with _opened(body, kind) as archive:
        for entry in archive:
            budget.take_file()
            if not entry.isreg and entry.filetype:
                continue
            name = _name(entry)
            if _is_encrypted(entry._entry_p):
                yield Member(name, encrypted=True)
                continue
            yield Member(name, taking.read(entry.get_blocks(_PIECE_BYTES)))


def _name(entry: ArchiveEntry) -> str:
    """Old programs write names without UTF-8: extensions are ASCII, and that is what matters."""
    name = entry.pathname or ""
    return name.decode("cp437") if isinstance(name, bytes) else str(name)


@dataclass
class Taking:
    """Files out of one archive, or one disk image. ``most_left``: bytes that its length allows."""

    budget: Budget
    most_left: int
    beyond: Callable[[bytes], object]

    def read(self, pieces: Iterable[bytes]) -> bytes:
        """The first MEMBER_BYTES. Errors: TooMuch, ArchiveError."""
        first: bytes | None = None
        before, data = b"", bytearray()
        for piece in pieces:
            self.most_left -= len(piece)
            if self.most_left < 0:
                raise TooMuch("ratio")
            if first is None:
                self.budget.take(len(piece))
            elif len(piece) > self.budget.beyond_left:
                self.budget.is_spent = True
                break
            else:
                self.budget.beyond_left -= len(piece)
            data += piece
            if len(data) >= MEMBER_BYTES:
                before = bytes(data)
                if first is None:
                    first = before
                else:
                    self.beyond(before)
                del data[: -bodies.OVERLAP_BYTES]
        if first is None:
            return bytes(data)
        if len(data) > bodies.OVERLAP_BYTES:
            self.beyond((before + data[bodies.OVERLAP_BYTES :])[-MEMBER_BYTES:])
        return first


@contextmanager
def _opened(body: Body, kind: str) -> Iterator[Any]:
    formats, filters = _READERS[kind]
    archive, recognised = ffi.read_new(), False
    kept: object = None
    try:
        for name in filters:
            ffi.get_read_filter_function(name)(archive)
        for name in formats:
            ffi.get_read_format_function(name)(archive)
        if "tar" in formats:
            # What follows its end: some programs go on there.
            _set_option(archive, b"tar", b"read_concatenated_archives", b"1")
        kept = _open(archive, body)
        recognised = True
        yield ArchiveRead(archive)
    except ArchiveError as error:
        # Asked before a format is recognised, libarchive follows a null pointer.
        if recognised and _has_encrypted(archive) == 1:
            raise Encrypted from None
        raise Broken(type(error).__name__) from None
    finally:
        ffi.read_free(archive)
        del kept


def _open(archive: int, body: Body) -> object:
    """Returns what has to live as long as the archive. Errors: ArchiveError."""
    if isinstance(body, bytes):
        ffi.read_open_memory(archive, ctypes.cast(ctypes.c_char_p(body), ctypes.c_void_p), len(body))
        return body
    buffer = ctypes.create_string_buffer(_PIECE_BYTES)
    body.seek(0)

    def read(_archive: int, _data: int, place: int) -> int:
        count = body.readinto(buffer)
        ctypes.cast(place, ctypes.POINTER(ctypes.c_void_p))[0] = ctypes.cast(buffer, ctypes.c_void_p)
        return count

    def seek(_archive: int, _data: int, offset: int, whence: int) -> int:
        return body.seek(offset, whence)

    reading, seeking = ffi.READ_CALLBACK(read), ffi.SEEK_CALLBACK(seek)
    ffi.read_set_seek_callback(archive, seeking)
    ffi.read_open(archive, None, ffi.NO_OPEN_CB, reading, ffi.NO_CLOSE_CB)
    return buffer, reading, seeking


class Encrypted(Broken):
    """Even its list of files needs a password."""
