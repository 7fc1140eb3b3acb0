"""What a person decides about an alarm of the drive: the collectivité's référent, or the Département.

Rule:    the audit has its entry before anything is done: the metadata of the drive are another database, and a way back
         that breaks off goes on with the next call.
Process: web.
"""

from __future__ import annotations

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.identity.actor import Actor
from beffroi.drive import alarms, recovery
from beffroi.drive.alarms import Raised
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act
from beffroi.drive.store.writing import Reading
from beffroi.lib import clock
from beffroi.lib.errors import NotAllowed, NotFound


def may_answer(actor: Actor, collectivite_id: str) -> bool:
    return actor.sees_all or (actor.collectivite_id == collectivite_id and actor.role == "referent")


def take_back(*, actor: Actor, database: Database, collectivite_id: str, device_id: str) -> Raised:
    """Everything as before, as ``recovery.carry_out``. Errors: NotFound, NotAllowed, Conflict."""
    with database.reading() as reading:
        require(actor, reading, collectivite_id, device_id)
    _record(actor, "drive:alarm:taken_back", collectivite_id, device_id)
    return recovery.carry_out(database, Act(actor.id, "", clock.epoch_s()), device_id)


def settle(*, actor: Actor, database: Database, collectivite_id: str, device_id: str) -> bool:
    """It was meant: what the device did stays, and its past is forgotten. False after an answer. Errors: NotFound,
    NotAllowed."""
    with database.reading() as reading:
        require(actor, reading, collectivite_id, device_id)
    _record(actor, "drive:alarm:settled", collectivite_id, device_id)
    now_s = clock.epoch_s()
    return database.write(lambda writing: alarms.settle(writing, device_id, person_id=actor.id, now_s=now_s))


def require(actor: Actor, reading: Reading, collectivite_id: str, device_id: str) -> None:
    """Errors: NotFound (there is none, or not there), NotAllowed."""
    if not actor.may_see(collectivite_id):
        raise NotFound("alarm")
    if not may_answer(actor, collectivite_id):
        raise NotAllowed("answer an alarm")
    alarms.find(reading, device_id)


def _record(actor: Actor, verb: str, collectivite_id: str, device_id: str) -> None:
    with transaction.atomic():
        audit.record(actor=actor, verb=verb, object_id=device_id, collectivite_id=collectivite_id)
