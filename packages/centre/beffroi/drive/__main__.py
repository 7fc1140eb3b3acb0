"""``python -m beffroi.drive``: run the drive's HTTP process until SIGTERM.

Process: drive, one alone: the grouped commits of a collectivité have one writer.
"""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from beffroi.core.planes.db import connect
from beffroi.drive import asking, crossing, people
from beffroi.drive.credentials import Credentials
from beffroi.drive.door import FileDoor
from beffroi.drive.following import Teller
from beffroi.drive.office import serving
from beffroi.drive.office.members import Members
from beffroi.drive.sharing import Line
from beffroi.drive.sign_ins import SignIns
from beffroi.drive.standing import Standing
from beffroi.drive.stops import Stops
from beffroi.drive.store import keys
from beffroi.drive.store.commune import MOST_OPEN, allow_files, open_communes
from beffroi.drive.store.stock import stocks
from beffroi.drive.telling import tell
from beffroi.drive.web import sealed
from beffroi.drive.web.app import Drive
from beffroi.drive.web.bodies import SealedStore
from beffroi.drive.web.dropped import Dropped, Handed
from beffroi.drive.web.found import Found
from beffroi.drive.web.linked import Access
from beffroi.drive.web.portal import Portal
from beffroi.drive.web.sync.devices import Devices
from beffroi.drive.web.sync.sharing import Shares
from beffroi.drive.who import Who
from beffroi.drive.words.texts import by_scan
from beffroi.lib import asgi, programs
from beffroi.lib.config import Config
from beffroi.lib.serving import ended, leave, until_stopped
from beffroi.scan import wire

SOCKET_MODE = 0o660
COMMIT_THREADS = 8
"""Each waits for the disk most of its time."""
WORKERS = 4
SIGN_IN_THREADS = 2
"""Of their own: nobody's long listings keep others from signing in."""
YOUNG = 50_000
"""Of the collector of cycles (``gc.set_threshold``): a listing makes many objects, and none of them is in a cycle."""
STOP_S = 3.0
STOP_AT_MOST_S = 8.0


async def serve(drive: Drive, path: Path) -> int:
    """Serve on a Unix socket until SIGTERM or SIGINT; return the exit code, 1 when the server ended by itself."""
    server = asgi.server(drive)
    drive.sync.push.start(path.parent)
    # haproxy runs under an account of its own, in the group of the socket.
    serving = asyncio.create_task(server.serve(sockets=[asgi.listen(path, SOCKET_MODE)]))
    told = await until_stopped(serving, stop_at_most_s=STOP_AT_MOST_S)
    server.end()
    await drive.sync.push.stop()
    return await ended(serving, path, was_told=told, at_most_s=STOP_S)


async def run(config: Config) -> int:
    """Errors: SettingInvalid, StoreUnavailable."""
    gc.set_threshold(YOUNG, 20, 20)
    allow_files()
    with (
        ThreadPoolExecutor(COMMIT_THREADS, "commits") as commits,
        ThreadPoolExecutor(WORKERS, "bodies") as workers,
        ThreadPoolExecutor(SIGN_IN_THREADS, "passwords") as passwords,
    ):
        communes = open_communes(config, commits, most_open=MOST_OPEN)
        door = FileDoor(config, communes, partial(tell, config))
        teller, stops = Teller(config.run), Stops(communes)
        communes.listeners.append(teller.told)
        try:
            grant_key, crossed = config.secret("drive-grant.key"), partial(crossing.tell, config)
            sign_ins = SignIns(config, "drive")
            sign_ins.start()
            door.start()
            teller.start()
            bodies = SealedStore(config, communes, workers, door.require)
            drive = Drive(
                communes,
                bodies,
                Credentials(config),
                sign_ins,
                passwords,
                require=stops.require,
                crossed=crossed,
                shares=Shares(partial(people.of, config), partial(tell_share, config)),
                named=partial(people.name_of, config),
                base_url=config.portal_origin,
            )
            drive.sync.push.listeners += (stops.forget, teller.told)
            Devices(
                drive.dav,
                drive.doorman,
                drive.sync.push,
                grant_key,
                drive.enter,
                partial(tell_given_up, config),
                config.portal_origin,
            ).add_to(drive.routes)
            maker, standing = serving.maker_of(config), Standing(partial(connect, config.database))
            Portal(
                communes,
                bodies,
                grant_key,
                drive.enter,
                partial(tell_access, config),
                crossed,
                maker,
                standing,
                stops.require,
            ).add_to(drive.routes)
            drive.routes.add(
                sealed.PATH,
                sealed.Sealed(
                    communes,
                    bodies,
                    stocks(config),
                    grant_key,
                    drive.enter,
                    partial(tell, config),
                ),
                is_open=True,
            )
            reads = by_scan(wire.files_socket_path(config.state), patience_s=asking.CONTENT_S)
            keys_of = partial(keys.make, config)
            Found(communes, keys_of, bodies, reads, grant_key, drive.enter, crossed).add_to(drive.routes)
            Dropped(
                communes,
                bodies,
                grant_key,
                partial(tell_handed, config),
                standing,
                is_scanned=config.scan or bool(config.clamd),
            ).add_to(drive.routes)
            serving.add_to(
                drive,
                config,
                communes,
                bodies,
                maker=maker,
                crossed=crossed,
                members=Members(lambda: connect(config.database)),
                require=stops.require,
                base_url=config.portal_origin,
            )
            return await serve(drive, config.run / "drive.sock")
        finally:
            teller.stop()
            door.stop()
            communes.close()


def tell_share(config: Config, line: Line) -> None:
    """For the audit log, before it is done. Errors: Unavailable."""
    tell(config, "drive:share_told", line.collectivite_id, asdict(line))


def tell_access(config: Config, access: Access) -> None:
    """For the audit log. Errors: Unavailable."""
    told = {
        "share_id": access.share_id,
        "what": access.what,
        "node_id": access.node_id,
        "bytes": access.size_bytes,
        "address": access.address,
    }
    tell(config, "drive:link_used", access.collectivite_id, told)


def tell_given_up(config: Config, who: Who) -> None:
    """For the worker, which ends the app password. Errors: Unavailable."""
    told = {"app_password_id": who.app_password_id, "person_id": who.person_id}
    tell(config, "drive:app_password_given_up", who.collectivite_id, told)


def tell_handed(config: Config, handed: Handed) -> None:
    """For the audit log and the makers of the link. Errors: Unavailable."""
    told = {
        "share_id": handed.share_id,
        "person_id": handed.person_id,
        "reference": handed.reference,
        "sha256": handed.sha256,
        "bytes": handed.size_bytes,
        "address": handed.address,
    }
    tell(config, "drive:handed_in", handed.collectivite_id, told)


def main() -> int:
    return programs.run(lambda config: asyncio.run(run(config)))


if __name__ == "__main__":
    leave(main())
