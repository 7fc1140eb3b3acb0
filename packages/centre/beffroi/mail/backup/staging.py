"""A consistent picture of every mailbox, made in milliseconds each, while mail is delivered and read.

Purpose: what a snapshot is made from. Folders' indexes are copied first, each under Dovecot's own lock of its log, then
         the map of the storage, then its files are linked: whatever an index names was written before it, so it is in
         what comes after. Files of the storage only grow; the one exception, ``doveadm purge``, takes files away,
         which is seen, and the mailbox done again.
Process: a child of backup that runs as the mailboxes' number (``hands``): whoever took over a process of Dovecot may
         put links where files were, and gets nothing by it that he could not read before. STATE/backup-work/stage.
Hostile: names in mailboxes; nothing of a mail is parsed.
Fails:   Unsteady for a mailbox that was purged three times meanwhile; the others are done.
Source:  docs/decisions/0047-backup-of-mail.md; doc.dovecot.org, "Multi-dbox format".
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from beffroi.lib.config import Config
from beffroi.mail.engines import layout

ATTEMPTS = 3
LOCK_TRIES = 500
MAIL_FILE = "m."
# Headers in clear and words of messages: Dovecot makes both again from the mails.
_LEFT_OUT = ("dovecot.index.cache", "fts-flatcurve", "sieve")


def work(config: Config) -> Path:
    return config.state / "backup-work"


def stage(config: Config) -> Path:
    return work(config) / "stage"


def prepare(config: Config) -> None:
    """Make the directories of work: as root, before anything."""
    mailboxes = layout.Owner(layout.MAIL_UID, layout.MAIL_UID)
    own = layout.Owner(os.getuid(), os.getgid())
    layout.directory(work(config), 0o711, own)
    layout.directory(work(config) / "cache", 0o700, own)
    layout.directory(work(config) / "scratch", 0o711, own)
    layout.directory(stage(config), 0o700, mailboxes if os.getuid() == 0 else own)


def fill(config: Config) -> tuple[int, list[str]]:
    """Picture every mailbox anew; return how many, and those that did not hold still (their last picture is gone)."""
    folder, source = stage(config), layout.Paths(config.state).mailboxes
    done, unsteady = 0, []
    for old in folder.iterdir():
        shutil.rmtree(old)
    for mailbox in sorted(source.iterdir()):
        if mailbox.is_symlink() or not (mailbox / "mdbox").is_dir():
            continue
        if picture(mailbox, folder / mailbox.name):
            done += 1
        else:
            unsteady.append(mailbox.name)
    return done, unsteady


def picture(mailbox: Path, target: Path) -> bool:
    """One mailbox, from its home to the new directory ``target``; False when it did not hold still."""
    for _ in range(ATTEMPTS):
        shutil.rmtree(target, ignore_errors=True)
        try:
            if _picture(mailbox, target):
                return True
        except FileNotFoundError:  # a folder was deleted or a file of the storage taken away under our hands
            continue
    shutil.rmtree(target, ignore_errors=True)
    return False


def _picture(mailbox: Path, target: Path) -> bool:
    before = _mail_files(mailbox)
    late = []
    for folder, names, files in os.walk(mailbox):  # never into links
        names[:] = [one for one in names if one not in _LEFT_OUT]
        here = target / Path(folder).relative_to(mailbox)
        here.mkdir(mode=0o700, parents=True)
        if Path(folder).name == "storage":
            late.append(Path(folder))
            continue
        _copy_quiet(Path(folder), files, here)
    for storage in late:
        here = target / storage.relative_to(mailbox)
        indexes = [one.name for one in storage.iterdir() if not one.name.startswith(MAIL_FILE)]
        _copy_quiet(storage, indexes, here)
        # Listed again: a file that the map names may be younger than the first list.
        for one in sorted(storage.glob(f"{MAIL_FILE}*")):
            _link(one, here / one.name)
    return before <= _mail_files(mailbox)


def _mail_files(mailbox: Path) -> set[Path]:
    return set(mailbox.rglob(f"storage/{MAIL_FILE}*"))


def _copy_quiet(folder: Path, names: Iterable[str], target: Path) -> None:
    """Copy the indexes of one folder between two writings of Dovecot: it locks the log that it appends to, and so does
    this, shared and for milliseconds.

    Errors: FileNotFoundError when it does not get quiet, or the log was changed for another.
    """
    with contextlib.ExitStack() as held:
        for name in sorted(names):
            if name.endswith(".index.log"):
                file = held.enter_context((folder / name).open("rb"))
                _lock(file)
                if os.fstat(file.fileno()).st_ino != (folder / name).stat().st_ino:
                    raise FileNotFoundError(name)
        for name in sorted(names):
            _copy(folder / name, target / name)


def _lock(file: BinaryIO) -> None:
    for _ in range(LOCK_TRIES):
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise FileNotFoundError("lock")


def _copy(source: Path, target: Path) -> None:
    if source.name in _LEFT_OUT or source.name.endswith(".lock") or source.is_symlink():
        return
    if source.is_file():
        shutil.copy2(source, target)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EXDEV:  # mailboxes on a disk of their own
            raise
        shutil.copy2(source, target, follow_symlinks=False)
