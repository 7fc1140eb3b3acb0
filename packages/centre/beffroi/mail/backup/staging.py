"""A consistent picture of every mailbox, made in milliseconds each, while mail is delivered and read.

Purpose: what a snapshot is made from. Folders' indexes are copied first, then the map of the storage, then its files
         are linked: whatever an index names was written before it, so it is in what comes after. Files of the storage
         only grow; the one exception, ``doveadm purge``, takes files away, which is seen, and the mailbox done again.
Process: a child of backup that runs as the mailboxes' number (``hands``): whoever took over a process of Dovecot may
         put links where files were, and gets nothing by it that he could not read before. STATE/backup-work/stage.
Hostile: names in mailboxes; nothing of a mail is parsed.
Fails:   Unsteady for a mailbox that was purged three times meanwhile; the others are done.
Source:  docs/decisions/0047-backup-of-mail.md; doc.dovecot.org, "Multi-dbox format".
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.mail.engines import layout

ATTEMPTS = 3
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
        for name in sorted(files):
            _copy(Path(folder) / name, here / name)
    for storage in late:
        here = target / storage.relative_to(mailbox)
        for one in sorted(storage.iterdir()):
            if not one.name.startswith(MAIL_FILE):
                _copy(one, here / one.name)
        # Listed again: a file that the map names may be younger than the first list.
        for one in sorted(storage.glob(f"{MAIL_FILE}*")):
            _link(one, here / one.name)
    return before <= _mail_files(mailbox)


def _mail_files(mailbox: Path) -> set[Path]:
    return set(mailbox.rglob(f"storage/{MAIL_FILE}*"))


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
