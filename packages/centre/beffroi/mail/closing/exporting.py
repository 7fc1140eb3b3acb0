"""One export: read a closed mailbox, mail by mail, into an encrypted file that is there whole or not at all.

Purpose: the professional mails for the archives. What is marked *personnel* or *privé* is not read, only counted
         (``mail/guarded.py``); bin, junk and drafts stay out. A run that was cut is begun again: nothing but a draft
         without a key was there.
Process: a child of worker (``children``); IMAP on loopback, STATE/exports.
Hostile: every mail; nothing in it is parsed here. Names of folders (``bag``).
Fails:   noted at the export: "engine" (tried again, five times in all), "disk", "open" (the mailbox was reopened).
"""

from __future__ import annotations

import errno
import io
import os
import secrets
from collections.abc import Buffer, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import IO

from django.conf import settings

from beffroi.core.communes.models import Collectivite
from beffroi.lib import clock, durable
from beffroi.lib.config import Config
from beffroi.lib.envelopes import KeyUnreadable
from beffroi.lib.errors import BeffroiError
from beffroi.mail.closing import actions, opening
from beffroi.mail.closing.bag import Bag, base
from beffroi.mail.closing.models import Export
from beffroi.mail.closing.opening import ClosedMailbox, NotClosed
from beffroi.mail.closing.vault import KEY_BYTES, SealedWriter, Sink
from beffroi.mail.models import Mailbox
from beffroi.mail.noted import change
from beffroi.mail.reader import MailboxUnavailable

ATTEMPTS = 5
AGAIN_S = 60
GROUP_BYTES = 8 * 1024 * 1024
"""Mails held in memory at once, unless a single one is larger."""
GROUP_MAILS = 25
KEPT_FREE_BYTES = 512 * 1024 * 1024
"""An export never takes the last room of a disk on which mail arrives."""
README = """Export d'une boîte aux lettres fermée, pour les archives (format BagIt 1.0, RFC 8493)

data/                  les courriels, un fichier EML chacun, un répertoire par dossier de la boîte
dossiers.json          le nom exact de chaque dossier
manifest-sha256.txt    l'empreinte SHA-256 de chaque courriel
bag-info.txt           la collectivité, la boîte, le nombre de courriels, ce qui n'est pas dans l'export

Vérifier que rien n'a changé, dans ce répertoire :
  sha256sum -c manifest-sha256.txt
  sha256sum -c tagmanifest-sha256.txt
Un fichier EML s'ouvre avec Thunderbird ou tout autre logiciel de messagerie.
"""


class DiskFull(BeffroiError):
    """The disk of the exports has no room left."""

    code = "mail.export_disk_full"


class _Stopped(Exception):
    """A person ended it, or the mailbox was reopened."""


@dataclass(frozen=True)
class Folder:
    name: str
    uids: Sequence[int]


class _Draft(io.RawIOBase):
    """A file that tells a full disk from a Dovecot that is away, and leaves room for mail."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file

    def write(self, data: Buffer, /) -> int:
        left = memoryview(data)
        size_bytes, room = len(left), os.fstatvfs(self._file.fileno())
        if room.f_bavail * room.f_frsize < KEPT_FREE_BYTES + size_bytes:
            raise DiskFull
        try:
            # What a full disk has room for is written, and only the next write says so.
            while left:
                left = left[self._file.write(left) :]
            return size_bytes
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull from None
            raise


def run(export: Export) -> None:
    """Make it. Errors: none of its own; what stopped it is written at the export."""
    taken = actions.take_up(export)
    if taken is None:
        return
    path = actions.path_of(settings.BEFFROI, taken.id)
    path.unlink(missing_ok=True)  # of a run that died before its key was kept: nobody opens it
    mailbox = Mailbox.objects.get(pk=taken.mailbox_id)
    if mailbox.closed_at is None or not mailbox.crypt_key:
        actions.failed(taken, "open", again_s=None)
        return
    if taken.attempts > ATTEMPTS:
        actions.failed(taken, taken.error or "engine", again_s=None)
        return
    draft = path.with_suffix(".part")
    try:
        _make(taken, mailbox, draft, path)
    except _Stopped:
        path.unlink(missing_ok=True)
        actions.failed(taken, "open", again_s=None)  # nothing, where a person ended it
    except DiskFull:
        actions.failed(taken, "disk", again_s=None)
    except (MailboxUnavailable, NotClosed, KeyUnreadable):
        last = taken.attempts >= ATTEMPTS
        actions.failed(taken, "engine", again_s=None if last else AGAIN_S)
    finally:
        draft.unlink(missing_ok=True)


def _make(export: Export, mailbox: Mailbox, draft: Path, path: Path) -> None:
    key = secrets.token_bytes(KEY_BYTES)
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        writer = SealedWriter(_Draft(file), key, export.id)
        with opening.opened(mailbox) as name, opening.connected(name) as box:
            manifest = pack(export, mailbox, box, writer)
        writer.finish()
        os.fsync(descriptor)
    draft.replace(path)
    durable.sync_directory(path.parent)
    told = {"size_bytes": writer.size_bytes, "sha256": writer.sha256, "manifest_sha256": manifest}
    if not actions.ready(export, key=key, **told):
        raise _Stopped


def pack(export: Export, mailbox: Mailbox, box: ClosedMailbox, out: Sink) -> str:
    """Write the bag; return the SHA-256 of its manifest. ``export`` gets its counts."""
    box.client.normalise_times = False
    folders, left_out = [], box.personal_folders()
    for name in box.folders():
        uids, personal = box.select(name)
        folders.append(Folder(name, uids))
        left_out += personal
    total = sum(len(one.uids) for one in folders)
    change(export, total=total, left_out=left_out)
    at = clock.now()
    bag = Bag(out, base(mailbox.address, at), at=at)
    try:
        done = 0
        for one in folders:
            if not one.uids:
                continue
            directory = bag.folder(one.name)
            box.guarded.select_folder(one.name, readonly=True)
            for group in groups(box, one.uids):
                rows = box.client.fetch(group, ["BODY.PEEK[]", "INTERNALDATE"])
                for uid in group:
                    if data := rows.get(uid, {}).get(b"BODY[]"):
                        bag.mail(directory, uid, data, rows[uid][b"INTERNALDATE"])
                        done += 1
                if not actions.progress(export, done=done):
                    raise _Stopped
        export.done = done
        return bag.close(_info(export, mailbox, unreadable=total - done), README)
    except BaseException:
        bag.abandon()
        raise


def groups(box: ClosedMailbox, uids: Sequence[int]) -> Iterator[list[int]]:
    """As many mails at once as memory may hold."""
    group: list[int] = []
    size = 0
    for part in batched(uids, 1000, strict=False):
        sizes = box.client.fetch(part, ["RFC822.SIZE"])
        for uid in part:
            one = sizes.get(uid, {}).get(b"RFC822.SIZE", 0)
            if group and (size + one > GROUP_BYTES or len(group) >= GROUP_MAILS):
                yield group
                group, size = [], 0
            group.append(uid)
            size += one
    if group:
        yield group


def _info(export: Export, mailbox: Mailbox, *, unreadable: int) -> dict[str, str]:
    owner = Collectivite.objects.get(pk=mailbox.collectivite_id)
    assert mailbox.closed_at is not None
    told = {
        "Source-Organization": owner.name,
        "External-Identifier": export.id,
        "External-Description": f"Boîte {mailbox.address}, fermée le {mailbox.closed_at:%Y-%m-%d}",
        "Internal-Sender-Description": "Sans corbeille, indésirables ni brouillons",
        "Left-Out-Personal": str(export.left_out),
        "Bag-Software-Agent": "Beffroi",
    }
    return told | ({"Unreadable": str(unreadable)} if unreadable else {})


def forget_drafts(config: Config) -> None:
    """What killed runs left: nothing opens it."""
    for one in actions.folder(config).glob("*.part"):
        one.unlink(missing_ok=True)
