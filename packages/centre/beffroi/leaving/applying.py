"""The day has come: everything of a collectivité that lets somebody in ends, by the ways in which each ends alone.

Rule:    first the mark, so that nothing new begins, with which its domains pass to who continues it (``continuing``);
         then people (``mail.people.leaving``: mailboxes close, app passwords, sessions, roles end; accounts of who
         works elsewhere, too, stay), functional mailboxes, aliases, boîtiers, bulk lists of its own, shares with
         others. Content and keys stay. Each step finds what is left of it, so a cut goes on.
Undo:    for the 30 days in which departures are undone, by the Département: people, mailboxes and aliases come back;
         boîtiers are installed again, bulk lists are published again, links and shares with others are made again, app
         passwords too.
Process: worker (``apply_due``); console (``give_back``).
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Generator
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction

from beffroi.boxes import actions as boxes
from beffroi.boxes.models import Box, EnrolmentCode
from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions import lists
from beffroi.core.decisions.models import ENDS_AT_ONCE, IndicatorList
from beffroi.core.events import outbox
from beffroi.core.events.outbox import publish
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import MembershipOffer, Person
from beffroi.drive import leaving as drive
from beffroi.leaving import actions, continuing, erasures, queries
from beffroi.leaving.actions import StillEnding
from beffroi.leaving.models import Leaving
from beffroi.leaving.queries import SYSTEM
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Conflict
from beffroi.mail import actions as mail
from beffroi.mail.aliases import actions as aliases
from beffroi.mail.aliases.models import Alias, CatchAll
from beffroi.mail.models import Mailbox
from beffroi.mail.noted import change
from beffroi.mail.people import leaving as departures
from beffroi.mail.people.models import Departure

log = logging.getLogger("beffroi.leaving")


def apply_due() -> Generator[None, None, int]:
    """Of those whose day has come, and of those that were cut, in pieces; return how many are done now."""
    planned = Leaving.objects.filter(state=Leaving.State.PLANNED, leaves_on__lte=queries.today())
    cut = Leaving.objects.filter(state=Leaving.State.LEFT, applied_at=None)
    done = 0
    for leaving in [*planned, *cut]:
        try:
            yield from apply(leaving)
            done += 1
        except (BeffroiError, DatabaseError, OSError, sqlite3.Error):  # one keeps no other from its turn
            log.exception("departure %s: tried again", leaving.id)
    return done


def apply(leaving: Leaving) -> Generator[None]:
    """In pieces. Errors: StillEnding, those of the drive (StoreFull, Unavailable, OSError); then it is gone on with."""
    if not _mark(leaving):
        return
    owner = Collectivite.objects.get(pk=leaving.collectivite_id)
    for person in list(Person.objects.filter(pk__in=_people(owner.id))):
        departures.depart(actor=SYSTEM, collectivite=owner, person=person, successors={})
        yield
    while _close_mailboxes(leaving):
        yield
    while _end_aliases(leaving):
        yield
    for box in Box.objects.filter(collectivite_id=owner.id).exclude(state=Box.State.REVOKED):
        boxes.revoke(actor=SYSTEM, box=box)
    for row in IndicatorList.objects.filter(scope=owner.id):
        lists.withdraw_list(actor=SYSTEM, name=row.name)
    EnrolmentCode.objects.filter(collectivite_id=owner.id, used_at=None).delete()
    MembershipOffer.objects.filter(collectivite_id=owner.id, ended_at=None).update(ended_at=clock.now())
    shares = drive.end_outside(owner.id)
    if _people(owner.id):  # somebody came in the moment of the mark
        raise StillEnding
    with transaction.atomic():
        rows = Leaving.objects.filter(pk=leaving.pk, state=Leaving.State.LEFT, applied_at=None)
        if rows.update(applied_at=clock.now(), changed_at=clock.now()):
            actions.record(SYSTEM, "done", leaving, shares=shares)


@transaction.atomic
def carry_on_again(owner: str) -> None:
    """Mail of an erased one that is back with a database from before goes on to who continues it; all else that it has
    open there ends in the next turns. Nothing where nobody does."""
    outbox.serialise()
    leaving = continuing.again(owner)
    if leaving is not None and leaving.state == Leaving.State.LEFT:
        _carry_on(leaving)
    elif leaving is not None:
        _mark(leaving)


@transaction.atomic
def give_back(*, actor: Actor, leaving: Leaving) -> None:
    """Take it back after its day.

    Errors: NotAllowed, NotFound, StillEnding, MailboxesThere, Conflict (it did not leave, too late, or its erasure has
    begun).
    """
    actor.require_administrator("take back a departure")
    outbox.serialise()
    locked = Leaving.objects.select_for_update().get(pk=leaving.pk)
    if locked.state != Leaving.State.LEFT or locked.left_at is None:
        raise Conflict("this collectivité has not left")
    if locked.applied_at is None:
        raise StillEnding
    if undo_until(locked) is None:
        raise Conflict("the time to undo this is over")
    erasures.end_open(actor=actor, collectivite_id=locked.collectivite_id)
    continuing.end(actor=actor, leaving=locked)
    undo = json.loads(locked.undo)
    Collectivite.objects.filter(pk=locked.collectivite_id).update(
        left_at=None, enrolled_at=undo["enrolled_at"]
    )
    for departure in _departures(locked):
        departures.undo(actor=actor, departure=departure)
    for mailbox in Mailbox.objects.filter(pk__in=undo.get("mailboxes", ())):
        mail.reopen_mailbox(actor=actor, mailbox=mailbox)
    for alias in Alias.objects.filter(pk__in=undo.get("aliases", ())):
        aliases.restore(actor=actor, alias=alias)
    change(locked, state=Leaving.State.TAKEN_BACK)
    publish(
        communes.BACK, {"collectivite_id": locked.collectivite_id}, collectivite_id=locked.collectivite_id
    )
    actions.record(actor, "taken_back", locked)
    actions.tell(locked)


def undo_until(leaving: Leaving) -> datetime | None:
    """UTC; None when its time is over, or its erasure has begun."""
    assert leaving.left_at is not None
    until = leaving.left_at + timedelta(days=departures.UNDO_DAYS)
    over = until <= clock.now() or queries.erasure_has_begun(leaving.collectivite_id)
    return None if over else until


def _mark(leaving: Leaving) -> bool:
    """From now on nothing new begins there. False where it was taken back meanwhile."""
    with transaction.atomic():
        outbox.serialise()
        locked = Leaving.objects.select_for_update().get(pk=leaving.pk)
        if locked.state != Leaving.State.PLANNED:
            return locked.state == Leaving.State.LEFT
        owner = Collectivite.objects.select_for_update().get(pk=locked.collectivite_id)
        since = owner.enrolled_at or owner.created_at
        now = clock.now()
        change(
            locked,
            state=Leaving.State.LEFT,
            left_at=now,
            undo=json.dumps(json.loads(locked.undo) | {"enrolled_at": since.isoformat()}),
        )
        Collectivite.objects.filter(pk=owner.pk).update(left_at=now, enrolled_at=None)
        publish(communes.LEFT, {"collectivite_id": owner.id}, collectivite_id=owner.id)
        actions.record(SYSTEM, "begun", locked)
        if continuing.continued(locked):
            _carry_on(locked)
    return True


def _carry_on(leaving: Leaving) -> None:
    while _end_aliases(leaving):
        pass
    leaving.refresh_from_db()
    continuing.carry_on(leaving)


def _people(owner: str) -> set[str]:
    return {one.person_id for one in identity.memberships_in(SYSTEM, owner)}


def _departures(leaving: Leaving) -> list[Departure]:
    """Who was erased since does not come back."""
    erased = Person.objects.exclude(erased_at=None)
    rows = queries.departures_of(leaving).exclude(person_id__in=erased.values("pk"))
    return list(rows.order_by("created_at", "id"))


@transaction.atomic
def _close_mailboxes(leaving: Leaving) -> int:
    """What is left: functional ones, and those of nobody. Some of them; return how many, 0 when none is left."""
    rows = Mailbox.objects.filter(collectivite_id=leaving.collectivite_id, closed_at=None)[:ENDS_AT_ONCE]
    ids = [one.id for one in rows if mail.close_mailbox(actor=SYSTEM, mailbox=one)]
    _keep(leaving, "mailboxes", ids)
    return len(ids)


@transaction.atomic
def _end_aliases(leaving: Leaving) -> int:
    """Some of them, with the few catch-alls; return how many, 0 when none is left."""
    owner = leaving.collectivite_id
    for row in CatchAll.objects.filter(collectivite_id=owner, ended_at=None):
        aliases.end_catch_all(actor=SYSTEM, row=row)
    rows = Alias.objects.filter(collectivite_id=owner, ended_at=None)[:ENDS_AT_ONCE]
    ids = [one.id for one in rows if aliases.end(actor=SYSTEM, alias=one)]
    _keep(leaving, "aliases", ids)
    return len(ids)


def _keep(leaving: Leaving, what: str, ids: list[str]) -> None:
    """For the way back; what an earlier turn had ended stays in it."""
    if not ids:
        return
    locked = Leaving.objects.select_for_update().get(pk=leaving.pk)
    undo = json.loads(locked.undo)
    undo[what] = [*undo.get(what, ()), *ids]
    change(locked, undo=json.dumps(undo))
