"""What an import brought: written down as it comes, found again, and taken away again.

Purpose: an import into the wrong mailbox, or of the wrong archive, is undone in one go. What goes lies among the
         deleted mails for 30 days, as any other; what its owner answered, forwarded or starred since stays, and so does
         what is not where the import put it.
Process: import's children and cli (``append``), web (``weigh``), a child of ``import`` (``take_away``).
Fails:   exact at any cut: what an APPEND is about to bring is written down before, what goes before it goes.
Source:  docs/decisions/0128-undoing-an-import.md; RFC 4315 (APPENDUID, UID EXPUNGE).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched, groupby
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError

from beffroi.mail import doveadm
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.importing import source
from beffroi.mail.importing.letters import Letter
from beffroi.mail.importing.models import ImportedMails, ImportFolder, ImportJob
from beffroi.mail.importing.target import NewMailbox, keyed

MARKS: dict[bytes, list[str]] = {
    b"\\Answered": ["ANSWERED"],
    b"\\Flagged": ["FLAGGED"],
    b"$Forwarded": ["KEYWORD", "$Forwarded"],
}
"""By which a mail says that somebody worked with it. To have read it is no reason to keep it."""
TOGETHER = 5
"""Rows that go in one step: of ``runner.BATCH`` mails at most."""
KEY_BYTES = 16


@dataclass(frozen=True)
class Weighed:
    """``goes``: mails that would go; ``used``: were answered, forwarded or starred since; ``elsewhere``: are not
    where the import put them: moved, or deleted."""

    goes: int = 0
    used: int = 0
    elsewhere: int = 0


def append(new: NewMailbox, folder: ImportFolder, found: Sequence[Letter]) -> list[str]:
    """Save mails and write down which they are; return for each "" or why it was refused (``NewMailbox.append``)."""
    uidvalidity, uidnext = new.numbers(folder.target)
    row = ImportedMails.objects.create(
        folder=folder, uidvalidity=uidvalidity, after=uidnext - 1, keys=b"".join(one.key for one in found)
    )
    saved = new.append(folder.target, found)
    came = [(told.uid, one) for told, one in zip(saved, found, strict=True) if not told.reason]
    if not came:
        row.delete()
    elif all(uid for uid, _ in came):
        marks = {
            mark.decode(): _text({uid for uid, one in came if mark in one.flags})
            for mark in MARKS
            if any(mark in one.flags for _, one in came)
        }
        row.keys, row.uids, row.marks = b"", _text({uid for uid, _ in came}), json.dumps(marks)
        row.save(update_fields=["keys", "uids", "marks"])
    return [told.reason for told in saved]


def left(job: ImportJob) -> int:
    """How many of the mails that it brought are on its list, as far as is known."""
    rows = ImportedMails.objects.filter(folder__job=job)
    return sum(len(_uids(uids)) or len(keys) // KEY_BYTES for uids, keys in rows.values_list("uids", "keys"))


def unlisted(job: ImportJob) -> int:
    """How many of the mails that it brought are on no list, since they came before there was one: they stay."""
    copied = sum(job.folders.values_list("copied", flat=True))
    return max(0, copied - left(job) - job.taken - job.stayed)


def weigh(client: Any, job: ImportJob) -> Weighed:
    """What would become of each mail. ``client``: the open mailbox. Changes nothing."""
    goes = used = elsewhere = 0
    for rows in _steps(job, 10 * TOGETHER):
        going, kept, gone = _judged(client, rows)
        goes, used, elsewhere = goes + len(going), used + kept, elsewhere + gone
    return Weighed(goes, used, elsewhere)


def take_away(client: Any, job: ImportJob, address: str, may_go_on: Callable[[], object]) -> None:
    """All that goes, then the folders that the import made, where they are empty. ``may_go_on`` is asked before each
    step, and raises. Errors: DoveadmUnavailable."""
    for rows in _steps(job, TOGETHER):
        may_go_on()
        _take(client, job, rows)
    may_go_on()
    made = set(job.folders.filter(made=True).values_list("target", flat=True))
    # Those below first. One that is not empty, or is gone, is refused.
    Doveadm(settings.BEFFROI).run(
        [doveadm.delete_empty_folder(address, one) for one in sorted(made, reverse=True)], at_once=1
    )


def _steps(job: ImportJob, size: int) -> Iterator[tuple[ImportedMails, ...]]:
    """Rows of one folder and one UIDVALIDITY each."""
    rows = ImportedMails.objects.filter(folder__job=job).select_related("folder")
    found = rows.order_by("folder__place", "folder_id", "uidvalidity", "pk")
    for _, together in groupby(list(found), key=lambda one: (one.folder_id, one.uidvalidity)):
        yield from batched(together, size, strict=False)


def _take(client: Any, job: ImportJob, rows: Sequence[ImportedMails]) -> None:
    fresh = [one for one in rows if not one.weighed]
    if fresh:
        going, used, elsewhere = _judged(client, fresh, readonly=False)
        with transaction.atomic():
            ImportJob.objects.filter(pk=job.pk).update(stayed=F("stayed") + used + elsewhere)
            for one in fresh:
                one.uids, one.keys, one.weighed = _text(_listed(client, one) & going), b"", True
                one.save(update_fields=["uids", "keys", "weighed"])
    goes = {uid for one in rows for uid in _uids(one.uids)}
    if goes and _open(client, rows[0], readonly=False) and (there := _among(client, goes)):
        # Not a move: Dovecot keeps what is expunged by itself (mail/deleted.py).
        client.add_flags(sorted(there), [b"\\Deleted"], silent=True)
        client.uid_expunge(sorted(there))
    with transaction.atomic():
        ImportJob.objects.filter(pk=job.pk).update(taken=F("taken") + len(goes))
        ImportedMails.objects.filter(pk__in=[one.pk for one in rows]).delete()


def _judged(
    client: Any, rows: Sequence[ImportedMails], *, readonly: bool = True
) -> tuple[set[int], int, int]:
    """The numbers of mails that go; how many were used since; how many lie elsewhere."""
    if not _open(client, rows[0], readonly=readonly):
        return set(), 0, sum(len(_uids(one.uids)) for one in rows)
    brought = {uid for one in rows for uid in _listed(client, one)}
    there = _among(client, brought)
    used = set[int]()
    for mark, words in MARKS.items():
        came = {uid for one in rows for uid in _uids(json.loads(one.marks).get(mark.decode(), ""))}
        used |= _among(client, there, *words) - came
    return there - used, len(used), len(brought) - len(there)


def _open(client: Any, row: ImportedMails, *, readonly: bool) -> bool:
    """False where the folder is gone, or is another one by the same name."""
    try:
        found = client.select_folder(row.folder.target, readonly=readonly)
    except IMAPClientAbortError:
        raise
    except IMAPClientError:
        return False
    return source.selected(found).uidvalidity == row.uidvalidity


def _listed(client: Any, row: ImportedMails) -> set[int]:
    """In the folder that is open, which mails the row tells of. Those whose APPEND was cut off are known by their keys,
    unless another one, of any import, brought them; which marks they came with is not known: any mark keeps them."""
    if not row.keys:
        return _uids(row.uids)
    there = ImportedMails.objects.filter(uidvalidity=row.uidvalidity, folder__target=row.folder.target)
    others = there.filter(folder__job__mailbox_id=row.folder.job.mailbox_id).values_list("uids", flat=True)
    known = {uid for text in others for uid in _uids(text)}
    keys = {bytes(one) for one in batched(bytes(row.keys), KEY_BYTES, strict=True)}
    total = source.Selected(row.uidvalidity, 0, 1)
    return {uid for uid, key in keyed(client, total, after=row.after) if key in keys and uid not in known}


def _among(client: Any, uids: Collection[int], *words: str) -> set[int]:
    return set(client.search(["UID", _text(uids), *words])) if uids else set()


def _text(uids: Collection[int]) -> str:
    """In IMAP's words: "4:9,12"."""
    runs: list[list[int]] = []
    for uid in sorted(uids):
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in runs)


def _uids(text: str) -> set[int]:
    found = set[int]()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition(":")
        found.update(range(int(first), int(last or first) + 1))
    return found
