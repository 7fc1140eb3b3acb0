"""A collectivité's departure is recorded for a day, and taken back. One transaction each: change, audit row.

Who may: its référent and the Département. Taken back after that day: the Département alone, for nobody of the
         collectivité signs in any more.
"""

from __future__ import annotations

from datetime import date, timedelta

from django.db import IntegrityError, transaction

from beffroi.core.audit import actions as audit
from beffroi.core.communes.models import Collectivite
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.leaving import erasures, queries
from beffroi.leaving.models import Leaving
from beffroi.lib import clock, reasons
from beffroi.lib.errors import Conflict, Invalid, NotFound

CHANGED = "communes:leaving_changed"
AT_MOST = timedelta(days=3 * 366)


class DayInvalid(Invalid):
    """A collectivité leaves on a day to come, within three years."""

    code = "communes.day_invalid"


class StillEnding(Conflict):
    """The accesses of this collectivité are just being ended; try again in some minutes."""

    code = "communes.still_ending"


@transaction.atomic
def plan(*, actor: Actor, collectivite: Collectivite, leaves_on: date, reason: str) -> Leaving:
    """``leaves_on``: tomorrow at the earliest; ``reason``: the written wish, with its date and who signed.

    Errors: NotFound, Invalid (day, reason), Conflict (recorded before).
    """
    if actor.kind not in ("person", "administrator") or not actor.manages(collectivite.id):
        raise NotFound("collectivité")
    if collectivite.kind == Collectivite.Kind.DEPARTEMENT or collectivite.enrolled_at is None:
        raise NotFound("collectivité")
    if not queries.first_day() <= leaves_on <= queries.today() + AT_MOST:
        raise DayInvalid
    said = reasons.checked(reason)
    try:
        with transaction.atomic():
            made = Leaving.objects.create(
                collectivite_id=collectivite.id, leaves_on=leaves_on, reason=said, said_by=actor.id
            )
    except IntegrityError:
        raise Conflict("this departure is recorded already") from None
    record(actor, "planned", made, personal={"why": said}, on=leaves_on.isoformat())
    tell(made)
    return made


@transaction.atomic
def take_back(*, actor: Actor, leaving: Leaving) -> None:
    """As if it had not been said; an erasure that was asked for is over. After its day: ``applying.give_back``.

    Errors: NotFound, Conflict (it left).
    """
    queries.access_leaving(actor, leaving.collectivite_id)
    rows = Leaving.objects.filter(pk=leaving.pk, state=Leaving.State.PLANNED)
    if not rows.update(state=Leaving.State.TAKEN_BACK, changed_at=clock.now()):
        raise Conflict("this collectivité has left, or stays")
    erasures.end_open(actor=actor, collectivite_id=leaving.collectivite_id)
    record(actor, "taken_back", leaving)
    tell(leaving)


def tell(leaving: Leaving, not_continued_by: str = "") -> None:
    """In the caller's transaction: who leads the collectivité, or the one that continues it, hears of its state."""
    told = {"leaving_id": leaving.id, "not_continued_by": not_continued_by}
    publish(CHANGED, told, collectivite_id=leaving.collectivite_id)


def record(
    actor: Actor,
    what: str,
    leaving: Leaving,
    personal: dict[str, str] | None = None,
    **details: str | int,
) -> None:
    audit.record_of(actor, f"communes:leaving:{what}", leaving, details, personal=personal)
