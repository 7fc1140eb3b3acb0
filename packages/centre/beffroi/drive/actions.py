"""What a person decides about an alarm of the drive: the collectivité's référent, or the Département.

Rule:    what was answered before is asked first and has no entry; else the audit has its entry before anything is done
         (``audited``), and a way back that breaks off goes on with the next call.
Process: web.
"""

from __future__ import annotations

from beffroi.core.identity.actor import Actor
from beffroi.drive import alarms, audited, recovery
from beffroi.drive.alarms import Raised
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotAllowed, NotFound


def take_back(*, actor: Actor, database: Database, collectivite_id: str, device_id: str) -> Raised:
    """Everything as before, as ``recovery.carry_out``. Errors: NotFound, NotAllowed, Conflict."""
    with database.reading() as reading:
        found = require(actor, reading, collectivite_id, device_id)
    if found.state == "restored":
        return found
    if found.state == "settled":
        raise Conflict("somebody said that it was meant")
    with audited.before(actor, "drive:alarm:taken_back", device_id, collectivite_id=collectivite_id):
        return recovery.carry_out(database, Act(actor.id, "", clock.epoch_s()), device_id)


def settle(*, actor: Actor, database: Database, collectivite_id: str, device_id: str) -> bool:
    """It was meant: what the device did stays, and its past is forgotten. False after an answer. Errors: NotFound,
    NotAllowed."""
    with database.reading() as reading:
        if require(actor, reading, collectivite_id, device_id).state != "open":
            return False
    now_s = clock.epoch_s()

    def change(writing: Writing) -> None:
        if not alarms.settle(writing, device_id, person_id=actor.id, now_s=now_s):
            raise Conflict("somebody answered it")

    try:
        with audited.before(actor, "drive:alarm:settled", device_id, collectivite_id=collectivite_id):
            database.write(change)
    except Conflict:
        return False
    return True


def require(actor: Actor, reading: Reading, collectivite_id: str, device_id: str) -> Raised:
    """The alarm that this actor may answer. Errors: NotFound (there is none, or not there), NotAllowed."""
    if not actor.may_see(collectivite_id):
        raise NotFound("alarm")
    if not actor.manages(collectivite_id):
        raise NotAllowed("answer an alarm")
    return alarms.find(reading, device_id)
