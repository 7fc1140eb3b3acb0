"""The writes of an import: what a person says (begin, choose, pause, resume, cancel), and how it ends.

Each is one transaction: change, audit row, outbox event. What a runner counts meanwhile is in ``progress``.
Process: web, cli; ``import`` for what ends by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.events import outbox
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, envelopes
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.mail import keys
from beffroi.mail import queries as mail
from beffroi.mail.importing import queries
from beffroi.mail.importing.errors import AskerGone, FieldInvalid, ImportStopped
from beffroi.mail.importing.models import ImportJob, MovedPlace
from beffroi.mail.importing.source import Where
from beffroi.mail.models import Mailbox

_State = ImportJob.State
ACTOR, COMMAND = Actor.system("import"), Actor.system("mail-command")
CHANGED, ENDED = "mail:import_changed", "mail:import_ended"
PLACES = (
    "impots",
    "service_public",
    "chorus_pro",
    "prefecture",
    "sgc",
    "helios",
    "caf",
    "insee",
    "centre_gestion",
    "banque",
    "energie",
    "assurance",
    "logiciels",
    "site",
    "annuaire",
)
"""Where a town hall has given its old address."""
MAX_OPEN = 3
"""Imports into one mailbox at once."""
COLLECT = timedelta(days=365)
COLLECT_EVERY = timedelta(minutes=15)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5, 3600
MAX_ATTEMPTS = 30
"""In a row without one mail dealt with: about a day. Then a person is asked."""


@transaction.atomic
def begin(*, actor: Actor, mailbox: Mailbox, where: Where) -> ImportJob:
    """Ask an old mailbox for its folders; nothing is copied yet.

    Errors: NotFound (not the actor's own mailbox), FieldInvalid (host, port, username, password), Conflict (too many).
    """
    mailbox = mail.access_mailbox(actor, mailbox.id)
    _check(where)
    mine = ImportJob.objects.filter(mailbox_id=mailbox.id, state__in=queries.OPEN)
    if mine.exclude(tls=ImportJob.Tls.NONE).count() >= MAX_OPEN:
        raise Conflict("other imports into this mailbox are not over")
    job = ImportJob(
        collectivite_id=mailbox.collectivite_id,
        mailbox_id=mailbox.id,
        asked_by=actor.id,
        host=where.host.strip().lower(),
        port=where.port,
        tls=where.tls,
        username=where.username.strip(),
    )
    job.password = _wrapped(job, where.password)
    job.save(force_insert=True)
    _record(actor, "begun", job)
    return job


def _check(where: Where) -> None:
    host = where.host.strip()
    if not 1 <= len(host) <= 253 or any(not (one.isalnum() or one in ".-:") for one in host):
        raise FieldInvalid("host")
    if not 1 <= where.port <= 65535 or where.tls not in (ImportJob.Tls.IMPLICIT, ImportJob.Tls.STARTTLS):
        raise FieldInvalid("port")
    for name, text in (("username", where.username.strip()), ("password", where.password)):
        if not 1 <= len(text) <= 254 or any(ord(one) < 0x20 for one in text):
            raise FieldInvalid(name)


@transaction.atomic
def choose(*, actor: Actor, job: ImportJob, folder_ids: Collection[int], collect: bool) -> None:
    """Copy these folders; ``collect``: then go on for a year with what still arrives there.

    Errors: NotFound, Conflict, Invalid ("folders").
    """
    locked = _own(actor, job)
    if locked.state != _State.READY:
        raise Conflict("the folders are not to be chosen now")
    wanted = locked.folders.filter(pk__in=folder_ids)
    if not wanted.exists():
        raise Invalid("folders")
    locked.folders.update(chosen=False)
    wanted.update(chosen=True)
    until = clock.now() + COLLECT if collect else None
    _set(locked, state=_State.RUNNING, next_run_at=clock.now(), collect_until=until)
    _record(actor, "chosen", locked, folders=len(folder_ids))


@transaction.atomic
def pause(*, actor: Actor, job: ImportJob) -> None:
    """Errors: Conflict."""
    locked = _own(actor, job)
    if locked.state not in (_State.RUNNING, _State.COLLECTING):
        raise Conflict("it is not running")
    _set(locked, state=_State.PAUSED, error="")
    _record(actor, "paused", locked)


@transaction.atomic
def resume(*, actor: Actor, job: ImportJob, password: str = "") -> None:
    """Go on where it stopped; ``password``: a new one, where the old one was refused or is forgotten. Who gives it asks
    for the import from now on. Errors: Conflict, Invalid."""
    locked = _own(actor, job)
    if locked.state != _State.PAUSED:
        raise Conflict("it is not paused")
    changes: dict[str, object] = {}
    if password:
        where = Where(locked.host, locked.port, locked.tls, locked.username, password)
        _check(where)
        changes |= {"password": _wrapped(locked, password), "asked_by": actor.id}
    elif not locked.password:
        raise FieldInvalid("password")
    state = _State.RUNNING if locked.folders.filter(chosen=True).exists() else _State.LISTING
    _set(locked, state=state, error="", attempts=0, next_run_at=clock.now(), **changes)
    _record(actor, "resumed", locked, new_password=int(bool(password)))


@transaction.atomic
def cancel(*, actor: Actor, job: ImportJob) -> None:
    """End it and forget the password; what was copied stays. Errors: Conflict."""
    locked = _own(actor, job)
    if locked.state not in queries.OPEN:
        raise Conflict("it is over")
    _end(locked, _State.CANCELLED)
    _record(actor, "cancelled", locked)


@transaction.atomic
def undo(*, actor: Actor, job: ImportJob) -> None:
    """Take away again what it brought (undoing.py). Errors: NotFound, Conflict (not over, or its list is no more)."""
    locked = _own(actor, job)
    if not queries.may_undo(locked):
        raise Conflict("this import is not to be undone")
    _set(locked, state=_State.UNDOING, error="", attempts=0, next_run_at=clock.now())
    _record(actor, "undo", locked)


# -- what happens by itself --------------------------------------------------------------------------------


@transaction.atomic
def finished(job: ImportJob) -> None:
    """All chosen folders are copied: collect for a while, or end and forget the password."""
    locked = _locked(job)
    if locked.state not in (_State.RUNNING, _State.COLLECTING):
        return
    first = locked.state == _State.RUNNING
    now = clock.now()
    if locked.collect_until and locked.collect_until > now:
        changes = {"done_at": now} if first else {}
        _set(
            locked,
            state=_State.COLLECTING,
            error="",
            attempts=0,
            next_run_at=now + COLLECT_EVERY,
            **changes,
        )
    else:
        _end(locked, _State.DONE)
        first = True
    if first:
        found = queries.progress(locked)
        _record(ACTOR, "done", locked, copied=found.copied, present=found.present, failed=found.failed)


@transaction.atomic
def undone(job: ImportJob) -> None:
    locked = _locked(job)
    if locked.state == _State.UNDOING:
        _end(locked, _State.UNDONE)
        _record(ACTOR, "undone", locked, taken=locked.taken, stayed=locked.stayed)


@transaction.atomic
def interrupted(job: ImportJob, error: ImportStopped) -> None:
    """Something is in the way: try again after a growing pause, or stop and ask the person."""
    locked = _locked(job)
    if locked.state not in (_State.LISTING, _State.RUNNING, _State.COLLECTING, _State.UNDOING):
        return
    attempts = locked.attempts + 1
    # Undoing asks nothing of a person: our own mailbox answers again.
    lasting = locked.state != _State.UNDOING and (
        error.lasting or attempts >= MAX_ATTEMPTS or (locked.state == _State.LISTING and attempts >= 3)
    )
    pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempts - 1, 10))
    if error.code == "mail.import_throttled":
        pause_s = LONGEST_PAUSE_S
    if lasting:
        _set(locked, state=_State.PAUSED, error=error.code, attempts=attempts)
        _record(ACTOR, "stopped", locked, error=error.code)
        return
    _set(locked, error=error.code, attempts=attempts, next_run_at=clock.now() + timedelta(seconds=pause_s))


@transaction.atomic
def begin_archive(*, mailbox: Mailbox, name: str, account: str) -> ImportJob:
    """The operator brings an archive. ``name``: of the file; ``account``: of who gave the command.

    The caller has the mailbox's turn: an archive that is still open here was cut off with its command."""
    for cut in ImportJob.objects.filter(
        mailbox_id=mailbox.id, tls=ImportJob.Tls.NONE, state__in=queries.OPEN
    ):
        end_archive(cut, complete=False)
    job = ImportJob.objects.create(
        collectivite_id=mailbox.collectivite_id,
        mailbox_id=mailbox.id,
        asked_by=COMMAND.id,
        host="",
        port=0,
        tls=ImportJob.Tls.NONE,
        username=name[:254],
        state=_State.RUNNING,
    )
    _record(COMMAND, "archive", job, account=account)
    return job


@transaction.atomic
def end_archive(
    job: ImportJob, *, complete: bool, passed_over: int = 0, names: Sequence[str] = ()
) -> ImportJob:
    """``passed_over``: files of it that are no mails; ``names``: of some of them."""
    locked = _locked(job)
    for folder in locked.folders.all():
        locked.folders.filter(pk=folder.pk).update(total=folder.copied + folder.present + folder.failed)
    _set(locked, passed_over=passed_over, passed_names="\n".join(names))
    _end(locked, _State.DONE if complete else _State.CANCELLED)
    found = queries.progress(locked)
    _record(COMMAND, "done", locked, copied=found.copied, present=found.present, failed=found.failed)
    return locked


@transaction.atomic
def tick(*, actor: Actor, mailbox: Mailbox, key: str, done: bool) -> None:
    """The person has given the new address there, or takes that back. Errors: NotFound, Invalid ("key")."""
    own = mail.access_mailbox(actor, mailbox.id)
    if key not in PLACES:
        raise Invalid("key")
    if done:
        MovedPlace.objects.get_or_create(
            mailbox_id=own.id, key=key, defaults={"collectivite_id": own.collectivite_id}
        )
    else:
        MovedPlace.objects.filter(mailbox_id=own.id, key=key).delete()
    audit.record_of(actor, "mail:import:place", own, {"key": key, "done": int(done)})
    publish("mail:place_moved", {"mailbox_id": own.id, "key": key}, collectivite_id=own.collectivite_id)


@transaction.atomic
def end_all(jobs: QuerySet[ImportJob]) -> int:
    """Those that are not over, whose mailbox or person is gone, or that nobody goes on with: no password is kept that
    opens a mailbox elsewhere. Return how many."""
    outbox.serialise()
    found = list(jobs.filter(state__in=(*queries.OPEN, _State.UNDOING)).select_for_update())
    for job in found:
        _end(job, _State.CANCELLED)
        _record(ACTOR, "cancelled", job)
    return len(found)


@transaction.atomic
def stop_unasked(mailbox_id: str) -> None:
    """Stop imports into a functional mailbox whose asker does not read it any more, and forget the password: it may
    open a mailbox of their own, and what they would still send through it is not for those who stay."""
    outbox.serialise()
    rows = ImportJob.objects.filter(mailbox_id=mailbox_id, state__in=queries.OPEN)
    found = list(rows.exclude(tls=ImportJob.Tls.NONE).exclude(password="").select_for_update())
    gone = [
        one
        for one in found
        if not mail.opened_by(one.asked_by, one.collectivite_id).filter(pk=mailbox_id).exists()
    ]
    for job in gone:
        _set(job, state=_State.PAUSED, error=AskerGone.code, password="", next_run_at=clock.now())
        _record(ACTOR, "stopped", job, error=job.error)


@transaction.atomic
def forget(person_id: str) -> None:
    """What an erased person brought into their own mailboxes goes with its old address; the mails stay."""
    own = Mailbox.objects.filter(person_id=person_id)
    ImportJob.objects.filter(mailbox_id__in=own.values("pk")).delete()
    MovedPlace.objects.filter(mailbox_id__in=own.values("pk")).delete()
    audit.erase_personal_of(actor=ACTOR, verb="mail:import:begun", actor_id=person_id)


def where(job: ImportJob) -> Where:
    """The old mailbox with its password. Errors: KeyUnreadable."""
    outer = keys.commune_key(settings.BEFFROI, job.collectivite_id)
    return Where(
        job.host, job.port, job.tls, job.username, envelopes.unwrap(outer, job.password, job.id).decode()
    )


def _wrapped(job: ImportJob, password: str) -> str:
    return envelopes.wrap(keys.commune_key(settings.BEFFROI, job.collectivite_id), password.encode(), job.id)


def _own(actor: Actor, job: ImportJob) -> ImportJob:
    """Errors: NotFound."""
    mailbox = Mailbox.objects.filter(pk=job.mailbox_id).first()
    if mailbox is None:
        raise NotFound("import")
    queries.access_import(actor, mailbox, job.id)
    return _locked(job)


def _locked(job: ImportJob) -> ImportJob:
    outbox.serialise()
    return ImportJob.objects.select_for_update().get(pk=job.pk)


def _end(job: ImportJob, state: str) -> None:
    _set(job, state=state, error="", password="", done_at=clock.now(), collect_until=None)


def _set(job: ImportJob, **changes: object) -> None:
    for name, value in changes.items():
        setattr(job, name, value)
    job.save(update_fields=list(changes))


def _record(actor: Actor, what: str, job: ImportJob, **details: str | int) -> None:
    audit.record_of(
        actor,
        f"mail:import:{what}",
        job,
        {"mailbox_id": job.mailbox_id, **details},
        personal={"address": job.username, "host": job.host} if what == "begun" else {},
    )
    kind = ENDED if job.state in (*queries.OVER, _State.UNDONE) else CHANGED
    publish(kind, {"job_id": job.id, "state": job.state}, collectivite_id=job.collectivite_id)
