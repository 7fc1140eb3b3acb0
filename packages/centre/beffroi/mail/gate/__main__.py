"""``python -m beffroi.mail.gate``: run mailgate until SIGTERM.

Process: mailgate. Granian serves inside this one process: nothing is left behind when it is killed.
Fails:   a stop always ends: what was acknowledged is in the spool, so after STOP_AT_MOST_S it simply leaves.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from beffroi.lib.config import Config, load
from beffroi.lib.errors import BeffroiError
from beffroi.lib.serving import leave, until_stopped
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
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backpressure=BACKPRESSURE,
        log_level=LogLevels.warning,
    )
    serving = asyncio.create_task(server.serve())
    told = await until_stopped(serving, stop_at_most_s=STOP_AT_MOST_S)
    if not serving.done():
        server.stop()  # type: ignore[no-untyped-call]
    await serving
    return 0 if told else 1


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        return asyncio.run(run(load()))
    except BeffroiError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 1


if __name__ == "__main__":
    leave(main())
