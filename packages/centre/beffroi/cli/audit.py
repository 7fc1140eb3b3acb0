"""`audit verify`: recompute the chain of the audit log, and say in one sentence whether it holds.

Process: the person's own; root becomes the Python user first, so no file of the database changes hands.
Fails:   closed: status 1 when the chain is broken or cannot be read, never a guess.
Source:  docs/runbooks/restore-epoch.md.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import django

from beffroi.lib.config import DEFAULT_STATE, STATE_VARIABLE, Config, load
from beffroi.lib.errors import BeffroiError
from beffroi.supervise.secret_files import UserMissing


class NoDatabase(BeffroiError):
    """The database of {} cannot be read, so nothing was checked. Next: ./beffroi status"""

    code = "cli.no_database"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="beffroi audit")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verify = verbs.add_parser("verify", help="recompute the chain")
    verify.add_argument("--state", type=Path, default=DEFAULT_STATE)
    verify.add_argument(
        "--expected-head", default="", help="a head that a witness kept: the chain must hold it"
    )
    verify.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    config = load(options.state.resolve())
    become_python_user(config)
    os.environ[STATE_VARIABLE] = str(config.state)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beffroi.settings.base")
    django.setup()
    return report(config, expected_head=options.expected_head, as_json=options.json)


def report(config: Config, *, expected_head: str, as_json: bool) -> int:
    """Errors: NoDatabase."""
    from django.db import DatabaseError  # noqa: PLC0415 - needs Django's settings

    from beffroi.core.audit import queries  # noqa: PLC0415

    if not config.database_url and not (config.state / "db" / "beffroi.sqlite").exists():
        raise NoDatabase(config.state)  # opening it would make an empty one
    try:
        found = queries.verify(expected_head=expected_head)
    except DatabaseError:
        raise NoDatabase(config.state) from None
    if as_json:
        print(json.dumps(asdict(found)))
    elif not found.ok:
        print(
            f"The audit log is broken at entry {found.first_bad} of {found.count}: it was changed, cut or added to"
            " outside of Beffroi. Next: keep the machine as it is and compare with a backup"
            " (docs/runbooks/restore-epoch.md)."
        )
    else:
        waiting = f", {found.unsealed} not sealed yet" if found.unsealed else ""
        print(f"The audit log holds: {found.count} entries{waiting}. Head: {found.head}")
    return 0 if found.ok else 1


def become_python_user(config: Config) -> None:
    """Give up root for good where the centre has a user of its own. Errors: UserMissing."""
    if os.getuid() != 0 or not config.user:
        return
    try:
        entry = pwd.getpwnam(config.user)
    except KeyError:
        raise UserMissing(config.user) from None
    os.initgroups(config.user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
