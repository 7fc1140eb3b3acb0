"""Waiting for what other processes bring about."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable

from tests import warm

PATIENCE_S = 240.0
"""So long whatever waits for another process or thread does so, a child's end, an engine's answer: the limit is for a
broken run and measures nothing, since each gets little of a slow machine with twenty busy processes."""
_PAUSE_S, _LONGEST_S = 0.03, 1.0


def until(check: Callable[[], object], what: str, limit_s: float = PATIENCE_S) -> None:
    """Wait until ``check`` is true."""
    began = time.monotonic()
    while not check():
        waited_s = time.monotonic() - began
        assert waited_s < limit_s, f"waited {limit_s:g} s: {what}"
        time.sleep(pause_s(waited_s))


def pause_s(waited_s: float) -> float:
    """Until the next look, after so long: an eighth of it. Where all processors are busy a look takes them from what is
    waited for, and many looks sign in to an engine or ask a database."""
    return min(_LONGEST_S, max(_PAUSE_S, waited_s / 8))


def until_it_listens(port: int, process: subprocess.Popen[bytes] | warm.Begun) -> None:
    """Wait until something takes connections on that port of loopback.

    Errors: ``AssertionError`` when the process ends before.
    """
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            # Without it the one that waits takes a whole processor from the one that starts.
            time.sleep(_PAUSE_S)
    raise AssertionError(f"{process.args!r} ended with status {process.returncode}")
