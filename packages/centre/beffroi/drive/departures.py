"""Who left a collectivité shares their own files with nobody any more: no one would be left who could end it.

Process: worker. What they shared of the collectivité's folder stays: colleagues see and end it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from beffroi.drive.store import look, schema, shares
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Reading, Writing
from beffroi.drive.store.shares import Share
from beffroi.lib import clock
from beffroi.lib.config import Config


def end_own_shares(config: Config, *, collectivite_id: str, person_id: str) -> list[Share]:
    """Return those with people, roles and collectivités that ended now. Errors: StoreFull, Unavailable."""
    if not (config.state / "drive" / collectivite_id).exists():
        return []
    now_s = clock.epoch_s()
    with (
        ThreadPoolExecutor(1) as threads,
        closing(Communes(config.state / "drive", threads, config.drive_database)) as communes,
    ):
        database = communes.metadata(collectivite_id)
        with database.reading() as reading:
            found = _of_own_files(reading, person_id, now_s=now_s)

        def end(writing: Writing) -> None:
            for one in found:
                shares.end(writing, one.id, now_s=now_s)

        database.write(end)
    return found


def _of_own_files(reading: Reading, person_id: str, *, now_s: int) -> list[Share]:
    out = []
    for one in shares.all_open(reading, now_s=now_s):
        way = look.above(reading, one.node)
        if one.kind != "link" and way and way[-1].name == schema.HOME + person_id:
            out.append(one)
    return out
