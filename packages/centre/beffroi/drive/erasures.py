"""The erasure of all files of a collectivité: asked for by one administrator, granted by another one.

Rule:    what is destroyed is the keys (``removal``). For CALL_BACK_H after the second word any administrator calls it
         back; then it begins, and nobody can. A clock that jumps forward begins nothing for an hour, a restored
         database nothing for a day. The certificate stays. Where seals stand whose term is not over, each of the two
         says that they know.
Process: console asks, grants, calls back; worker carries out, and finishes what was cut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from typing import LiteralString

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals import queries as requests
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.drive import removal
from beffroi.drive.departures import metadata
from beffroi.drive.store import keys, seals
from beffroi.drive.store.keys import Certificate
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading
from beffroi.lib import clock, reasons
from beffroi.lib.errors import BeffroiError, Conflict, NotAllowed

VERB = "drive:erasure"
_DONE = "drive:erasure:done"
MAX_REASON = 300
CALL_BACK_H = 24
"""As of a mailbox (``mail.closing``)."""
SYSTEM = Actor.system("drive.erasure")


class SealsRunning(Conflict):
    """{} sealed folders have a term that is not over; say that the archives agreed, or have them."""

    code = "drive.seals_running"


def running_seals(collectivite_id: str) -> int:
    """Of sealed folders whose term is not over."""
    return _counted(collectivite_id, lambda reading: seals.running(reading, now_s=clock.paced()))


def changes_since(collectivite_id: str, at: datetime) -> int:
    """How often something in its files changed."""
    asked: LiteralString = "SELECT COUNT(*) FROM change WHERE at_s > ?"
    return _counted(collectivite_id, lambda reading: int(scalar(reading, asked, (int(at.timestamp()),))))


def _counted(collectivite_id: str, count: Callable[[Reading], int]) -> int:
    with metadata(settings.BEFFROI, collectivite_id) as database:
        if database is None:
            return 0
        with database.reading() as reading:
            return count(reading)


@transaction.atomic
def request(*, actor: Actor, collectivite: Collectivite, reason: str, ends_seals: bool = False) -> Approval:
    """Ask another administrator to agree. ``ends_seals``: also where seals stand whose term is not over.

    Errors: NotAllowed, Invalid, Conflict (asked for before, or done), SealsRunning."""
    actor.require_administrator("ask for an erasure")
    said = reasons.checked(reason, most_chars=MAX_REASON)
    outbox.serialise()
    if keys.certificate(settings.BEFFROI, collectivite.id) or _stands(collectivite.id):
        raise Conflict("the erasure of these files is asked for, or done")
    known = _require_known(collectivite.id, ends_seals)
    approval = approvals.request(
        actor=actor,
        verb=VERB,
        subject_id=collectivite.id,
        payload={"collectivite_id": collectivite.id, "reason": said},
    )
    _record(actor, "drive:erasure:asked", collectivite.id, approval_id=approval.id, **known)
    return approval


@transaction.atomic
def grant(*, actor: Actor, approval: Approval, ends_seals: bool = False) -> None:
    """It begins CALL_BACK_H later. ``ends_seals``: as ``request``.

    Errors: NotAllowed, SamePerson, Conflict (decided or too old), SealsRunning."""
    _decides(actor, approval)
    known = _require_known(approval.subject_id, ends_seals)
    approvals.approve(actor=actor, approval=approval)
    _record(actor, "drive:erasure:granted", approval.subject_id, approval_id=approval.id, **known)


@transaction.atomic
def refuse(*, actor: Actor, approval: Approval) -> None:
    """Also by who asked. Errors: NotAllowed, Conflict."""
    _decides(actor, approval)
    approvals.refuse(actor=actor, approval=approval)
    _record(actor, "drive:erasure:refused", approval.subject_id, approval_id=approval.id)


@transaction.atomic
def call_back(*, actor: Actor, approval: Approval) -> None:
    """Nothing is erased: by any administrator, as long as it has not begun. Errors: NotAllowed, Conflict."""
    _decides(actor, approval)
    approvals.withdraw(actor=actor, approval=approval)
    # The row was ours from here on.
    if keys.is_erased(settings.BEFFROI.state / "drive" / approval.subject_id):
        raise Conflict("this erasure has begun")
    _record(actor, "drive:erasure:withdrawn", approval.subject_id, approval_id=approval.id)


def due_at(approval: Approval) -> datetime:
    """When a granted one begins, at the earliest."""
    assert approval.decided_at is not None
    return approval.decided_at + timedelta(hours=CALL_BACK_H)


def waiting(collectivite_id: str) -> QuerySet[Approval]:
    """The request that no second administrator answered yet."""
    return requests.waiting(VERB).filter(subject_id=collectivite_id)


def granted(collectivite_id: str) -> Approval | None:
    return Approval.objects.filter(
        verb=VERB, subject_id=collectivite_id, state=Approval.State.GRANTED
    ).first()


def carry_out(approval_id: str) -> Generator[None, None, bool]:
    """What two administrators agreed on, in pieces; False where it is called back, or its time has not come.

    Errors: those of ``removal``; then it is tried again.
    """
    with transaction.atomic():
        rows = Approval.objects.filter(pk=approval_id, verb=VERB, state=Approval.State.GRANTED)
        rows.update(state=Approval.State.GRANTED)  # nobody calls it back while its keys go
        found = rows.first()
        if found is None or due_at(found) > clock.paced_now() or _waits_for_a_word(found):
            return False
        certificate = removal.destroy_keys(
            settings.BEFFROI, found.subject_id, by=f"{found.requested_by} {found.decided_by}"
        )
    yield from removal.remove_rest(settings.BEFFROI, found.subject_id)
    _done(found.subject_id, found.id, certificate)
    return True


def _waits_for_a_word(approval: Approval) -> bool:
    """It has not begun, and the database is of before somebody may have called it back."""
    folder = settings.BEFFROI.state / "drive" / approval.subject_id
    return outbox.restored_lately() and not keys.is_erased(folder)


def _done(collectivite_id: str, approval_id: str, certificate: Certificate) -> None:
    if not _is_recorded(collectivite_id):
        destroyed = " ".join(one.fingerprint for one in certificate.keys)
        _record(SYSTEM, _DONE, collectivite_id, approval_id=approval_id, keys=destroyed)


def erase_with_all(collectivite_id: str, *, approval_id: str, by: str) -> Generator[None, None, Certificate]:
    """As a part of the erasure of the whole collectivité, which has its own request, in pieces; done again after a cut.
    ``by``: who asked and who agreed. Errors: those of ``removal``."""
    certificate = removal.destroy_keys(settings.BEFFROI, collectivite_id, by=by)
    yield from removal.remove_rest(settings.BEFFROI, collectivite_id)
    _done(collectivite_id, approval_id, certificate)
    return certificate


def finish() -> Generator[None, None, int]:
    """Carry out those whose time has come, go on with those that were cut, in pieces; return how many.

    Errors: of the last that failed.
    """
    rows = Approval.objects.filter(verb=VERB, state=Approval.State.GRANTED)
    left = [
        one
        for one in rows
        if not (removal.is_whole(settings.BEFFROI, one.subject_id) and _is_recorded(one.subject_id))
    ]
    done, failed = 0, None
    for one in left:
        try:
            done += yield from carry_out(one.id)
        except (BeffroiError, OSError, sqlite3.Error) as error:  # it keeps no other from its turn
            failed = error
    if failed is not None:
        raise failed
    return done


def _require_known(collectivite_id: str, ends_seals: bool) -> dict[str, str]:
    """What is on record of seals whose term is not over. Errors: SealsRunning."""
    found = running_seals(collectivite_id)
    if found and not ends_seals:
        raise SealsRunning(found)
    return {"seals": str(found)} if found else {}


def _is_recorded(collectivite_id: str) -> bool:
    """Its end is in the audit log: the last thing that a cut leaves out."""
    return AuditEntry.objects.filter(verb=_DONE, object_id=collectivite_id).exists()


def _stands(collectivite_id: str) -> bool:
    return waiting(collectivite_id).exists() or granted(collectivite_id) is not None


def _decides(actor: Actor, approval: Approval) -> None:
    if actor.kind != "administrator" or approval.verb != VERB:
        raise NotAllowed("decide about an erasure")


@transaction.atomic
def _record(actor: Actor, verb: str, collectivite_id: str, **details: str) -> None:
    audit.record(actor, verb, collectivite_id, collectivite_id=collectivite_id, details=details)
