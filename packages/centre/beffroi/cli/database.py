"""`database backup now | list | check` and `database restore`: copies of the centre's database, and one comes back.

Process: the person's own. Backups are made by the keeper (mail/backup); a restore is done here, as root, while the
         centre stands still, and what touches the database as the Python user.
Input:   words of the person; the moment is in the centre's own time.
Fails:   closed, one sentence: the database is as before, or as then. Given again after a cut, a restore does the same.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from beffroi.cli.mail_backup import MIB, local, moment_of
from beffroi.cli.options import of_centre, with_verbs
from beffroi.lib import clock
from beffroi.lib.config import STATE_VARIABLE, Config
from beffroi.lib.errors import BeffroiError
from beffroi.mail.backup import asking, staging
from beffroi.mail.backup.database.keeping import Databases
from beffroi.mail.backup.database.tables import SHOWN
from beffroi.supervise import status

HOUR_S = 3600
NOT_LOADED = """\
They were counted and loaded nowhere, since the centre's role may make no database on the server.
Next, where the server has room for it twice: ALTER ROLE ... CREATEDB (docs/runbooks/restore-database.md)"""


class NotConfirmed(BeffroiError):
    """Nothing was restored. Next: the same command with --yes, or answer y"""

    code = "cli.database_not_confirmed"


class RootOnly(BeffroiError):
    """Backups are root's. Next: sudo ./beffroi database {}"""

    code = "cli.database_root"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    config = of_centre(options.state)
    # Of Django, its time zone alone.
    os.environ[STATE_VARIABLE] = str(config.state)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beffroi.settings.base")
    return backup(config, options) if options.verb == "backup" else restore(config, options)


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi database")
    one = verbs.add_parser("backup", help="back up now; list the backups; read the newest as a restore would")
    one.add_argument("what", choices=("now", "list", "check"))
    two = verbs.add_parser("restore", help="the database as in a backup, while the centre is stopped")
    two.add_argument("--at", metavar="MOMENT", help="the newest up to then: 2026-11-25, '2026-11-25 14:30'")
    two.add_argument("--preview", action="store_true", help="only say what would come back")
    two.add_argument("--yes", action="store_true", help="do not ask before")
    two.add_argument("--undo", action="store_true", help="what the last restore replaced comes back")
    return parser


def backup(config: Config, options: argparse.Namespace) -> int:
    """Errors: BackupUnavailable, BackupRefused, RootOnly, StoreFailed."""
    _require_root(config, f"backup {options.what}")
    if options.what == "now":
        made = asking.ask(config, "database_now")
        size = f"{made['size_bytes'] / MIB:.1f} MiB, {made['added_bytes'] / MIB:.1f} MiB new"
        print(f"The database is backed up: {made['people']} people, {size}.")
        return 0
    if options.what == "check":
        done = asking.ask(config, "database_check")
        print(
            f"The backup of {local(done['at_s'])} is whole: {done['rows']} rows were read in {done['took_s']} s."
        )
        if not done["loaded"]:
            print(NOT_LOADED)
        return 0
    databases = Databases(config)  # also while the centre stands still
    databases.store.unlock()
    found = databases.list()["snapshots"]
    for one in found:
        size = f"{one['size_bytes'] / MIB:8.1f} MiB, {one['added_bytes'] / MIB:7.1f} MiB new"
        print(f"{one['id']}  {local(one['at_s'])}  {size}  {_counted(one['counts'])}")
        if one["audit_head"]:
            print(f"          head of the audit log: {one['audit_head']}")
    print(f"{len(found)} backups." if found else "No backup yet. Next: ./beffroi database backup now")
    return 0


def restore(config: Config, options: argparse.Namespace) -> int:
    """Errors: RootOnly, AlreadyRunning, NoBackup, NotConfirmed, DatabaseFailed, StoreFailed."""
    _require_root(config, "restore")
    databases = Databases(config)
    databases.store.unlock()  # nobody else will where the machine died meanwhile
    if options.preview:
        _say(databases, options)
        return 0
    lock = status.Lock(config)
    try:
        staging.prepare(config)
        if options.undo:
            _confirm(options, "The database that the last restore replaced comes back. Undo it? [y/N] ")
            databases.undo()
            print("The database is as it was before that restore. Next: ./beffroi up")
            return 0
        snapshot = databases.as_of(_say(databases, options))
        _confirm(options, "Restore it? [y/N] ")
        replaced = databases.restore(snapshot)
        print(f"The database is as of {local(int(snapshot.at.timestamp()))}. Next: ./beffroi up")
        if replaced:
            print("What was there is kept for seven days: ./beffroi database restore --undo")
        return 0
    finally:
        lock.release()


def _say(databases: Databases, options: argparse.Namespace) -> Any:
    """Print what would come back; return the moment up to which. Errors: NoBackup, Invalid, StoreFailed."""
    at = moment_of(options.at) if options.at else None
    chosen = databases.as_of(at)
    at_s, rows = int(chosen.at.timestamp()), databases.list()["snapshots"]
    number = next(n for n, one in enumerate(rows) if one["id"] == chosen.id[:8])
    one = rows[number]
    age_h = max(0, clock.epoch_s() - at_s) / HOUR_S
    print(f"The database as of {local(at_s)} ({one['id']}), {age_h:.1f} hours ago:")
    for name, said in SHOWN.items():
        print(f"  {one['counts'].get(name, 0):8}  {said}")
    more = [row for row in rows[:number] if row["counts"].get("person", 0) > one["counts"].get("person", 0)]
    if more:
        print(
            f"An earlier backup has more people: {more[-1]['counts']['person']} on {local(more[-1]['at_s'])}"
            f' (--at "{local(more[-1]["at_s"])}").'
        )
    print("What was written since is gone with it; what was ended or erased since stays so.")
    return at


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[name]} {said}" for name, said in SHOWN.items() if name in counts)


def _confirm(options: argparse.Namespace, question: str) -> None:
    """Errors: NotConfirmed."""
    if not (options.yes or (sys.stdin.isatty() and input(question).strip().lower() == "y")):
        raise NotConfirmed


def _require_root(config: Config, words: str) -> None:
    """Errors: RootOnly."""
    if os.getuid() != 0 and config.user:
        raise RootOnly(words)
