"""Ask for an export of a closed mailbox, take it, end it. Each is one transaction: change and audit row.

Who may: a référent, for the mailboxes of the own collectivité. The Département makes and takes none.
Process: web (what a person asks for); a child of worker (what becomes of it); worker (its end by time).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F

from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, envelopes
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict
from beffroi.mail import keys
from beffroi.mail.closing import queries, vault
from beffroi.mail.closing.models import Export
from beffroi.mail.models import Mailbox
from beffroi.mail.noted import change, record

EXPORT_DAYS = 7
"""How long a finished export can be downloaded; then its file and its key are gone."""
SYSTEM = Actor.system("mail.closing")


class ExportOver(Conflict):
    """The time of this export is over, or it is not ready; ask for a new one."""

    code = "mail.export_over"


def folder(config: Config) -> Path:
    return config.state / "exports"


def path_of(config: Config, export_id: str) -> Path:
    return folder(config) / f"{export_id}.sealed"


@transaction.atomic
def ask_export(*, actor: Actor, mailbox: Mailbox) -> Export:
    """Errors: NotFound, Conflict (one is under way, or the mailbox is erased or being erased)."""
    found = queries.access_closed(actor, mailbox.id)
    erasure = queries.erasure_of(found)
    if not found.crypt_key or (erasure is not None and erasure.state == erasure.State.ERASING):
        raise Conflict("this mailbox is erased")
    try:
        with transaction.atomic():
            made = Export.objects.create(
                mailbox_id=found.id, collectivite_id=found.collectivite_id, asked_by=actor.id
            )
    except IntegrityError:
        raise Conflict("an export of this mailbox is under way") from None
    record(actor, "mail:export:asked", made)
    return made


def download(*, actor: Actor, export: Export) -> tuple[Iterator[bytes], int]:
    """The ZIP in pieces, and its size in bytes; that it was taken is written down before the first one.

    Errors: NotFound, ExportOver, FileDamaged.
    """
    with transaction.atomic():
        queries.access_export(actor, export.mailbox_id, export.id)
        outbox.serialise()
        locked = Export.objects.select_for_update().get(pk=export.pk)
        if locked.state != Export.State.READY or locked.ends_at is None or locked.ends_at <= clock.now():
            raise ExportOver
        Export.objects.filter(pk=locked.pk).update(downloads=F("downloads") + 1)
        record(actor, "mail:export:downloaded", locked, sha256=locked.sha256)
    config = settings.BEFFROI
    outer = keys.commune_key(config, locked.collectivite_id)
    key = bytes.fromhex(envelopes.unwrap(outer, locked.key, locked.id).decode())
    pieces = vault.read(path_of(config, locked.id), key, locked.id)
    # A file that is gone or damaged from its begin is an error page, not half a download.
    first = next(pieces)
    return _chain(first, pieces), locked.size_bytes


def _chain(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


@transaction.atomic
def end_export(*, actor: Actor, export: Export) -> None:
    """Stop one that is under way, or delete the file of one that is there. Errors: NotFound, Conflict (over)."""
    queries.access_export(actor, export.mailbox_id, export.id)
    if not _end(actor, export):
        raise Conflict("this export is over")


@transaction.atomic
def end_with_all(export: Export) -> None:
    """The whole collectivité is erased: its file goes, whatever it was doing."""
    _end(SYSTEM, export)


def end_old(ids: list[Any]) -> int:
    """By the purge: those whose days are over."""
    with transaction.atomic():
        return sum(_end(SYSTEM, one) for one in Export.objects.filter(pk__in=ids))


def _end(actor: Actor, export: Export) -> bool:
    outbox.serialise()
    locked = Export.objects.select_for_update().get(pk=export.pk)
    if locked.state not in (*queries.OPEN_EXPORTS, Export.State.READY):
        return False
    change(locked, state=Export.State.ENDED, key="")
    record(actor, "mail:export:ended", locked)
    path = path_of(settings.BEFFROI, locked.id)
    # Without the key it says nothing; a rollback meanwhile keeps both.
    transaction.on_commit(lambda: path.unlink(missing_ok=True))
    return True


@transaction.atomic
def take_up(export: Export) -> Export | None:
    """The job begins it, or begins it again; None if somebody stopped it."""
    locked = Export.objects.select_for_update().get(pk=export.pk)
    if locked.state not in queries.OPEN_EXPORTS:
        return None
    change(locked, state=Export.State.RUNNING, attempts=locked.attempts + 1, done=0, total=0, left_out=0)
    return locked


def progress(export: Export, *, done: int) -> bool:
    """False if somebody stopped it."""
    rows = Export.objects.filter(pk=export.pk, state=Export.State.RUNNING)
    return bool(rows.update(done=done, changed_at=clock.now()))


@transaction.atomic
def ready(export: Export, *, key: bytes, **values: Any) -> bool:
    """The file lies there whole. ``values``: ``size_bytes``, ``sha256``, ``manifest_sha256``. False, and nothing is
    changed, if somebody stopped it or the mailbox was reopened."""
    outbox.serialise()
    locked = Export.objects.select_for_update().get(pk=export.pk)
    closed = Mailbox.objects.filter(pk=locked.mailbox_id).exclude(closed_at=None).exists()
    if locked.state != Export.State.RUNNING or not closed:
        return False
    outer = keys.commune_key(settings.BEFFROI, locked.collectivite_id)
    now = clock.now()
    change(
        locked, state=Export.State.READY, key=envelopes.wrap(outer, key.hex().encode(), locked.id), error="",
        ready_at=now, ends_at=now + timedelta(days=EXPORT_DAYS), **values,
    )  # fmt: skip
    record(SYSTEM, "mail:export:ready", locked, mails=locked.done, left_out=locked.left_out, **values)
    return True


@transaction.atomic
def failed(export: Export, error: str, *, again_s: int | None) -> None:
    """Write down why; it is tried again after ``again_s``, or, with None, over."""
    outbox.serialise()
    locked = Export.objects.select_for_update().get(pk=export.pk)
    if locked.state not in queries.OPEN_EXPORTS:
        return
    if again_s is not None:
        change(locked, error=error, next_run_at=clock.now() + timedelta(seconds=again_s))
        return
    change(locked, state=Export.State.FAILED, error=error)
    record(SYSTEM, "mail:export:failed", locked, why=error)
