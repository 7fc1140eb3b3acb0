"""One stretch of one import: list the folders of an old mailbox, or copy mails from it until it is done or time is up.

Purpose: exact at any cut. What is dealt with is written down after each batch (UIDVALIDITY and highest UID of the
         folder); what a killed run had appended since is recognised in the new mailbox (``letters.key``), so a mail is
         copied once, whatever dies and however often an import is started.
Process: a child of ``import`` (children.py), one connection to either side.
Hostile: the old server and every mail (source.py, letters.py). A mail that cannot be copied is written down, and the
         next one follows.
Fails:   an error of ours (errors.py) is noted at the job; it is retried or waits for the person (actions.interrupted).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parseaddr
from itertools import batched

from django.conf import settings
from django.db import transaction
from django.db.models import F

from beffroi.lib import clock
from beffroi.mail.doveadm import DoveadmUnavailable
from beffroi.mail.importing import actions, folders, letters, providers, source, target, undoing
from beffroi.mail.importing.errors import ImportStopped, MailboxFull, NewMailboxAway
from beffroi.mail.importing.letters import Head, Letter
from beffroi.mail.importing.models import ImportFailure, ImportFolder, ImportJob, ImportSender
from beffroi.mail.importing.source import OldMailbox
from beffroi.mail.importing.target import NewMailbox
from beffroi.mail.models import Mailbox

BATCH = 100
SLICE_BYTES = 8 * 1024 * 1024
"""Mails held in memory at once, unless a single one is larger."""
STRETCH_S = 600.0
"""Then it makes room for the imports that wait, and is taken up again."""
MAX_SENDERS = 2000
_State = ImportJob.State
_TAKEN_UP = (_State.LISTING, _State.RUNNING, _State.COLLECTING)
_COPYING = (_State.RUNNING, _State.COLLECTING)


@dataclass
class Dealt:
    """What became of a batch."""

    copied: int = 0
    present: int = 0
    failures: list[ImportFailure] = field(default_factory=list)
    fetched_bytes: int = 0
    senders: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    """Who wrote to the old address since the import began: mails, and when last."""


class _TimeUp(Exception):
    """The stretch ends, or a person said stop."""


def run(job_id: str, *, stretch_s: float = STRETCH_S) -> None:
    """Take an import up. Errors: none of its own; what stopped it is written at the job."""
    job = ImportJob.objects.filter(pk=job_id).first()
    if job is None or not (
        job.state == _State.UNDOING or (job.tls != ImportJob.Tls.NONE and job.state in _TAKEN_UP)
    ):
        return
    mailbox = Mailbox.objects.filter(pk=job.mailbox_id, closed_at=None).first()
    if mailbox is None:
        actions.end_all(ImportJob.objects.filter(pk=job.pk))
        return
    if job.state == _State.UNDOING:
        _undo(job, mailbox, time.monotonic() + stretch_s)
        return
    actions.stop_unasked(mailbox.id)  # worker may be behind
    job.refresh_from_db()
    if job.state not in _TAKEN_UP:
        return
    config = settings.BEFFROI
    until = time.monotonic() + stretch_s
    try:
        with source.open_source(config, actions.where(job)) as old:
            if job.state == _State.LISTING:
                keep_folders(job, old)
                return
            with target.open_target(config, mailbox.address) as new:
                _Copy(job, old, new, until, config.import_pause_ms / 1000).all()
        actions.finished(job)
    except _TimeUp:
        return
    except ImportStopped as error:
        actions.interrupted(job, error)


def _undo(job: ImportJob, mailbox: Mailbox, until: float) -> None:
    try:
        with target.open_target(settings.BEFFROI, mailbox.address) as new:
            undoing.take_away(new.client, job, mailbox.address, lambda: _check(job, until, (_State.UNDOING,)))
        actions.undone(job)
    except _TimeUp:
        return
    except DoveadmUnavailable:
        actions.interrupted(job, NewMailboxAway())
    except ImportStopped as error:
        actions.interrupted(job, error)


def _check(job: ImportJob, until: float, states: Collection[str]) -> ImportJob:
    """Errors: _TimeUp."""
    found = ImportJob.objects.get(pk=job.pk)
    if time.monotonic() > until or found.state not in states:
        raise _TimeUp
    return found


@transaction.atomic
def keep_folders(job: ImportJob, old: OldMailbox) -> None:
    """Write down what the old mailbox holds, for the person's choice."""
    found = [(one, folders.place(one.name, one.delimiter, one.flags)) for one in old.folders()]
    # The inbox first; what shows all mails again last, so that it brings only what lies nowhere else.
    found.sort(key=lambda pair: ({"inbox": 0, "all": 2}.get(pair[1].role, 1), pair[0].name))
    job = ImportJob.objects.select_for_update().get(pk=job.pk)
    if job.state != _State.LISTING:
        return
    job.folders.all().delete()
    ImportFolder.objects.bulk_create(
        ImportFolder(
            job=job,
            name=one.name[:1000],
            role=where.role,
            target=where.target,
            chosen=where.chosen,
            place=number,
            total=one.total,
        )
        for number, (one, where) in enumerate(found)
        if len(one.name) <= 1000
    )
    ImportJob.objects.filter(pk=job.pk).update(state=_State.READY, error="", attempts=0)


class _Copy:
    """Both mailboxes open, and how far it may go."""

    def __init__(
        self, job: ImportJob, old: OldMailbox, new: NewMailbox, until: float, pause_s: float
    ) -> None:
        self._job, self._old, self._new, self._until, self._pause_s = job, old, new, until, pause_s
        self._known: dict[str, set[bytes]] = {}

    def all(self) -> None:
        for folder in self._job.folders.filter(chosen=True):
            self._folder(folder)

    def _folder(self, folder: ImportFolder) -> None:
        selected = self._old.select(folder.name)
        if selected is None:
            _keep_failures(folder, [ImportFailure(folder=folder, uid=0, reason="folder_gone")])
            return
        if folder.uidvalidity != selected.uidvalidity:
            # The server numbered its mails anew: look at all of them again, and know them by what they are.
            folder.uidvalidity, folder.uid_done = selected.uidvalidity, 0
        ImportFolder.objects.filter(pk=folder.pk).update(
            uidvalidity=folder.uidvalidity, uid_done=folder.uid_done, total=selected.total
        )
        ready = False
        for uids in self._old.uids(selected, after=folder.uid_done):
            for batch in batched(uids, BATCH, strict=False):
                self._may_go_on()
                if not ready:
                    ready = ensure(self._new, folder)
                dealt = self._batch(folder, batch)
                self._keep(folder, batch[-1], dealt)
                time.sleep(self._pause_s)

    def _may_go_on(self) -> None:
        job = _check(self._job, self._until, _COPYING)
        limit, now = providers.day_bytes(job.host), clock.now()
        if limit and job.day == now.date() and job.day_bytes >= limit:
            tomorrow = now.replace(hour=0, minute=5, second=0, microsecond=0) + timedelta(days=1)
            ImportJob.objects.filter(pk=job.pk).update(next_run_at=tomorrow, error="mail.import_day_over")
            raise _TimeUp

    def _batch(self, folder: ImportFolder, uids: Sequence[int]) -> Dealt:
        dealt = Dealt()
        known = self._known_in(folder)
        wanted: list[Head] = []
        for one in self._old.heads(uids):
            if one.key and one.key in known:
                dealt.present += 1
            elif one.size_bytes > letters.MAX_BYTES:
                dealt.failures.append(_failure(folder, one, "too_large"))
            else:
                wanted.append(one)
        for group in _slices(wanted):
            bodies = self._old.bodies([one.uid for one in group])
            dealt.fetched_bytes += sum(len(raw) for raw in bodies.values())
            self._save(folder, group, bodies, dealt)
        return dealt

    def _save(
        self, folder: ImportFolder, group: Sequence[Head], bodies: dict[int, bytes], dealt: Dealt
    ) -> None:
        known, sent = self._known_in(folder), []
        for one in group:
            raw = bodies.get(one.uid)
            if not raw:
                dealt.failures.append(_failure(folder, one, "unreadable"))
                continue
            letter = Letter(letters.clean(raw), one.flags, one.at)
            if letter.key in known:
                dealt.present += 1
            elif len(letter.data) > letters.MAX_BYTES:
                dealt.failures.append(_failure(folder, one, "too_large"))
            else:
                known.add(letter.key)
                sent.append((one, letter))
        if not sent:
            return
        reasons = undoing.append(self._new, folder, [letter for _, letter in sent])
        for (one, letter), reason in zip(sent, reasons, strict=True):
            if not reason:
                dealt.copied += 1
                if folder.role == "inbox" and one.at > self._job.created_at:
                    _note_sender(dealt, letter)
                continue
            known.discard(letter.key)
            if reason == "mailbox_full":
                # Not written down: taken up again, the import comes back to these mails, and knows what was copied.
                raise MailboxFull
            dealt.failures.append(_failure(folder, one, reason))

    def _known_in(self, folder: ImportFolder) -> set[bytes]:
        """What the new mailbox holds of the folder already; of all folders for one that shows all mails again."""
        targets = [folder.target]
        if folder.role == "all":
            targets += list(self._job.folders.filter(chosen=True).values_list("target", flat=True))
        for one in targets:
            if one not in self._known:
                self._known[one] = self._new.known(one)
        if len(targets) == 1:
            return self._known[folder.target]
        if (together := self._known.get("\0all")) is None:
            together = self._known["\0all"] = set[bytes]().union(*(self._known[one] for one in targets))
        return together

    def _keep(self, folder: ImportFolder, uid: int, dealt: Dealt) -> None:
        keep(self._job, folder, uid, dealt)


def ensure(new: NewMailbox, folder: ImportFolder) -> bool:
    """Where its mails go is there afterwards."""
    if new.ensure(folder.target):
        ImportFolder.objects.filter(pk=folder.pk).update(made=True)
    return True


@transaction.atomic
def keep(job: ImportJob, folder: ImportFolder, uid: int, dealt: Dealt) -> None:
    """Write down that every mail up to ``uid`` was dealt with, and how."""
    _keep_failures(folder, dealt.failures)
    ImportFolder.objects.filter(pk=folder.pk).update(
        uid_done=uid, copied=F("copied") + dealt.copied, present=F("present") + dealt.present
    )
    _keep_senders(job, dealt)
    today = clock.now().date()
    row = ImportJob.objects.select_for_update().get(pk=job.pk)
    before = row.day_bytes if row.day == today else 0
    ImportJob.objects.filter(pk=job.pk).update(
        day=today, day_bytes=before + dealt.fetched_bytes, attempts=0, error=""
    )


def _keep_failures(folder: ImportFolder, failures: Sequence[ImportFailure]) -> None:
    ImportFailure.objects.bulk_create(failures, ignore_conflicts=True)
    ImportFolder.objects.filter(pk=folder.pk).update(failed=folder.failures.count())


def _note_sender(dealt: Dealt, letter: Letter) -> None:
    text = letters.field(letters.header_of(letter.data), b"from").decode("latin-1")
    try:
        address = parseaddr(text)[1].lower()
    except RecursionError:  # a thousand colons
        return
    if 3 <= len(address) <= 254 and "@" in address and address.isprintable():
        mails, last_at = dealt.senders.get(address, (0, letter.at))
        dealt.senders[address] = (mails + 1, max(last_at, letter.at))


def _keep_senders(job: ImportJob, dealt: Dealt) -> None:
    for address, (mails, last_at) in dealt.senders.items():
        known = job.senders.filter(address=address)
        if known.update(mails=F("mails") + mails, last_at=last_at):
            continue
        if job.senders.count() < MAX_SENDERS:
            ImportSender.objects.create(job=job, address=address, mails=mails, last_at=last_at)


def _failure(folder: ImportFolder, one: Head, reason: str) -> ImportFailure:
    return ImportFailure(
        folder=folder,
        uidvalidity=folder.uidvalidity,
        uid=one.uid,
        reason=reason,
        size_bytes=one.size_bytes,
        received_at=one.at,
    )


def _slices(wanted: Sequence[Head]) -> Iterator[list[Head]]:
    group: list[Head] = []
    size = 0
    for one in wanted:
        if group and size + one.size_bytes > SLICE_BYTES:
            yield group
            group, size = [], 0
        group.append(one)
        size += one.size_bytes
    if group:
        yield group
