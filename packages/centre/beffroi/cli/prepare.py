"""`prepare`: bring the database up to date and, when it is empty, plant the demonstration.

Process: the Python user, started by the supervisor; a file lock lets one run at a time.
Protocol: a JSON line on stdout, which waits for the line "kept" on stdin: ``{"changes": [...]}`` before a database in
         use is changed, which is not done else; the accounts inside their transaction, which is undone else.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import django

from beffroi.lib.config import Config, load
from beffroi.lib.errors import BeffroiError


class DatabaseNewer(BeffroiError):
    """A newer Beffroi has changed it ({}). Next: start that one again, or go back as docs/runbooks/upgrade.md says"""

    code = "cli.database_newer"


class DatabaseNotOurs(BeffroiError):
    """{} cannot be written by this user, as after a restore by root. Next: chown {} {}"""

    code = "cli.database_not_ours"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="beffroi prepare")
    parser.add_argument("--demo", default="", help="'default' or a seed file in TOML")
    options = parser.parse_args(arguments)
    config = load()
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415

    refuse_unwritable(config.state / "db")
    lock = config.state / "db" / "prepare.lock"
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if (due := due_migrations()) and not _kept({"changes": due}):
            print("nothing was changed: its backup was not made", file=sys.stderr)
            return 1
        call_command("migrate", verbosity=0, interactive=False)
        code = _plant(config, options.demo) if options.demo else 0
        from beffroi.mail import awaited  # noqa: PLC0415

        awaited.begin()
        return code


def refuse_unwritable(directory: Path) -> None:
    """SQLite itself reads what it may not write, and everything looks well. Errors: DatabaseNotOurs."""
    for path in directory.iterdir():
        if not os.access(path, os.R_OK | os.W_OK):
            raise DatabaseNotOurs(path, directory.owner(), directory / "*")


def due_migrations() -> list[str]:
    """What this version changes in a database that another one has filled; nothing of an empty one.

    Errors: DatabaseNewer: Django itself starts on what it does not know.
    """
    from django.db import connection  # noqa: PLC0415
    from django.db.migrations.executor import MigrationExecutor  # noqa: PLC0415

    executor, newest = MigrationExecutor(connection), dict[str, str]()
    for app, name in executor.loader.disk_migrations:
        newest[app] = max(name, newest.get(app, ""))
    applied = executor.loader.applied_migrations
    # Only what comes after our last one: a migration that we gave up ourselves is no sign of another version.
    newer = sorted(f"{app}.{name}" for app, name in applied if name > newest.get(app, "\uffff"))
    if newer:
        raise DatabaseNewer(", ".join(newer))
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes()) if applied else []
    return [f"{one.app_label}.{one.name}" for one, _ in plan]


def _kept(told: Mapping[str, object]) -> bool:
    print(json.dumps(told, ensure_ascii=False), flush=True)
    return sys.stdin.readline().strip() == "kept"


def _plant(config: Config, demo_name: str) -> int:
    from django.db import transaction  # noqa: PLC0415

    from beffroi.supervise import demo  # noqa: PLC0415

    if not demo.is_needed():
        return 0
    seed = demo.DEMONSTRATION if demo_name == "default" else demo.load_seed(Path(demo_name))
    with transaction.atomic():
        planted = demo.plant(config, seed)
        if not _kept(asdict(planted)):
            transaction.set_rollback(True)
            print("the accounts could not be written down", file=sys.stderr)
            return 1
    return 0
