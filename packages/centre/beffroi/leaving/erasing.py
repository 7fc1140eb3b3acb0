"""Carry the erasure of a collectivité out: mailboxes, files, rows, names of people, and last the keys.

Purpose: each part goes by the way in which it goes alone (``mail.closing``, ``drive.erasures``): key first, counted
         before. What was destroyed is counted in ``removed`` in the transaction that destroys it, so that a cut loses
         no number. From the begin on nobody calls it back.
Process: worker; mailboxes by its child (``mail.closing.children``).
Fails:   it waits, says for what ("leaving", "incident", "export", "restored", "mailboxes", "registrar", "backup",
         "fault"), and goes on where it was. A database that is restored from before is erased again (``again``).
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Generator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction

from beffroi.core.audit import actions as audit
from beffroi.core.communes.models import Collectivite, CollectiviteCode, CommuneExport
from beffroi.core.communes.queries import LEFT
from beffroi.core.events.outbox import publish, restored_lately
from beffroi.core.identity import actions as identity
from beffroi.core.identity import erasure as names
from beffroi.core.identity.models import Membership
from beffroi.drive import departures as drive_metadata
from beffroi.drive import erasures as drive
from beffroi.drive.backup.turns import OthersTurn
from beffroi.drive.store import room
from beffroi.leaving import applying, continuing, queries, rows
from beffroi.leaving.erasures import record
from beffroi.leaving.models import CommuneErasure, Leaving
from beffroi.leaving.queries import SYSTEM
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError
from beffroi.mail import actions as mail
from beffroi.mail import keys, projections
from beffroi.mail.backup import asking
from beffroi.mail.backup.asking import BackupRefused, BackupUnavailable
from beffroi.mail.backup.consumers import keep_rows
from beffroi.mail.closing import actions as exports
from beffroi.mail.closing import erasures as mailboxes
from beffroi.mail.closing.models import Erasure, Export
from beffroi.mail.domains import registrar_asking
from beffroi.mail.domains.models import DkimKey
from beffroi.mail.models import CommuneKey, Mailbox
from beffroi.mail.noted import change

AGAIN_S = 60
type _Steps = Generator[None, None, bool]
"""The parts of one stage; whether the next one may begin."""
log = logging.getLogger("beffroi.leaving")
_State, _Stage = CommuneErasure.State, CommuneErasure.Stage


def work() -> Generator[None]:
    """All that are due, in pieces; one that fails keeps no other from its turn."""
    for erasure in list(queries.due_erasures(clock.paced_now())):
        try:
            yield from run(erasure)
        except (BeffroiError, DatabaseError, OSError, sqlite3.Error):
            log.exception("erasure %s: tried again", erasure.id)
            _wait(erasure, "fault", AGAIN_S)


def run(erasure: CommuneErasure) -> Generator[None]:
    """Go on with it, as far as it gets now, in pieces. Errors: of what is destroyed; then it is tried again."""
    if erasure.state == _State.GRANTED and not _begin(erasure):
        return
    while CommuneErasure.objects.filter(pk=erasure.pk, state=_State.ERASING).exists():
        erasure.refresh_from_db()
        if not (yield from _STAGES[_Stage(erasure.stage)](erasure)):
            return
        yield


def removed(erasure: CommuneErasure) -> dict[str, Any]:
    """What was destroyed so far: ``exports``, ``since_export``, ``mailboxes``, ``drive``, ``rows``, ``domains``,
    ``persons``, ``key``."""
    found: dict[str, Any] = json.loads(erasure.removed)
    return found


def _begin(erasure: CommuneErasure) -> bool:
    owner = erasure.collectivite_id
    leaving = Leaving.objects.filter(collectivite_id=owner, state=Leaving.State.LEFT).first()
    if leaving is None or leaving.applied_at is None:
        return _wait(erasure, "leaving", AGAIN_S)
    if queries.open_incidents(owner):
        return _wait(erasure, "incident", 3600)
    if queries.running_export(owner):
        return _wait(erasure, "export", AGAIN_S)
    if restored_lately():
        return _wait(erasure, "restored", 3600)
    found = [
        {
            "id": one.id,
            "at": one.changed_at.isoformat(),
            "files": one.files,
            "size_bytes": one.size_bytes,
            "missing": one.missing,
            "manifest_sha256": one.manifest_sha256,
        }
        for one in CommuneExport.objects.filter(collectivite_id=owner, state="done").order_by("changed_at")
    ]
    complete = queries.complete_export(owner)
    begun = {
        "exports": found,
        "since_export": queries.since_export(complete) if complete else {},
        "domains": rows.domains(owner),
    }
    with transaction.atomic():
        locked = CommuneErasure.objects.select_for_update().get(pk=erasure.pk)
        if locked.state != _State.GRANTED:
            return False
        change(locked, state=_State.ERASING, waits_for="", begun_at=clock.now(), removed=json.dumps(begun))
        record(SYSTEM, "begun", locked)
    erasure.refresh_from_db()
    return True


def _erase_mailboxes(erasure: CommuneErasure) -> _Steps:
    owner = erasure.collectivite_id
    for mailbox in list(Mailbox.objects.filter(collectivite_id=owner, closed_at=None)):
        mail.close_mailbox(actor=SYSTEM, mailbox=mailbox)
        yield
    for one in list(Export.objects.filter(collectivite_id=owner)):
        exports.end_with_all(one)
        yield
    left = mailboxes.granted_with_all(
        owner,
        approval_id=erasure.approval_id,
        asked_by=erasure.asked_by,
        decided_by=erasure.granted_by,
        visa=erasure.visa,
    )
    if left:
        return _wait(erasure, "mailboxes", 5)
    boxes = Mailbox.objects.filter(collectivite_id=owner).in_bulk()
    done = Erasure.objects.filter(collectivite_id=owner, state=Erasure.State.DONE).order_by("done_at", "id")
    found = [
        {
            "address": boxes[one.mailbox_id].address if one.mailbox_id in boxes else "",
            "mails": one.mails,
            "personal": one.private,
            "set_aside_or_deleted_before": one.hidden,
            "size_bytes": one.size_bytes,
            "inventory_sha256": one.inventory_sha256,
            "key_destroyed_at": one.begun_at.isoformat() if one.begun_at else "",
            "visa": one.visa,
        }
        for one in done
    ]
    return _next(erasure, _Stage.DRIVE, {"mailboxes": found}, mailboxes=len(found))


def _erase_drive(erasure: CommuneErasure) -> _Steps:
    """Counted before the keys go; after a cut what was counted stays."""
    owner, config = erasure.collectivite_id, settings.BEFFROI
    if "drive" not in removed(erasure):
        counted = {"entries": 0, "size_bytes": 0}
        with drive_metadata.metadata(config, owner) as database:
            if database is not None:
                with database.reading() as reading:
                    whole = room.use(reading, room.WHOLE)
                counted = {"entries": whole.weight.entries, "size_bytes": whole.used_bytes}
        _note(erasure, {"drive": counted})
    by = f"{erasure.asked_by} {erasure.granted_by}"
    try:
        certificate = yield from drive.erase_with_all(owner, approval_id=erasure.approval_id, by=by)
    except OthersTurn:
        return _wait(erasure, "backup", AGAIN_S)
    fingerprints = [one.fingerprint for one in certificate.keys]
    counted = removed(erasure)["drive"] | {"keys": fingerprints, "at": certificate.erased_at}
    return _next(erasure, _Stage.ROWS, {"drive": counted}, entries=counted["entries"])


def _erase_rows(erasure: CommuneErasure) -> _Steps:
    owner = erasure.collectivite_id
    try:
        for name in rows.domains(owner):  # the provider's key for its zone
            registrar_asking.forget(settings.BEFFROI, name)
    except registrar_asking.RegistrarRefused:
        return _wait(erasure, "registrar", AGAIN_S)
    while (found := rows.portion(owner)) is not None:
        model, page = found
        if model in (Mailbox, DkimKey):  # no backup keeps their keys because their rows are not there
            for one in page:
                names.remember(settings.BEFFROI, one)
        with transaction.atomic():
            locked = CommuneErasure.objects.select_for_update().get(pk=erasure.pk)
            counts = removed(locked).get("rows", {})
            for table, number in rows.erase(owner, model, page).items():
                counts[table] = counts.get(table, 0) + number
            _note(locked, {"rows": counts})
        yield
    CollectiviteCode.objects.filter(collectivite_id=owner, until=None).update(until=clock.now().date())
    erasure.refresh_from_db()
    return _next(erasure, _Stage.PERSONS, {}, rows=sum(removed(erasure).get("rows", {}).values()))


def _erase_persons(erasure: CommuneErasure) -> _Steps:
    """Names of who was only there; whom an incident elsewhere concerns keeps theirs for its own term."""
    people = list(rows.only_there(erasure.collectivite_id))
    held = rows.held([one.id for one in people])
    for person in people:
        if person.id not in held:
            with transaction.atomic():
                locked = CommuneErasure.objects.select_for_update().get(pk=erasure.pk)
                count = removed(locked).get("persons", 0) + names.erase(person, actor=SYSTEM)
                _note(locked, {"persons": count})
            yield
    erasure.refresh_from_db()
    found = {"persons": removed(erasure).get("persons", 0), "persons_held": len(held)}
    return _next(erasure, _Stage.KEYS, found, **found)


def _destroy_keys(erasure: CommuneErasure) -> _Steps:
    """Last: what was left out by mistake is unreadable from now on, and so is every copy of it."""
    owner = erasure.collectivite_id
    continuing.remember(queries.access_leaving(SYSTEM, owner))
    names.remember(settings.BEFFROI, owner)
    fingerprint = keys.fingerprint(settings.BEFFROI, owner)
    with transaction.atomic():
        locked = CommuneErasure.objects.select_for_update().get(pk=erasure.pk)
        keys.destroy(owner)
        _note(locked, {"key": removed(locked).get("key") or fingerprint})
    keep_rows()
    yield
    try:  # the last run left the wrapped key beside its snapshots
        asking.ask(settings.BEFFROI, "forget_keys")
    except (BackupUnavailable, BackupRefused):
        return _wait(erasure, "backup", AGAIN_S)
    with transaction.atomic():
        locked = CommuneErasure.objects.select_for_update().get(pk=erasure.pk)
        change(locked, state=_State.DONE, waits_for="", done_at=clock.now())
        record(SYSTEM, "done", locked, key=removed(locked)["key"])
    return False


_STAGES = {
    _Stage.MAILBOXES: _erase_mailboxes,
    _Stage.DRIVE: _erase_drive,
    _Stage.ROWS: _erase_rows,
    _Stage.PERSONS: _erase_persons,
    _Stage.KEYS: _destroy_keys,
}


def again() -> Generator[None, None, int]:
    """Of those who were erased and are back with a database from before: the key first, then accesses and rows, in
    pieces. Return how many."""
    ids = [one.name for one in (settings.BEFFROI.state / names.ERASED).glob("col_*")]
    back = [one for one in Collectivite.objects.filter(pk__in=ids) if _is_back(one.pk)]
    for owner in back:
        with transaction.atomic():
            applying.carry_on_again(owner.pk)
            keys.destroy(owner.pk)
            Mailbox.objects.filter(collectivite_id=owner.pk).update(crypt_key="")
            Collectivite.objects.filter(pk=owner.pk, left_at=None).update(
                left_at=clock.now(), enrolled_at=None
            )
            for membership in Membership.objects.filter(collectivite_id=owner.pk, until=None):
                identity.end_access(actor=SYSTEM, membership=membership)
            audit.record_of(SYSTEM, "communes:erasure:again", owner)
            publish(LEFT, {"collectivite_id": owner.pk}, collectivite_id=owner.pk)
        keep_rows()
        for box in Mailbox.objects.filter(collectivite_id=owner.pk):  # Dovecot's copy of its key
            projections.remove_mailbox(settings.BEFFROI, mailbox_id=box.id, address=box.address)
        while (found := rows.portion(owner.pk)) is not None:
            rows.erase(owner.pk, *found)
            yield
    return len(back)


def _is_back(owner: str) -> bool:
    return CommuneKey.objects.filter(pk=owner).exclude(wrapped="").exists() or any(
        found.exists() for _table, found in rows.left(owner)
    )


def mailboxes_left(erasure: CommuneErasure) -> int:
    """How many wait for their turn, for whoever looks on."""
    boxes = Mailbox.objects.filter(collectivite_id=erasure.collectivite_id)
    done = Erasure.objects.filter(collectivite_id=erasure.collectivite_id, state=Erasure.State.DONE)
    return boxes.exclude(pk__in=done.values("mailbox_id")).count()


def _note(erasure: CommuneErasure, found: dict[str, Any]) -> None:
    change(erasure, removed=json.dumps(removed(erasure) | found))


@transaction.atomic
def _next(erasure: CommuneErasure, stage: str, found: dict[str, Any], **details: int) -> bool:
    """What was destroyed is on record; the next part begins."""
    record(SYSTEM, f"{erasure.stage}_destroyed", erasure, **details)
    change(
        erasure,
        stage=stage,
        waits_for="",
        next_run_at=clock.now(),
        removed=json.dumps(removed(erasure) | found),
    )
    return True


def _wait(erasure: CommuneErasure, what: str, again_s: int) -> bool:
    again = clock.now() + timedelta(seconds=again_s)
    CommuneErasure.objects.filter(pk=erasure.pk).update(waits_for=what, next_run_at=again)
    return False
