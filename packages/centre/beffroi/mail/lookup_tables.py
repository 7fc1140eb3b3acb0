"""The SQLite files that Postfix looks up in: written so that no look-up ever meets a lock.

Purpose: Postfix waits for no lock of SQLite (dict_sqlite sets no busy timeout); a look-up that met one would end that
         smtpd or proxymap, and the sender's connection with it. In WAL mode a reader waits for no writer, once the two
         companions of the file (``-wal``, ``-shm``) are there and in use: Postfix may not make them.
Process: written by the worker and by sources (``writing``); the supervisor holds them for its life (``held``).
Fails:   without a holder look-ups go on in the companions that were left; one that comes as a writer begins may fail.
Source:  https://sqlite.org/wal.html, "Read-Only Databases"; docs/decisions/0216-look-ups-wait-for-no-writer.md.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

BUSY_TIMEOUT_S = 10


def give(path: Path, *, uid: int, gid: int, mode: int) -> None:
    """Make the file when it is missing, with this owner and mode; what stands beside it is as the file is."""
    if not path.exists():
        path.touch(mode=0o600)
    for one in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if one.exists():
            os.chown(one, uid, gid)
            one.chmod(mode)


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction, on disk and in the file itself when the block ends: nothing stays in the log of what was
    taken out, and mailgate, which looks at the file's time, reads it again."""
    with closing(_opened(path)) as connection:
        connection.execute("PRAGMA synchronous = full")
        connection.execute("PRAGMA secure_delete = on")
        with connection:
            yield connection
        if connection.total_changes:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def held(paths: Sequence[Path]) -> Iterator[None]:
    """Keep these files in use: who comes first or leaves last locks a file for a moment, and that is never a writer
    then."""
    with ExitStack() as open_files:
        for path in paths:
            connection = open_files.enter_context(closing(_opened(path)))
            connection.execute(
                "SELECT count(*) FROM sqlite_master"
            ).fetchone()  # a reading makes the companions
        yield


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
    connection.setconfig(
        sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True
    )  # the companions outlive who closes last
    connection.execute("PRAGMA journal_mode = wal")
    return connection
