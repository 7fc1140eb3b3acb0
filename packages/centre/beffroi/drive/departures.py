"""Who left a collectivité shares their own files with nobody any more: no one would be left who could end it. They are
in none of its groups either, also when they come back.

Process: worker. What they shared of the collectivité's folder stays: colleagues see and end it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

from beffroi.drive.store import groups, look, schema, shares
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.keys import is_erased
from beffroi.drive.store.shares import Share
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib import clock
from beffroi.lib.config import Config


def end_own_shares(config: Config, *, collectivite_id: str, person_id: str) -> list[Share]:
    """Return those with people, roles and collectivités that ended now. Errors: StoreFull, Unavailable."""
    now_s = clock.epoch_s()
    with _metadata(config, collectivite_id) as database:
        if database is None:
            return []
        with database.reading() as reading:
            found = _of_own_files(reading, person_id, now_s=now_s)

        def end(writing: Writing) -> None:
            for one in found:
                shares.end(writing, one.id, now_s=now_s)

        database.write(end)
    return found


def leave_groups(config: Config, *, collectivite_id: str, person_id: str, before_s: int) -> list[str]:
    """Take them out of each group that they came to before a moment; return which. Errors: StoreFull, Unavailable."""
    with _metadata(config, collectivite_id) as database:
        if database is None:
            return []
        return database.write(lambda writing: groups.leave(writing, person_id, before_s=before_s))


@contextmanager
def _metadata(config: Config, collectivite_id: str) -> Iterator[Database | None]:
    """None for a collectivité that never had a file, or whose files are erased."""
    directory = config.state / "drive" / collectivite_id
    if not directory.exists() or is_erased(directory):
        yield None
        return
    with (
        ThreadPoolExecutor(1) as threads,
        closing(Communes(config.state / "drive", threads, config.drive_database)) as communes,
    ):
        yield communes.metadata(collectivite_id)


def _of_own_files(reading: Reading, person_id: str, *, now_s: int) -> list[Share]:
    out = []
    for one in shares.all_open(reading, now_s=now_s):
        way = look.above(reading, one.node)
        if one.kind != "link" and way and way[-1].name == schema.HOME + person_id:
            out.append(one)
    return out
