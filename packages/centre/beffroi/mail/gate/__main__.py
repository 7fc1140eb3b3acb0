"""``python -m beffroi.mail.gate``: run mailgate until SIGTERM.

Process: mailgate. Granian serves inside this one process: nothing is left behind when it is killed.
Fails:   a stop always ends: what was acknowledged is in the spool, so after STOP_AT_MOST_S it simply leaves.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from beffroi.lib.config import Config, load
from beffroi.lib.errors import BeffroiError
from beffroi.mail.gate.app import app

ADDRESS = "127.0.0.1"
BACKPRESSURE = 1024
STOP_AT_MOST_S = 6.0


async def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code, 1 when the server ended by itself."""
    server = Server(
        app,
        address=ADDRESS,
        port=config.mailgate_port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backpressure=BACKPRESSURE,
        log_level=LogLevels.warning,
    )
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not add_signal_handler: it sends the signal through the loop's own pipe, which hundreds of requests at
        # once fill, and then the signal is lost.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))
    serving = asyncio.create_task(server.serve())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
    guard = threading.Timer(STOP_AT_MOST_S, os._exit, (0,))
    guard.daemon = True
    guard.start()
    if not serving.done():
        server.stop()  # type: ignore[no-untyped-call]
    await serving
    return 0 if stopping.is_set() else 1


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        return asyncio.run(run(load()))
    except BeffroiError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
