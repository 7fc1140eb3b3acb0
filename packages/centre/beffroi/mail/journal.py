"""Follow Dovecot's journal of deliveries: which mailbox really holds a copy, after aliases and filters.

Purpose: each line becomes a ``mail_delivery`` (and ``mail:delivered`` tells of them), or waits for its evidence.
Process: remediation; the journal is written by Dovecot also while nothing of ours is running.
Hostile: Message-ID and addresses in the lines. The Message-ID only finds candidates; our header decides.
Fails:   nothing is skipped: position and result are kept in one transaction, and only then what was read is given
         back to the disk (``holes``). A line that does not parse is counted in the log and passed over.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db import transaction

from beffroi.core.events.outbox import publish
from beffroi.lib import clock
from beffroi.lib.ids import made_at_s
from beffroi.mail import doveadm, holes
from beffroi.mail.doveadm import Doveadm, Rows
from beffroi.mail.engines import layout
from beffroi.mail.gate.facts import bare_message_id, hash_of_message_id, is_named, signs_of_name
from beffroi.mail.models import (
    JournalPosition,
    Mailbox,
    MailDelivery,
    MailMessage,
    MailRecipient,
    PendingDelivery,
)
from beffroi.mail.naming import base_address

log = logging.getLogger("beffroi.mail.journal")
NAME = "deliveries"
MAX_LINES = 500
MAX_TOLD = 100
"""Copies in one event."""
RELEASE_BYTES = 1024 * 1024
"""The file takes about this much of the disk at most, beside what is not read yet."""
_MAX_LINE_BYTES = 256 * 1024
NAMELESS_WITHIN = timedelta(days=1)
MAX_NAME = 150
"""Dovecot writes 200 signs of a Message-ID at most."""


@dataclass(frozen=True)
class Line:
    """One saved copy: whose, which Message-ID ("" for one that names no mail), when."""

    address: str
    message_id: str
    at: datetime


def parse(raw: bytes) -> Line | None:
    """None when the line tells of no saved copy."""
    try:
        event = json.loads(raw)
        fields = event["fields"]
        if event["event"] != "mail_delivery_finished" or fields.get("error"):
            return None
        at = datetime.fromisoformat(str(event["end_time"]))
        name = signs_of_name(str(fields.get("message_id", "")))
        return Line(str(fields["user"]).lower()[:320], name if len(name) <= MAX_NAME else "", at)
    except (ValueError, KeyError, TypeError, AttributeError):
        log.warning("a line of the journal was not understood (%d bytes)", len(raw))
        return None


def follow() -> int:
    """Read what was appended; return how many lines. Takes a rotated file to its end first."""
    path = layout.Paths(settings.BEFFROI.state).journal
    position = JournalPosition.objects.get_or_create(pk=NAME)[0]
    total = 0
    for file in _files(path, position.inode):
        with file.open("rb") as handle:
            inode = os.fstat(handle.fileno()).st_ino
            offset = position.offset_bytes if inode == position.inode else 0
            if os.fstat(handle.fileno()).st_size < offset:
                offset = 0  # emptied by somebody: its lines are new ones
            offset = holes.data_from(handle, offset)
            while True:
                count, offset = _take(handle, inode, offset)
                total += count
                if count < MAX_LINES:
                    break
            position.inode, position.offset_bytes = inode, offset
            if holes.allocated_bytes(handle) >= RELEASE_BYTES:
                _release(file, offset)
        _tidy(file, path, offset)
    return total


def _files(path: Path, inode: int) -> Iterator[Path]:
    """The rotated file first, unless it was read to its end."""
    old = path.with_name(path.name + ".1")
    if old.exists() and not (path.exists() and path.stat().st_ino == inode):
        yield old
    if path.exists():
        yield path


def _take(handle: BinaryIO, inode: int, offset: int) -> tuple[int, int]:
    handle.seek(offset)
    lines: list[bytes] = []
    for raw in handle:
        if not raw.endswith(b"\n"):
            break  # half written: next time
        offset += len(raw)
        lines.append(raw)
        if len(lines) >= MAX_LINES:
            break
    if lines:
        with transaction.atomic():
            parsed = [parse(raw) for raw in lines if len(raw) <= _MAX_LINE_BYTES]
            PendingDelivery.objects.bulk_create(
                PendingDelivery(address=one.address, message_id=one.message_id, delivered_at=one.at)
                for one in attach([one for one in parsed if one is not None])
            )
            JournalPosition.objects.filter(pk=NAME).update(inode=inode, offset_bytes=offset)
    return len(lines), offset


def _release(file: Path, offset: int) -> None:
    try:
        holes.release(file, offset)
    except OSError as error:
        log.warning(
            "the read part of the journal stays on disk until Dovecot's next start: %s", error.strerror
        )


def _tidy(file: Path, path: Path, offset: int) -> None:
    """Delete a rotated file that was read to its end. Rotation happens before Dovecot starts (engines.dovecot)."""
    if file != path and file.stat().st_size <= offset:
        file.unlink()


def attach(lines: Sequence[Line]) -> list[Line]:
    """Tie saved copies to their messages, by a few queries for all of them; return those whose message is not known
    (yet). Inside a transaction."""
    found = Mailbox.objects.filter(address__in={base_address(one.address) for one in lines})
    mailboxes = {one.address: one for one in found}
    open_ = _without_copy(lines, mailboxes)
    made: list[MailDelivery] = []
    unknown: list[Line] = []
    for line in lines:
        mailbox = mailboxes.get(base_address(line.address))
        if mailbox is None:
            continue  # no mailbox of ours: nothing to protect
        key = mailbox.id, hash_of_message_id(line.message_id)
        candidates = open_.get(key, [])
        # The last that had come: an older one may still wait for room in Postfix's queue.
        if not line.message_id:
            candidates = [one for one in candidates if made_at_s(one) <= line.at.timestamp()][-1:]
        if len(candidates) == 1:
            (message_id,) = candidates
            open_[key].remove(message_id)
            made.append(_copy(mailbox, message_id, line.at))
        else:
            unknown.append(line)
    MailDelivery.objects.bulk_create(made)
    _tell(made)
    return unknown


def _without_copy(
    lines: Sequence[Line], mailboxes: Mapping[str, Mailbox]
) -> dict[tuple[str, str], list[str]]:
    """Of each mailbox and hash of a Message-ID, the messages for it that were not refused and have no copy on
    record, the oldest first."""
    hashes = {hash_of_message_id(one.message_id) for one in lines if one.message_id}
    sought = MailMessage.objects.filter(message_id_hash__in=hashes)
    hash_of = dict(sought.exclude(verdict__contains='"action":"reject"').values_list("id", "message_id_hash"))
    hash_of |= dict.fromkeys(_nameless(lines), hash_of_message_id(""))
    found: dict[tuple[str, str], list[str]] = {}
    for ids in batched(hash_of, MAX_LINES, strict=False):
        copies = MailDelivery.objects.filter(message_id__in=ids).values_list("message_id", "mailbox_id")
        known = set(copies)
        rows = MailRecipient.objects.filter(message_id__in=ids, address__in=list(mailboxes))
        for message_id, address in rows.order_by("message_id").values_list("message_id", "address"):
            mailbox_id = mailboxes[address].id
            if (message_id, mailbox_id) not in known:
                found.setdefault((mailbox_id, hash_of[message_id]), []).append(message_id)
    return found


def _nameless(lines: Sequence[Line]) -> list[str]:
    """Messages of the last day for the mailboxes of lines without a Message-ID: those whose own Dovecot cannot read, or
    writes a part of."""
    lost = [one for one in lines if not one.message_id]
    if not lost:
        return []
    to = MailRecipient.objects.filter(address__in={base_address(one.address) for one in lost})
    rows = MailMessage.objects.filter(
        received_at__gte=min(one.at for one in lost) - NAMELESS_WITHIN, pk__in=to.values("message_id")
    ).exclude(verdict__contains='"action":"reject"')
    said = rows.values_list("id", "message_id")
    return [pk for pk, one in said if not is_named(one) or len(bare_message_id(one)) > MAX_NAME]


def record(mailbox: Mailbox, message_id: str, at: datetime, folder: str = "INBOX") -> bool:
    """Keep one copy and tell of it; False when it was known. Inside a transaction."""
    if MailDelivery.objects.filter(message_id=message_id, mailbox_id=mailbox.id).exists():
        return False
    copy = _copy(mailbox, message_id, at, folder)
    copy.save(force_insert=True)
    _tell([copy])
    return True


def _copy(mailbox: Mailbox, message_id: str, at: datetime, folder: str = "INBOX") -> MailDelivery:
    return MailDelivery(
        message_id=message_id,
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        folder=folder[:255],
        delivered_at=at,
    )


def _tell(copies: Sequence[MailDelivery]) -> None:
    """One event for many copies: what follows them looks at all of them at once."""
    for some in batched(copies, MAX_TOLD, strict=False):
        publish("mail:delivered", {"copies": [(one.message_id, one.mailbox_id) for one in some]})


def settle(waiting: Sequence[PendingDelivery]) -> list[PendingDelivery]:
    """Try waiting copies again, all at once; return those that are settled."""
    lines = [Line(one.address, one.message_id, one.delivered_at) for one in waiting]
    with transaction.atomic():
        unknown = {id(line) for line in attach(lines)}
        settled = [one for one, line in zip(waiting, lines, strict=True) if id(line) not in unknown]
        PendingDelivery.objects.filter(pk__in=[one.pk for one in settled]).delete()
    return settled


def confirmed_copies(engine: Doveadm, waiting: Sequence[PendingDelivery]) -> dict[int, Rows]:
    """By primary key, what lies in the mailbox under the Message-ID of each, with our own identifier.

    Errors: DoveadmUnavailable.
    """
    asked = [doveadm.by_message_id(base_address(one.address), one.message_id) for one in waiting]
    return {
        one.pk: [row for row in rows or () if row.get("hdr.x-beffroi-id")]
        for one, rows in zip(waiting, engine.run(asked), strict=True)
    }


def age_s(pending: PendingDelivery) -> float:
    return (clock.now() - pending.first_tried_at).total_seconds()
