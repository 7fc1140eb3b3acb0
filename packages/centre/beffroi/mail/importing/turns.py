"""One import at a time into a mailbox: each knows what lay there when it began, and not what another one adds."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from beffroi.lib.config import Config
from beffroi.lib.locks import opened_lock


@contextmanager
def turn(config: Config, mailbox_id: str, *, wait: bool) -> Iterator[bool]:
    """Hold the mailbox's turn; False without ``wait`` where another process has it. A process that dies gives it up."""
    with opened_lock(config.run / f"import-{mailbox_id}.lock") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
