"""What is done in the directories of mailboxes, as their own number and never as root.

Purpose: ``stage`` pictures all mailboxes; ``place`` puts a whole mailbox where there is none any more; ``erase`` takes
         a mailbox and its picture away.
Process: ``python -m beffroi.mail.backup.hands VERB ...``, children of backup, as the mailboxes' number.
Hostile: a process of Dovecot that was taken over: it has the same number, so there is nothing here to gain.
Fails:   status 1 and one line.
Source:  docs/decisions/0047-backup-of-mail.md.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from beffroi.lib.config import STATE_VARIABLE, Config, load
from beffroi.lib.errors import Unavailable
from beffroi.mail.backup import staging
from beffroi.mail.engines import layout

TIMEOUT_S = 3600.0


class MailboxesUnusable(Unavailable):
    """The directories of the mailboxes cannot be used: {}"""

    code = "backup.mailboxes_unusable"


def run(config: Config, *words: str) -> list[Any]:
    """Run one verb as the mailboxes' number; return what it says. Errors: MailboxesUnusable."""
    owner = layout.Owner(layout.MAIL_UID, layout.MAIL_UID)
    try:
        return list(json.loads(run_as(owner, config, __spec__.name, *words)))
    except ChildFailed as error:
        raise MailboxesUnusable(error.said) from None


def run_as(
    owner: layout.Owner, config: Config, module: str, *words: str, stdin: IO[bytes] | int = subprocess.DEVNULL
) -> str:
    """Run a module of ours as this user, in no other group; return what it says. Errors: ChildFailed."""
    is_root = os.getuid() == 0
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", module, *words],
            user=owner.uid if is_root else None, group=owner.gid if is_root else None,
            extra_groups=[] if is_root else None,
            stdin=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd="/", umask=0o077,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
                 STATE_VARIABLE: str(config.state)},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ChildFailed(getattr(error, "strerror", None) or "it took too long") from None
    if done.returncode:
        raise ChildFailed((done.stderr.strip().splitlines() or ["no word"])[-1][:300])
    return done.stdout


class ChildFailed(Exception):
    """``said``: its last line."""

    @property
    def said(self) -> str:
        return str(self)


def has_mails(home: Path) -> bool:
    """Whether Dovecot ever kept a mail there; a sign-in alone makes folders without a storage."""
    return (home / "mdbox" / "storage" / "dovecot.map.index.log").exists()


def place(former: Path, home: Path) -> None:
    """Make ``former`` the mailbox. What little there may be at ``home`` is set beside ``former``.

    Errors: FileExistsError (``home`` has mails), OSError."""
    if has_mails(home):
        raise FileExistsError(f"{home.name} has mails")
    if home.exists():
        home.replace(former.with_name("replaced"))
    try:
        former.replace(home)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        draft = home.with_name(f".{home.name}")  # mailboxes on a disk of their own
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(former, draft, symlinks=True)
        draft.replace(home)


def erase(config: Config, mailbox_id: str) -> int:
    """Return how many files went. A link in the place of a directory is taken away, and nothing behind it."""
    removed = 0
    for place in (layout.Paths(config.state).mailboxes / mailbox_id, staging.stage(config) / mailbox_id):
        removed += sum(len(files) for _, _, files in os.walk(place))
        if place.is_symlink():
            place.unlink()
        elif place.exists():
            shutil.rmtree(place)
    return removed


def main(arguments: Sequence[str]) -> int:
    config, verb = load(), arguments[0]
    mailboxes = layout.Paths(config.state).mailboxes
    told: list[Any] = []
    try:
        if verb == "stage":
            done, unsteady = staging.fill(config)
            told = [done, unsteady]
        elif verb == "erase":
            told = [erase(config, arguments[1])]
        elif verb == "place":
            place(Path(arguments[2]), mailboxes / arguments[1])
    except OSError as error:
        sys.stderr.write(f"{error.strerror or error}\n")
        return 1
    sys.stdout.write(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
