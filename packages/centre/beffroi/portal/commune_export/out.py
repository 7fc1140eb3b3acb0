"""One file of an export on its way to the disk, and where it may lie there.

Hostile: names; ``archives.names`` makes them what every system can write.
Fails:   OSError, of a disk that is full also before it is.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from typing import IO, Any

from beffroi.drive.archives.names import PATH_BYTES, component, extension

LONG = "_chemins-longs"
"""Where goes what would have a path longer than ``PATH_BYTES``."""
KEPT_FREE_BYTES = 512 * 1024 * 1024
"""Where the folder lies on the disk of the centre, mail has this room left."""


class Out(io.RawIOBase):
    """What is written, on its way: counted, summed, and refused in good time."""

    def __init__(self, raw: IO[bytes], spares: bool, wrote: Callable[[int], object]) -> None:
        super().__init__()
        self._raw, self._spares, self._wrote = raw, spares, wrote
        self.size_bytes, self.digest = 0, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        if self._spares:
            room = os.fstatvfs(self._raw.fileno())
            if room.f_bavail * room.f_frsize < KEPT_FREE_BYTES + len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.digest.update(data)
        self.size_bytes += len(data)
        left = memoryview(data).cast("B")
        while left:  # what a full disk has room for is written, and only the next write says so
            left = left[self._raw.write(left) :]
        self._wrote(len(data))
        return len(data)


def paths(folder: str, name: str, key: str) -> Iterator[str]:
    """Where it may lie, the best first."""
    safe, end = component(name), extension(name)
    above = f"{folder}/" if folder else ""
    stem = safe.removesuffix(safe[len(safe) - len(end) :]) if end else safe
    number = 1
    while True:
        one = above + (safe if number == 1 else component(f"{stem[:200]}~{number}{end}"))
        if len(one.encode()) > PATH_BYTES:
            one = f"{LONG}/{hashlib.sha256(f'{key} {number}'.encode()).hexdigest()}{end}"
        yield one
        number += 1
