"""A référent hands the files, calendars and contacts of somebody who left to a colleague; the worker carries it out,
and gives them back.

Rule:    the audit has its entry before it begins (``audited``). Who left must be gone, and the colleague there: asked
         when it begins and again with each event (``handovers.DUE``): an event is some portions, and says the next one,
         so that what else happens never waits for the end.
Process: web (``hand_over``), worker.
Privacy: counts alone in the audit log and in events; no name of a file.
Source:  docs/decisions/0105-files-of-who-left-go-to-a-colleague.md; ``store.handovers``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.events.outbox import publish
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive import audited, handover_calendars
from beffroi.drive.departures import metadata
from beffroi.drive.store import handed, handovers, passed
from beffroi.drive.store.database import Database
from beffroi.drive.store.handovers import Handover
from beffroi.drive.store.model import Act, QuotaFull, TooManyEntries
from beffroi.drive.store.passed import Going
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.lib.ids import new_id

ENDED = "drive:handover_ended"
PORTIONS = 4
"""Of one event: its metadata are opened once."""
SYSTEM = Actor.system("drive.handovers")


def may_hand_over(actor: Actor, collectivite_id: str) -> bool:
    return actor.leads == collectivite_id


def hand_over(
    *,
    actor: Actor,
    database: Database,
    collectivite_id: str,
    person_id: str,
    heir: str,
    label: str,
    going: Sequence[Going] = (),
) -> Handover:
    """Begin it. ``label``: of the folder in the heir's root; ``going``: calendars and address books.

    Errors: NotFound, NotAllowed, Conflict (they did not leave), Invalid (the heir is not there), those of
    ``handovers.begin``.
    """
    if not actor.may_see(collectivite_id):
        raise NotFound("person")
    if not may_hand_over(actor, collectivite_id):
        raise NotAllowed("hand somebody's files over")
    if identity.belongs(person_id, collectivite_id):
        raise Conflict("this person did not leave")
    if heir == person_id or not identity.belongs(heir, collectivite_id):
        raise Invalid("successor")
    with database.reading() as reading:
        there = handed.left(reading, person_id)
        handovers.require(reading, there, person_id=person_id, heir=heir, going=going)
    act = Act(actor.id, "", clock.epoch_s())
    handover_id = new_id("hov")
    told: dict[str, str | int] = {
        "person_id": person_id,
        "heir": heir,
        "files": there.files,
        "closed": there.closed,
    }
    for one in going:
        told[one.kind] = int(told.get(one.kind, 0)) + one.entries
    with audited.before(
        actor, "drive:handover:begun", handover_id, collectivite_id=collectivite_id, details=told
    ):
        made = database.write(
            lambda w: handovers.begin(
                w,
                act,
                there,
                handover_id=handover_id,
                person_id=person_id,
                heir=heir,
                label=label,
                going=going,
            )
        )
    with transaction.atomic():  # after the row: where a crash loses it, the upkeep says it
        publish(handovers.DUE, {"person_id": person_id, "by": actor.id}, collectivite_id=collectivite_id)
    return made


def begin_return(restored: Mapping[str, Any], collectivite_id: str) -> bool:
    """A departure is undone: whether there are files to give back. ``restored``: the payload of its event, which comes
    back with the last portion."""
    person_id, since_s = restored["person_id"], restored["left_s"]
    with metadata(settings.BEFFROI, collectivite_id) as database:
        if database is None or not database.write(
            lambda w: handovers.begin_return(w, person_id, since_s=since_s)
        ):
            return False
    told = {"person_id": person_id, "by": restored["by"], "restored": dict(restored)}
    with transaction.atomic():
        publish(handovers.DUE, told, collectivite_id=collectivite_id)
    return True


def go_on(told: Mapping[str, Any], collectivite_id: str) -> bool:
    """Some portions; True where the next ones are due. ``told``: the payload of ``handovers.DUE``.

    Errors: StoreFull, Unavailable: the event is tried again."""
    person_id, act = told["person_id"], Act(told["by"], "", clock.epoch_s())
    with metadata(settings.BEFFROI, collectivite_id) as database:
        if database is None:
            return False
        with database.reading() as reading:
            found = handovers.of_person(reading, person_id)
        is_more = any(_portions(database, act, one, collectivite_id) for one in found if one.is_at_work)
        if is_more:
            with transaction.atomic():
                publish(handovers.DUE, told, collectivite_id=collectivite_id)
            return True
        _tell_ended(database, person_id, collectivite_id)
    return False


def _portions(database: Database, act: Act, one: Handover, collectivite_id: str) -> bool:
    is_return = one.state == "returning"
    step = handovers.return_step if is_return else handovers.step
    is_gone = not identity.belongs(one.person_id, collectivite_id)
    if not is_return and not (is_gone and identity.belongs(one.heir, collectivite_id)):
        database.write(lambda w: handovers.stop(w, one.id, "people", now_s=act.now_s))
        return False
    try:
        if handover_calendars.step(settings.BEFFROI, database, one, collectivite_id):
            return True
        return all(database.write(lambda w: step(w, act, one.id)) for _ in range(PORTIONS))
    except (QuotaFull, TooManyEntries):
        database.write(lambda w: handovers.stop(w, one.id, "room", now_s=act.now_s))
        return False


def _tell_ended(database: Database, person_id: str, collectivite_id: str) -> None:
    """Once each, but for a crash between the two databases."""
    with database.reading() as reading:
        found = [(one, passed.counts(reading, one.id)) for one in handovers.of_person(reading, person_id)]
    for one, beside in found:
        if one.is_at_work or one.told_s:
            continue
        with transaction.atomic():
            counts = {"files": one.back_files if one.state == "returned" else one.done_files, **beside}
            _record(SYSTEM, one.state, one, collectivite_id, why=one.why, **counts)
            publish(ENDED, {"handover_id": one.id}, collectivite_id=collectivite_id)
        database.write(partial(handovers.tell, handover_id=one.id, now_s=clock.epoch_s()))


def _record(actor: Actor, what: str, one: Handover, collectivite_id: str, **details: Any) -> None:
    audit.record(
        actor,
        f"drive:handover:{what}",
        one.id,
        collectivite_id=collectivite_id,
        details={"person_id": one.person_id, "heir": one.heir, **details},
    )
