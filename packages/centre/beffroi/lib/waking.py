"""A process that looks for work each so often, and at once when a datagram comes.

Process: fetch, reports.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from beffroi.lib.ready import readable


def look(path: Path, step: Callable[[], float]) -> None:
    """Call ``step`` until SIGTERM or SIGINT. It returns for how many seconds to wait, which a datagram to the socket
    ``path`` ends; the datagram says nothing."""
    stopping: list[int] = []
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waker:
        waker.bind(str(path))
        waker.setblocking(False)

        def stop(*_: object) -> None:
            stopping.append(1)
            with contextlib.suppress(BlockingIOError):
                waker.sendto(b"", str(path))  # after a signal poll(2) goes on waiting

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        while not stopping:
            readable(waker, step())
            with contextlib.suppress(BlockingIOError):
                while True:
                    waker.recv(64)
