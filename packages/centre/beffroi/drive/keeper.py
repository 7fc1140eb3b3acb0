"""``python -m beffroi.drive.keeper``: what the drive needs done while nobody waits for it, until SIGTERM.

Purpose: upkeep, backups and their drills, new keys, seals, the index of words, long ways back: much work in small
         steps. Each has a thread, its queue in the metadata, and goes on where it was; beside the server, their time
         would be everybody's (decision 75).
Process: drive-keeper, low priority. Changes are heard of from drive (``following``).
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from beffroi.core.planes.db import connect
from beffroi.drive.backup.drills import Drills
from beffroi.drive.backup.work import Backups, needed
from beffroi.drive.following import Follower
from beffroi.drive.past_worker import WaysBack
from beffroi.drive.renewal import Renewal
from beffroi.drive.seals.desk import Desk
from beffroi.drive.standing import Standing
from beffroi.drive.store import keys
from beffroi.drive.store.commune import open_communes
from beffroi.drive.store.stock import stocks
from beffroi.drive.telling import tell
from beffroi.drive.upkeep import Upkeep
from beffroi.drive.words.indexer import Indexer
from beffroi.drive.words.texts import by_scan
from beffroi.drive.working import Worker
from beffroi.lib import programs
from beffroi.lib.config import Config
from beffroi.scan import wire

NAME = "drive-keeper"
NICE = 10


def run(config: Config) -> None:
    """Errors: SettingInvalid, StoreUnavailable."""
    with ThreadPoolExecutor(2, "commits") as commits, ExitStack() as ends:
        communes = open_communes(config, commits)
        ends.callback(communes.close)
        reads = by_scan(wire.files_socket_path(config.state))
        indexer = Indexer(communes, stocks(config), partial(keys.make, config), reads)
        standing = Standing(partial(connect, config.database))
        ways_back = WaysBack(communes, standing, partial(tell, config))
        works: tuple[Worker, ...] = (
            Upkeep(config, communes),
            Backups(config, communes),
            Drills(config, communes),
            Renewal(config, communes, partial(tell, config), partial(needed, config)),
            Desk(config, communes, stocks(config), partial(tell, config)),
            indexer,
            ways_back,
        )

        def told(collectivite_id: str) -> None:
            indexer.told(collectivite_id)
            ways_back.told(collectivite_id)

        follower = Follower(config.run, NAME, told)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: follower.stop())
        for one in works:
            one.start()
            ends.callback(one.stop)
        follower.run(())


def main() -> int:
    os.nice(NICE)
    return programs.run(run)


if __name__ == "__main__":
    sys.exit(main())
