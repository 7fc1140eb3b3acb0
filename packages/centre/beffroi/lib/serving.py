"""How a process that serves by asyncio ends: told by a signal, or because its server did.

Process: stream, mailgate, drive.
Fails:   a stop always ends: what was acknowledged is on disk, so after ``stop_at_most_s`` the process simply leaves.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn


async def until_stopped(serving: asyncio.Task[None], *, stop_at_most_s: float) -> bool:
    """Wait for SIGTERM, SIGINT or the end of ``serving``; return whether a signal came. To be called once."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not add_signal_handler: it sends the signal through the loop's own pipe, which hundreds of requests at
        # once fill, and then the signal is lost.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
    guard = threading.Timer(stop_at_most_s, os._exit, (0,))
    guard.daemon = True
    guard.start()
    return stopping.is_set()


async def ended(serving: asyncio.Task[None], path: Path, *, was_told: bool, at_most_s: float) -> int:
    """Wait for a server that was stopped, and whose process has closed and committed everything; return the exit code,
    1 where it ended by itself. ``path``: its socket. A client that does not hang up keeps nobody: then the process
    leaves at once."""
    try:
        async with asyncio.timeout(at_most_s):
            await serving
    except TimeoutError:
        logging.getLogger("beffroi.serving").warning("some connections did not end in time")
        path.unlink(missing_ok=True)
        logging.shutdown()
        os._exit(0 if was_told else 1)
    return 0 if was_told else 1


def leave(code: int) -> NoReturn:
    """End the process at once, after ``run`` has closed and committed everything.

    The server's native threads outlive it; when one of them touches an interpreter that is being taken down, the
    process aborts (seen once in twelve stops), and the supervisor would take a clean stop for a crash.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
