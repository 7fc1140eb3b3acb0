"""Carry an erasure out: count, destroy the key, take the files away. Each step may be repeated after a cut.

Purpose: first the key, in the transaction that says that it has begun: from then on the mailbox opens nowhere, in no
         backup either, whatever happens to the files. Then the files, by the keeper of the backups, which alone may.
Process: a child of worker (``children``); IMAP and doveadm on loopback, STATE/run/backup.sock.
Fails:   it waits, and says for what ("incident", "export", "restored", "engine", "backup"): before the key goes,
         everything is as it was; afterwards what is left is unreadable, and goes as soon as the keeper answers.
Source:  docs/decisions/0052-closed-mailboxes.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import batched

from django.conf import settings
from django.db import transaction

from beffroi.core.events.outbox import restored_lately
from beffroi.lib import clock
from beffroi.lib.envelopes import KeyUnreadable
from beffroi.mail import doveadm, projections
from beffroi.mail.backup import asking
from beffroi.mail.backup.asking import BackupRefused, BackupUnavailable
from beffroi.mail.backup.consumers import keep_rows
from beffroi.mail.closing import erasures, opening, queries
from beffroi.mail.closing.actions import SYSTEM
from beffroi.mail.closing.models import Erasure, Export
from beffroi.mail.closing.opening import ClosedMailbox, NotClosed
from beffroi.mail.doveadm import Doveadm, DoveadmUnavailable
from beffroi.mail.engines import layout
from beffroi.mail.filters.models import Absence, FilterRule, Signature
from beffroi.mail.held.models import HeldMail, SenderRule
from beffroi.mail.importing.models import ImportJob, MovedPlace
from beffroi.mail.models import Mailbox
from beffroi.mail.noted import change, record
from beffroi.mail.people.models import Handling, Note
from beffroi.mail.quota.models import MailboxRoom
from beffroi.mail.reader import MailboxUnavailable
from beffroi.mail.scripts.models import PersonalScript

AGAIN_S = 60
_SLICE = 1000
_OF_ITS_PEOPLE = (
    HeldMail,
    SenderRule,
    Handling,
    Note,
    Absence,
    FilterRule,
    Signature,
    PersonalScript,
    ImportJob,
    MovedPlace,
    MailboxRoom,
)
"""Rows that say something of mails, or that its owner wrote; its room. Forwards stay: they tell who could have read."""


@dataclass(frozen=True)
class Inventory:
    """As the columns of ``Erasure``."""

    mails: int
    private: int
    hidden: int
    size_bytes: int
    sha256: str


def run(erasure: Erasure) -> None:
    """Go on with it. Errors: none of its own; for what it waits is written down."""
    if erasure.state == Erasure.State.GRANTED and not _begin(erasure):
        return
    erasure.refresh_from_db()
    if erasure.state == Erasure.State.ERASING:
        _finish(erasure)


def _begin(erasure: Erasure) -> bool:
    """Count, and destroy the key."""
    mailbox = Mailbox.objects.get(pk=erasure.mailbox_id)
    if not erasures.stands(erasure, mailbox):
        with transaction.atomic():
            erasures.call_back(actor=SYSTEM, erasure=erasure)
        return False
    if erasures.held(mailbox):
        return _wait(erasure, "incident", 3600)
    if Export.objects.filter(mailbox_id=mailbox.id, state__in=queries.OPEN_EXPORTS).exists():
        return _wait(erasure, "export", AGAIN_S)
    if mailbox.crypt_key and restored_lately():
        return _wait(erasure, "restored", 3600)
    try:
        found = inventory(mailbox)
    except (MailboxUnavailable, DoveadmUnavailable, NotClosed, KeyUnreadable):
        return _wait(erasure, "engine", AGAIN_S)
    with transaction.atomic():
        locked = Erasure.objects.select_for_update().get(pk=erasure.pk)
        still = Mailbox.objects.filter(pk=mailbox.pk).exclude(closed_at=None)
        if locked.state != Erasure.State.GRANTED or not still.update(crypt_key=""):
            return False
        change(
            locked, state=Erasure.State.ERASING, waits_for="", begun_at=clock.now(), mails=found.mails,
            private=found.private, hidden=found.hidden, size_bytes=found.size_bytes, inventory_sha256=found.sha256,
        )  # fmt: skip
        record(SYSTEM, "mail:erasure:begun", locked, mails=found.mails, inventory=found.sha256)
    return True


def inventory(mailbox: Mailbox) -> Inventory:
    """Count what it holds; nothing where its key is destroyed: a database of before may have been restored meanwhile.

    Errors: NotClosed, KeyUnreadable, MailboxUnavailable, DoveadmUnavailable.
    """
    if not mailbox.crypt_key:
        return Inventory(0, 0, 0, 0, "")
    config = settings.BEFFROI
    with opening.opened(mailbox) as name:
        with opening.connected(name) as box:
            rows = sorted(_mails(box))
            private = _personal(box)
        engine = Doveadm(config)
        asked = [doveadm.uids(name, engine.quarantine), doveadm.uids(name, layout.deleted_folder(config))]
        hidden = sum(len(found or ()) for found in engine.run(asked))
    lines = "".join(f"{guid} {size}\n" for guid, size in rows)
    return Inventory(
        len(rows), private, hidden, sum(size for _, size in rows), hashlib.sha256(lines.encode()).hexdigest()
    )


def _mails(box: ClosedMailbox) -> Iterator[tuple[str, int]]:
    for folder, _ in box.all_folders():
        box.client.select_folder(folder, readonly=True)
        uids = box.client.search("ALL")
        for some in batched(uids, _SLICE, strict=False):
            for row in box.client.fetch(some, ["X-GUID", "RFC822.SIZE"]).values():
                yield row[b"X-GUID"].decode("ascii"), row[b"RFC822.SIZE"]


def _personal(box: ClosedMailbox) -> int:
    return box.personal_folders() + sum(box.select(one)[1] for one in box.folders())


def _finish(erasure: Erasure) -> None:
    """The key is gone: the rest goes, too."""
    mailbox = Mailbox.objects.get(pk=erasure.mailbox_id)
    config = settings.BEFFROI
    projections.remove_mailbox(config, mailbox_id=mailbox.id, address=mailbox.address)
    projections.put_script(config, mailbox_id=mailbox.id, script="")
    projections.put_own_script(config, mailbox_id=mailbox.id, script="")
    keep_rows()
    try:
        asking.ask(config, "erase", mailbox_id=mailbox.id)
    except (BackupUnavailable, BackupRefused):
        _wait(erasure, "backup", AGAIN_S)
        return
    with transaction.atomic():
        for model in _OF_ITS_PEOPLE:
            model._default_manager.filter(mailbox_id=mailbox.id).delete()
        locked = Erasure.objects.select_for_update().get(pk=erasure.pk)
        if locked.state == Erasure.State.ERASING:
            change(locked, state=Erasure.State.DONE, waits_for="", done_at=clock.now())
            record(SYSTEM, "mail:erasure:done", locked, mails=locked.mails, inventory=locked.inventory_sha256)


def _wait(erasure: Erasure, what: str, again_s: int) -> bool:
    again = clock.now() + timedelta(seconds=again_s)
    Erasure.objects.filter(pk=erasure.pk).update(waits_for=what, next_run_at=again)
    return False
