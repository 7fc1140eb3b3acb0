"""Put the mails of an archive into a mailbox, each once. Run again after a cut, it goes on where it was.

Process: cli, as the Python user.
Fails:   NewMailboxAway, MailboxFull; what was copied stays, and is known when the command is given again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from django.conf import settings

from beffroi.mail.importing import actions, archive, runner, target, turns, undoing
from beffroi.mail.importing.archive import Found
from beffroi.mail.importing.errors import Cancelled, MailboxFull
from beffroi.mail.importing.models import ImportFailure, ImportFolder, ImportJob
from beffroi.mail.importing.runner import Dealt
from beffroi.mail.importing.target import NewMailbox
from beffroi.mail.models import Mailbox

NAMES = 10
"""Of files of an archive that are no mails: enough to know what kind of file they are."""
MAX_NAME_CHARS = 100


@dataclass
class Passed:
    """Files of an archive that are no mails: how many, and the first of their names."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def note(self, name: str) -> None:
        self.count += 1
        if len(self.names) < NAMES:
            shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in name[-MAX_NAME_CHARS:])
            self.names.append(shown)


def bring(*, mailbox: Mailbox, file: IO[bytes], name: str, folder: str, account: str) -> ImportJob:
    """Wait for the mailbox's turn, then bring it. Errors: NewMailboxAway, MailboxFull, Cancelled, Invalid (no such
    format)."""
    with turns.turn(settings.BEFFROI, mailbox.id, wait=True):
        job, passed = actions.begin_archive(mailbox=mailbox, name=name, account=account), Passed()
        try:
            with target.open_target(settings.BEFFROI, mailbox.address) as new:
                bringer = _Bringer(job, new)
                for found in archive.read(file, folder):
                    if found.reason == archive.NO_MAIL:
                        passed.note(found.name)
                    else:
                        bringer.take(found)
                bringer.flush()
        except BaseException:
            actions.end_archive(job, complete=False, passed_over=passed.count, names=passed.names)
            raise
        return actions.end_archive(job, complete=True, passed_over=passed.count, names=passed.names)


class _Bringer:
    """What waits is of one folder: an archive of thousands of them is never held."""

    def __init__(self, job: ImportJob, new: NewMailbox) -> None:
        self._job, self._new = job, new
        self._folders: dict[str, ImportFolder] = {}
        self._known: dict[str, set[bytes]] = {}
        self._waiting: list[Found] = []
        self._waiting_bytes = 0
        self._count: dict[str, int] = defaultdict(int)

    def take(self, found: Found) -> None:
        is_full = len(self._waiting) >= runner.BATCH or self._waiting_bytes >= runner.SLICE_BYTES
        if self._waiting and (is_full or found.folder != self._waiting[0].folder):
            self.flush()
        self._waiting.append(found)
        self._waiting_bytes += found.size_bytes if found.letter else 0

    def flush(self) -> None:
        if not self._waiting:
            return
        if not ImportJob.objects.filter(pk=self._job.pk, state=ImportJob.State.RUNNING).exists():
            raise Cancelled
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._flush(waiting[0].folder, waiting)

    def _flush(self, name: str, waiting: Sequence[Found]) -> None:
        folder, known, dealt, sent = self._folder(name), self._known[name], Dealt(), []
        for one in waiting:
            self._count[name] += 1
            if one.letter is None:
                self._fail(dealt, folder, one, one.reason)
            elif one.letter.key in known:
                dealt.present += 1
            else:
                known.add(one.letter.key)
                sent.append((one, one.letter))
        reasons = undoing.append(self._new, folder, [letter for _, letter in sent]) if sent else []
        for (one, letter), reason in zip(sent, reasons, strict=True):
            if reason:
                known.discard(letter.key)
                self._fail(dealt, folder, one, reason)
            else:
                dealt.copied += 1
        runner.keep(self._job, folder, self._count[name], dealt)
        if "mailbox_full" in reasons:
            raise MailboxFull

    def _fail(self, dealt: Dealt, folder: ImportFolder, one: Found, reason: str) -> None:
        dealt.failures.append(
            ImportFailure(
                folder=folder,
                uid=self._count[folder.target] * 1000 + len(dealt.failures),
                reason=reason,
                size_bytes=one.size_bytes,
                received_at=one.letter.at if one.letter else None,
            )
        )

    def _folder(self, name: str) -> ImportFolder:
        if name not in self._folders:
            self._folders[name] = ImportFolder.objects.create(
                job=self._job, name=name, target=name, chosen=True, place=len(self._folders)
            )
            runner.ensure(self._new, self._folders[name])
            self._known[name] = self._new.known(name)
        return self._folders[name]
