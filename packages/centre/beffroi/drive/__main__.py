"""``python -m beffroi.drive``: run the drive's HTTP process until SIGTERM.

Process: drive, one alone: the grouped commits of a collectivité have one writer.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
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
from beffroi.drive.store.commune import MOST_OPEN, Communes, allow_files, open_communes
from beffroi.drive.store.stock import stocks
from beffroi.drive.telling import tell
from beffroi.drive.web import sealed
from beffroi.drive.web.app import Drive
from beffroi.drive.web.bodies import BodiesOf, SealedStore
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
                crossed=partial(crossing.tell, config),
                shares=Shares(partial(people.of, config), partial(tell_share, config)),
                named=partial(people.name_of, config),
                base_url=config.portal_origin,
            )
            drive.sync.push.listeners += (stops.forget, teller.told)
            _add_pages(drive, config, communes, bodies, stops.require)
            return await serve(drive, config.run / "drive.sock")
        finally:
            teller.stop()
            door.stop()
            communes.close()


def _add_pages(
    drive: Drive, config: Config, communes: Communes, bodies: BodiesOf, require: Callable[[Who], object]
) -> None:
    """What browsers ask for by grants of the portal. Errors: SettingInvalid."""
    key, enter, origin = config.secret("drive-grant.key"), drive.enter, config.portal_origin
    crossed, maker = partial(crossing.tell, config), serving.maker_of(config)
    standing = Standing(partial(connect, config.database))
    given_up = partial(tell_given_up, config)
    Devices(drive.dav, drive.doorman, drive.sync.push, key, enter, given_up, origin).add_to(drive.routes)
    told = partial(tell_access, config)
    Portal(communes, bodies, key, enter, told, crossed, maker, standing, require).add_to(drive.routes)
    seals = sealed.Sealed(communes, bodies, stocks(config), key, enter, partial(tell, config))
    drive.routes.add(sealed.PATH, seals, is_open=True)
    reads = by_scan(wire.files_socket_path(config.state), patience_s=asking.CONTENT_S)
    keys_of = partial(keys.make, config)
    Found(communes, keys_of, bodies, reads, key, enter, crossed).add_to(drive.routes)
    handed, is_scanned = partial(tell_handed, config), config.scan or bool(config.clamd)
    Dropped(communes, bodies, key, handed, standing, is_scanned=is_scanned).add_to(drive.routes)
    members = Members(lambda: connect(config.database))
    serving.add_to(
        drive,
        config,
        communes,
        bodies,
        maker=maker,
        crossed=crossed,
        members=members,
        require=require,
        base_url=origin,
    )


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
