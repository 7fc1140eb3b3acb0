"""Wait for one file: a socket that has something to read, a pipe that ended, a process that did.

poll(2), not select(2): a process that keeps a database open for each collectivité has descriptors above 1,023.
"""

from __future__ import annotations

import math
import select
from typing import Protocol


class HasDescriptor(Protocol):
    def fileno(self) -> int: ...


def readable(file: int | HasDescriptor, timeout_s: float | None) -> bool:
    """Whether reading would not block, waiting for it at most ``timeout_s`` (None: as long as it takes). An end or an
    error of the file counts as readable: who reads is told of it."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else math.ceil(max(0.0, timeout_s) * 1000)))
