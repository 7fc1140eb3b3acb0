"""Files that are there to be locked.

Process: any. Whoever may open a file may lock it, also for reading: so nobody else may open these.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_lock(path: Path) -> int:
    """A descriptor for flock(2), 0600, also where the file is there already. Errors: OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


@contextmanager
def opened_lock(path: Path) -> Iterator[int]:
    """``open_lock``, closed at the end, which lets go of what was locked. Errors: OSError."""
    descriptor = open_lock(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
