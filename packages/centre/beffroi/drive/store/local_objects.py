"""Sealed chunks in a local directory, written so that a power cut takes nothing that was acknowledged.

Process: every one that opens files.
Hostile: who may write in the directory, as ``objects`` says. A link, a pipe, a socket in an object's place is neither
         read nor listed.
Fails:   as ``objects`` says. A draft is whole before it has its name; what a killed writer leaves is swept.
Source:  docs/decisions/0067-what-the-drive-s-content-rests-on.md
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import secrets
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from beffroi.drive.store.model import StoreFull
from beffroi.drive.store.objects import Stored, bounded, checked, failures, is_ours
from beffroi.drive.store.sealing import Bytes
from beffroi.lib import clock, durable, spare

_DRAFTS = ".new"
DIRECT_BYTES = 1 << 20
"""From there on an object that the page cache does not hold is read past it: half of the processor's work."""
_LIBC = ctypes.CDLL(None)
_CACHESTAT, _RANGE, _FOUND = 451, struct.Struct("=QQ"), struct.Struct("=QQQQQ")
"""cachestat(2): one number on all machines; a range, and what of it is held, in pages, first."""


class LocalObjects:
    """A directory: temporary file, fsync, rename, fsync of the directories, shared by those who wait for one."""

    def __init__(self, root: Path) -> None:
        self._root, self._drafts = root, root / _DRAFTS
        self._settling = Settling()
        self._lasting: set[Path] = set()
        with failures():
            self._drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
            for made in (root, root.parent):
                durable.sync_directory(made)

    def put(self, name: str, data: Bytes) -> None:
        path = self._path(name)
        draft = self._drafts / secrets.token_hex(12)
        with failures():
            try:
                with open(draft, "xb", buffering=0, opener=_private) as file:
                    if spare.is_reached(os.fstatvfs(file.fileno()), len(data)):
                        raise StoreFull
                    _write_all(file.fileno(), data)
                    os.fsync(file.fileno())
                new = self._make(path.parent)
                draft.rename(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
            self._settling.settle(path.parent, *new)
            self._lasting.add(path.parent)

    def get(self, name: str, room: memoryview | None = None) -> Bytes:
        with failures(name), open(self._path(name), "rb", buffering=0, opener=_plain) as file:
            size_bytes = bounded(name, os.fstat(file.fileno()).st_size)
            if room is not None and DIRECT_BYTES <= size_bytes <= len(room):
                done = _read_into(room, file.fileno(), size_bytes)
                if done == size_bytes:
                    return room[:done]
                file.seek(0)
            return file.read()

    def get_range(self, name: str, start: int, end: int) -> Bytes:
        with failures(name), open(self._path(name), "rb", buffering=0, opener=_plain) as file:
            return os.pread(file.fileno(), end - start, start)

    def exists(self, name: str) -> bool:
        with failures():
            return self._path(name).exists()

    def delete(self, name: str) -> None:
        with failures():
            self._path(name).unlink(missing_ok=True)

    def list(self, collectivite_id: str) -> Iterator[Stored]:
        now = clock.epoch()
        with failures():
            for folder in _entries(self._root / collectivite_id):
                if not folder.is_dir(follow_symlinks=False):
                    continue
                for entry in _entries(Path(folder.path)):
                    name = f"{collectivite_id}/{folder.name}/{entry.name}"
                    try:
                        known = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:  # deleted since the folder was read
                        continue
                    if not is_ours(name) or not stat.S_ISREG(known.st_mode):
                        continue
                    yield Stored(name, known.st_size, max(0.0, now - known.st_mtime))

    def sweep(self, older_than_s: float) -> int:
        now, swept = clock.epoch(), 0
        with failures():
            for entry in _entries(self._drafts):
                try:
                    if now - entry.stat(follow_symlinks=False).st_mtime >= older_than_s:
                        Path(entry.path).unlink()
                        swept += 1
                except FileNotFoundError:  # its writer has finished
                    continue
        return swept

    def _path(self, name: str) -> Path:
        return self._root / checked(name)

    def _make(self, folder: Path) -> tuple[Path, ...]:
        """Make a folder; return those that must be synced so that it survives a power cut."""
        if folder in self._lasting and folder.is_dir():
            return ()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder.parent, folder.parent.parent


class Settling:
    """fsync of directories for many writers: who comes while one is under way shares the next with all who wait."""

    def __init__(self) -> None:
        self._asking, self._turn = threading.Lock(), threading.Lock()
        self._asked = self._settled = 0
        self._pending: set[Path] = set()

    def settle(self, *directories: Path) -> None:
        """What came into them before this call is on the disk when it returns. Errors: OSError."""
        with self._asking:
            self._asked += 1
            mine = self._asked
            self._pending.update(directories)
        with self._turn:
            if self._settled >= mine:
                return
            with self._asking:
                upto, pending = self._asked, self._pending
                self._pending = set()
            try:
                for one in pending:
                    durable.sync_directory(one)
            except OSError:
                with self._asking:  # the others must not be told that theirs are on the disk
                    self._pending |= pending
                raise
            self._settled = upto


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _plain(path: str, flags: int) -> int:
    """A file: no link is followed, and nothing is waited for. What is something else is not there."""
    try:
        found = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            raise FileNotFoundError(errno.ENOENT, "no file") from None
        raise
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise FileNotFoundError(errno.ENOENT, "no file")
    return found


def _read_into(room: memoryview, descriptor: int, size_bytes: int) -> int:
    """What came lately, or was read, is in memory; the rest goes past the page cache, where that can be done: not on
    every file system, nor into memory that does not begin with a block."""
    if _is_cached(descriptor, size_bytes):
        return os.readv(descriptor, (room,))
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        return os.readv(descriptor, (room,))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return 0
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def _is_cached(descriptor: int, size_bytes: int) -> bool:
    """The page cache holds all of the file; False where the kernel cannot say (before 6.5)."""
    found = ctypes.create_string_buffer(_FOUND.size)
    if _LIBC.syscall(_CACHESTAT, descriptor, _RANGE.pack(0, size_bytes), found, 0):
        return False
    return int(_FOUND.unpack(found.raw)[0]) * mmap.PAGESIZE >= size_bytes


def _write_all(descriptor: int, data: Bytes) -> None:
    done = 0
    with memoryview(data) as left:
        while done < len(left):
            done += os.write(descriptor, left[done:])


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from found
    except FileNotFoundError:
        return
