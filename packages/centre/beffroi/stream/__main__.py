"""``python -m beffroi.stream [--relay NUMBER]``: run the stream process, or one of its relays, until SIGTERM.

Process: stream, relay-NUMBER. Granian serves inside this one process: nothing is left behind when it is killed, and the
         feed has exactly one publisher.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from beffroi.lib import programs
from beffroi.lib.config import Config
from beffroi.lib.serving import ended, leave, until_stopped
from beffroi.stream.app import Stream

SOCKET_MODE = 0o660
LOCAL_CONNECTIONS = 4096
"""Of doors in the datacenter, besides those that come through the front door."""
HEADER_BYTES = 32 * 1024
HEADER_TIMEOUT_MS = 10_000
YOUNG, MIDDLE, OLD = 50_000, 20, 20
"""Limits of the collector of cycles (``gc.set_threshold``). Each held connection is some dozen objects that live for
days, and none is in a cycle when it ends: looking through them all for garbage took an eighth of the time of a
decision."""
STOP_S = 3.0
STOP_AT_MOST_S = 8.0


def serve_arguments(config: Config, name: str) -> dict[str, Any]:
    return {
        "uds": config.run / f"{name}.sock",
        "interface": Interfaces.ASGINL,
        "http": HTTPModes.http1,
        "websockets": False,
        "backlog": 4096,
        "backpressure": config.connections + LOCAL_CONNECTIONS,
        "http1_settings": HTTP1Settings(
            header_read_timeout=HEADER_TIMEOUT_MS, keep_alive=True, max_buffer_size=HEADER_BYTES
        ),
        "log_level": LogLevels.warning,
    }


async def run(config: Config, relay: str = "") -> int:
    """Serve until SIGTERM or SIGINT; return the exit code, 1 when the server ended by itself.

    Errors: Unavailable, SettingInvalid.
    """
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    stream = Stream(config, relay)
    await stream.start()
    path = config.run / f"{stream.name}.sock"
    path.unlink(missing_ok=True)
    server = Server(stream.app, **serve_arguments(config, stream.name))
    # haproxy runs under an account of its own, in the group of the socket.
    server.uds_permissions = SOCKET_MODE
    serving = asyncio.create_task(server.serve())
    told = await until_stopped(serving, stop_at_most_s=STOP_AT_MOST_S)
    await stream.stop()
    server.stop()  # type: ignore[no-untyped-call]
    return await ended(serving, path, was_told=told, at_most_s=STOP_S)


def main() -> int:
    parser = argparse.ArgumentParser(prog="beffroi.stream")
    parser.add_argument("--relay", type=int, default=0, help="number of this relay, from 1; 0: the publisher")
    number = parser.parse_args().relay
    name = f"relay-{number}" if number else ""
    return programs.run(lambda config: asyncio.run(run(config, name)))


if __name__ == "__main__":
    leave(main())
