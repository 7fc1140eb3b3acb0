"""``python -m beffroi.drive``: run the drive's HTTP process until SIGTERM.

Process: drive. Granian serves inside this one process: the grouped commits of a collectivité have one writer.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from beffroi.core.planes import outbox
from beffroi.core.planes.db import connect
from beffroi.drive.credentials import Credentials
from beffroi.drive.door import FileDoor
from beffroi.drive.office import serving
from beffroi.drive.office.members import Members
from beffroi.drive.sentry import Sentry, tell_alarm
from beffroi.drive.sign_ins import SignIns
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.stock import stocks
from beffroi.drive.upkeep import Upkeep
from beffroi.drive.web.app import Drive
from beffroi.drive.web.bodies import SealedStore
from beffroi.drive.web.linked import Access
from beffroi.drive.web.portal import Portal
from beffroi.lib.config import Config, load
from beffroi.lib.errors import BeffroiError
from beffroi.lib.serving import leave, until_stopped

SOCKET_MODE = 0o660
HEADER_BYTES = 32 * 1024
HEADER_TIMEOUT_MS = 10_000
COMMIT_THREADS = 4
WORKERS = 4
SIGN_IN_THREADS = 2
"""Of their own: nobody's long listings keep others from signing in."""
YOUNG = 50_000
"""Of the collector of cycles (``gc.set_threshold``): a listing makes many objects, and none of them is in a cycle."""
STOP_S = 3.0
STOP_AT_MOST_S = 8.0


def serve_arguments(socket: Path, connections: int) -> dict[str, Any]:
    return {
        "uds": socket,
        "interface": Interfaces.ASGINL,
        "http": HTTPModes.http1,
        "websockets": True,
        "backlog": 1024,
        "backpressure": connections,
        "http1_settings": HTTP1Settings(
            header_read_timeout=HEADER_TIMEOUT_MS, keep_alive=True, max_buffer_size=HEADER_BYTES
        ),
        "log_level": LogLevels.warning,
    }


async def serve(drive: Drive, socket: Path, connections: int) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code, 1 when the server ended by itself."""
    socket.unlink(missing_ok=True)
    server = Server(drive, **serve_arguments(socket, connections))
    # haproxy runs under an account of its own, in the group of the socket.
    server.uds_permissions = SOCKET_MODE
    drive.sync.start(socket.parent)
    serving = asyncio.create_task(server.serve())
    told = await until_stopped(serving, stop_at_most_s=STOP_AT_MOST_S)
    server.stop()  # type: ignore[no-untyped-call]
    await drive.sync.stop()
    try:
        async with asyncio.timeout(STOP_S):
            await serving
    except TimeoutError:
        # What was acknowledged is committed; an upload that does not end must not keep us.
        logging.getLogger("beffroi.drive").warning("some connections did not end in time")
        socket.unlink(missing_ok=True)
        logging.shutdown()
        os._exit(0 if told else 1)
    return 0 if told else 1


async def run(config: Config) -> int:
    """Errors: SettingInvalid, StoreUnavailable."""
    gc.set_threshold(YOUNG, 20, 20)
    with (
        ThreadPoolExecutor(COMMIT_THREADS, "commits") as commits,
        ThreadPoolExecutor(WORKERS, "bodies") as workers,
        ThreadPoolExecutor(SIGN_IN_THREADS, "passwords") as passwords,
    ):
        communes = Communes(config.state / "drive", commits, config.drive_database)
        upkeep = Upkeep(config, communes)
        door = FileDoor(config, communes, lambda: connect(config.database))
        sentry = Sentry(communes, stocks(config), partial(tell_alarm, config))
        try:
            sign_ins = SignIns(config, "drive")
            sign_ins.start()
            door.start()
            upkeep.start()
            sentry.start()
            bodies = SealedStore(config, communes, workers, door.require)
            drive = Drive(
                communes,
                bodies,
                Credentials(config),
                sign_ins,
                passwords,
                require=sentry.require,
                base_url=_portal(config),
            )
            Portal(
                communes,
                bodies,
                config.secret("drive-grant.key"),
                drive.enter,
                lambda access: tell_access(config, access),
            ).add_to(drive.routes)
            serving.add_to(
                drive,
                config,
                communes,
                bodies,
                members=Members(lambda: connect(config.database)),
                require=sentry.require,
                base_url=_portal(config),
            )
            return await serve(drive, config.run / "drive.sock", config.connections)
        finally:
            sentry.stop()
            upkeep.stop()
            door.stop()
            communes.close()


def tell_access(config: Config, access: Access) -> None:
    """For the audit log. Errors: Unavailable."""
    told = {
        "share_id": access.share_id,
        "what": access.what,
        "node_id": access.node_id,
        "bytes": access.size_bytes,
        "address": access.address,
    }
    database = connect(config.database)
    try:
        with database.transaction():
            outbox.publish(
                database, "drive:link_used", told, run=config.run, collectivite_id=access.collectivite_id
            )
    finally:
        database.close()


def _portal(config: Config) -> str:
    port = "" if config.portal_port == 443 else f":{config.portal_port}"
    return f"https://{config.portal_name}{port}"


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        return asyncio.run(run(load()))
    except BeffroiError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 1


if __name__ == "__main__":
    leave(main())
