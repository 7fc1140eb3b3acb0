"""Disks in memory: what a machine wrote, and what of it a power cut leaves.

Purpose: the code under test opens, writes, syncs and renames as ever; no file of this machine is touched, a run
         costs a tenth, and a power cut takes what was not synced.
Rules:   content survives from ``fsync`` of its file on; a name (made, renamed, removed) from ``fsync`` of its
         directory on. What was not synced may have reached the disk all the same: ``power_cut`` draws that. The power
         may also fail in the middle of a write: see ``fails_after``.
Seams:   ``DiskPath`` is given where a ``Path`` is expected; ``DiskOs`` and ``DiskMmap`` stand for the modules.
"""

from __future__ import annotations

import errno
import io
import itertools
import os
import random
from collections.abc import Iterator
from fnmatch import fnmatchcase
from stat import S_IFDIR
from types import SimpleNamespace
from typing import Any, Self


class PowerCut(BaseException):
    """The machine of ``disk`` has no power any more."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk


class _Content:
    """``synced``: what a power cut leaves for sure."""

    __slots__ = ("data", "synced")

    def __init__(self) -> None:
        self.data = self.synced = b""


class Disk:
    """``fails_after``: the power goes at that many changes from now; 0: it does not."""

    def __init__(self) -> None:
        self.full = False
        self.fails_after = 0
        self.files: dict[str, _Content] = {}
        self.directories: set[str] = {"", "/state"}
        self._synced: dict[str, _Content] = {}
        self._unsynced: dict[str, set[str]] = {}  # names that changed, by directory

    def changes(self) -> None:
        if self.fails_after:
            self.fails_after -= 1
            if not self.fails_after:
                raise PowerCut(self)

    def needs_room(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _changed(self, name: str) -> None:
        directory = name[: name.rindex("/")]
        known = self._unsynced.get(directory)
        if known is None:
            known = self._unsynced[directory] = set()
        known.add(name)

    def put(self, name: str, content: _Content) -> None:
        self.files[name] = content
        self._changed(name)

    def take(self, name: str) -> _Content:
        """Errors: FileNotFoundError."""
        try:
            content = self.files.pop(name)
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name) from None
        self._changed(name)
        return content

    def sync_directory(self, directory: str) -> None:
        for name in self._unsynced.pop(directory, ()):
            if name in self.files:
                self._synced[name] = self.files[name]
            else:
                self._synced.pop(name, None)

    def power_cut(self, rng: random.Random) -> None:
        self.fails_after = 0
        if rng.random() < 0.5:  # the names were not written yet
            for name in set().union(*self._unsynced.values()):
                self.files.pop(name, None)
                if name in self._synced:
                    self.files[name] = self._synced[name]
        for content in self.files.values():
            if content.data != content.synced:
                content.data = rng.choice(
                    (content.synced, content.data[: rng.randrange(len(content.data) + 1)])
                )
        self._everything_synced()

    def _everything_synced(self) -> None:
        for content in self.files.values():
            content.synced = content.data
        self._synced = dict(self.files)
        self._unsynced.clear()

    def damage(self, name: str, data: bytes) -> None:
        """What lies there is something else from now on."""
        content = self.files[name]
        content.data = content.synced = data

    def copy(self) -> dict[str, bytes]:
        return {name: content.data for name, content in self.files.items()}

    def restore(self, files: dict[str, bytes]) -> None:
        self.files.clear()
        for name, data in files.items():
            self.files[name] = content = _Content()
            content.data = data
        self._everything_synced()


class DiskPath:
    """What the code under test asks of ``Path``."""

    __slots__ = ("_text", "disk")

    def __init__(self, disk: Disk, text: str = "/state") -> None:
        self.disk = disk
        self._text = text

    def __truediv__(self, name: str) -> DiskPath:
        if not name:
            return self
        return DiskPath(self.disk, f"{self._text}/{name}")

    def __str__(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DiskPath) and other._text == self._text and other.disk is self.disk

    def __hash__(self) -> int:
        return hash(self._text)

    def __lt__(self, other: DiskPath) -> bool:
        return self._text < other._text

    @property
    def name(self) -> str:
        return self._text.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        _, point, end = self.name.rpartition(".")
        return point + end if point else ""

    @property
    def stem(self) -> str:
        return self.name.removesuffix(self.suffix)

    @property
    def parent(self) -> DiskPath:
        return DiskPath(self.disk, self._text.rpartition("/")[0])

    def with_name(self, name: str) -> DiskPath:
        return DiskPath(self.disk, f"{self._text.rpartition('/')[0]}/{name}")

    def exists(self) -> bool:
        return self._text in self.disk.files or self._text in self.disk.directories

    def mkdir(self, mode: int = 0o777, *, parents: bool = False, exist_ok: bool = False) -> None:
        if self._text in self.disk.directories:
            if not exist_ok:
                raise FileExistsError(self._text)
            return
        if parents:
            self.parent.mkdir(parents=True, exist_ok=True)
        self.disk.directories.add(self._text)

    def chmod(self, _: int) -> None:
        """Nobody else is here."""

    def iterdir(self) -> Iterator[DiskPath]:
        names = [n for n in self.disk.files if n.rpartition("/")[0] == self._text]
        return iter([DiskPath(self.disk, n) for n in sorted(names)])

    def glob(self, pattern: str) -> Iterator[DiskPath]:
        return (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def stat(self) -> SimpleNamespace:
        if self._text in self.disk.directories:
            return SimpleNamespace(st_mode=S_IFDIR | 0o711)
        return SimpleNamespace(st_size=len(self._content().data), st_mtime=0.0)

    def _content(self) -> _Content:
        try:
            return self.disk.files[self._text]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", self._text) from None

    def read_bytes(self) -> bytes:
        return self._content().data

    def write_bytes(self, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data)

    def open(self, mode: str) -> Any:
        if mode == "rb":
            return _Reader(self._content().data)
        if mode == "xb" and self.exists():
            raise FileExistsError(self._text)
        return _Writer(self.disk, self._text, keep=mode == "ab")

    def replace(self, target: DiskPath) -> None:
        self.disk.changes()
        self.disk.put(str(target), self.disk.take(self._text))

    def unlink(self, *, missing_ok: bool = False) -> None:
        if missing_ok and self._text not in self.disk.files:
            return
        self.disk.changes()
        self.disk.take(self._text)


_OPEN: dict[int, Any] = {}
"""What a descriptor of ``DiskOs`` stands for."""
_NUMBERS = itertools.count(1 << 20)


def _descriptor(what: object) -> int:
    number = next(_NUMBERS)
    _OPEN[number] = what
    return number


class _Reader(io.BytesIO):
    """``fileno`` is asked for a memory map only."""

    def fileno(self) -> int:
        return _descriptor(self.getvalue())


class _Writer:
    def __init__(self, disk: Disk, name: str, *, keep: bool = False) -> None:
        self._disk = disk
        disk.changes()
        content = disk.files.get(name)
        if content is None:
            content = _Content()
            disk.put(name, content)
        elif not keep:
            content.data = b""
        self._content = content
        self._number = 0

    def write(self, data: bytes | memoryview) -> int:
        self._disk.needs_room()
        self._disk.changes()
        self._content.data += data
        return len(data)

    def writelines(self, pieces: Any) -> None:
        for piece in pieces:
            self.write(piece)

    def flush(self) -> None:
        """There is no buffer."""

    def fileno(self) -> int:
        self._number = self._number or _descriptor(self)
        return self._number

    def sync(self) -> None:
        self._disk.changes()
        self._content.synced = self._content.data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _OPEN.pop(self._number, None)


class _Directory:
    def __init__(self, path: DiskPath) -> None:
        self._path = path

    def __truediv__(self, name: str) -> DiskPath:
        return self._path / name

    def sync(self) -> None:
        self._path.disk.changes()
        self._path.disk.sync_directory(str(self._path))


def _in(directory: int, name: DiskPath | str) -> DiskPath:
    if isinstance(name, DiskPath):
        return name
    found: DiskPath = _OPEN[directory] / name
    return found


class DiskOs:
    """Stands for the module ``os`` where the code under test writes files."""

    O_WRONLY, O_RDONLY, O_CREAT, O_EXCL = os.O_WRONLY, os.O_RDONLY, os.O_CREAT, os.O_EXCL
    O_TRUNC, O_DIRECTORY, O_NOFOLLOW = os.O_TRUNC, os.O_DIRECTORY, os.O_NOFOLLOW

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: DiskPath | str, flags: int, _: int = 0, *, dir_fd: int = 0) -> int:
        path = _in(dir_fd, path)
        if flags & os.O_EXCL and path.exists():
            raise FileExistsError(str(path))
        if flags & os.O_DIRECTORY:
            return _descriptor(_Directory(path))
        return _Writer(path.disk, str(path)).fileno()

    def unlink(self, name: str, *, dir_fd: int) -> None:
        _in(dir_fd, name).unlink()

    def replace(self, name: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        _in(src_dir_fd, name).replace(_in(dst_dir_fd, target))

    def write(self, number: int, data: bytes | memoryview) -> int:
        return int(_OPEN[number].write(data))

    def fsync(self, number: int) -> None:
        _OPEN[number].sync()

    def fdopen(self, number: int, _: str) -> Any:
        return _OPEN[number]

    def fchmod(self, number: int, mode: int) -> None:
        """Nobody else is here."""

    def close(self, number: int) -> None:
        _OPEN.pop(number, None)


class DiskMmap:
    """Stands for the module ``mmap``: content is never changed in place, so it is its own map."""

    ACCESS_READ = 0

    def mmap(self, number: int, _: int, *, access: int) -> bytes:
        data: bytes = _OPEN.pop(number)
        return data
