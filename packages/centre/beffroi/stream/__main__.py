"""``python -m beffroi.stream``: run the stream process until SIGTERM.

Process: stream. Granian serves inside this one process: nothing is left behind when it is killed, and the
         feed has exactly one publisher.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from beffroi.lib.config import Config, load
from beffroi.lib.errors import BeffroiError
from beffroi.stream.app import Stream

SOCKET_MODE = 0o660
MAX_CONNECTIONS = 8192
HEADER_BYTES = 32 * 1024
HEADER_TIMEOUT_MS = 10_000
STOP_S = 3.0
STOP_AT_MOST_S = 8.0


def serve_arguments(config: Config) -> dict[str, Any]:
    return {
        "uds": config.run / "stream.sock",
        "interface": Interfaces.ASGINL,
        "http": HTTPModes.http1,
        "websockets": False,
        "backlog": 4096,
        "backpressure": MAX_CONNECTIONS,
        "http1_settings": HTTP1Settings(
            header_read_timeout=HEADER_TIMEOUT_MS, keep_alive=True, max_buffer_size=HEADER_BYTES
        ),
        "log_level": LogLevels.warning,
    }


async def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT. Errors: Unavailable, SettingInvalid."""
    stream = Stream(config)
    await stream.start()
    path = config.run / "stream.sock"
    path.unlink(missing_ok=True)
    server = Server(stream.app, **serve_arguments(config))
    # haproxy runs under an account of its own, in the group of the socket.
    server.uds_permissions = SOCKET_MODE
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not add_signal_handler: it sends the signal through the loop's own pipe, which hundreds of writers
        # fill, and then the signal is lost.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))
    serving = asyncio.create_task(server.serve())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
    # Whatever hangs below, the process ends: what was acknowledged is committed.
    guard = threading.Timer(STOP_AT_MOST_S, os._exit, (0,))
    guard.daemon = True
    guard.start()
    await stream.stop()
    server.stop()  # type: ignore[no-untyped-call]
    try:
        async with asyncio.timeout(STOP_S):
            await serving
    except TimeoutError:
        # Everything of ours is closed and committed; a client that does not hang up must not keep us.
        logging.getLogger("beffroi.stream").warning("some connections did not end in time")
        path.unlink(missing_ok=True)
        logging.shutdown()
        os._exit(0)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        asyncio.run(run(load()))
    except BeffroiError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
