"""Which departures and erasures of whole collectivités exist for whom: the référent's own, all for the Département."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date, datetime, timedelta
from itertools import chain

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from beffroi.core import turns
from beffroi.core.communes import row_security
from beffroi.core.communes.models import CommuneExport
from beffroi.core.identity import erasure as names
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive import erasures as drive
from beffroi.incidents import queries as incidents
from beffroi.leaving.models import CommuneErasure, Leaving
from beffroi.lib import clock
from beffroi.lib.errors import existing
from beffroi.mail.models import MailDelivery
from beffroi.mail.people.leaving import ended
from beffroi.mail.people.models import Departure

ERASE_WITHIN_DAYS = 21
"""After the end of the contract (SecNumCloud 3.2, 19.4)."""
STANDING = (Leaving.State.PLANNED, Leaving.State.LEFT)
LONGEST_WAIT = timedelta(minutes=10)
"""Longer than any pause of an erasure."""
SYSTEM = Actor.system("communes.leaving")
_State = CommuneErasure.State
OPEN = (_State.ASKED, _State.GRANTED, _State.ERASING)


def today() -> date:
    """In France, by a clock that a jump does not lead ahead."""
    return timezone.localtime(clock.paced_now()).date()


def first_day() -> date:
    """On which somebody may leave: there is a night to take it back."""
    return today() + timedelta(days=1)


def leavings(actor: Actor) -> QuerySet[Leaving]:
    """Those that are planned, or done; the next one first."""
    return actor.led(Leaving.objects.filter(state__in=STANDING).order_by("leaves_on", "id"))


def leaving_of(actor: Actor, collectivite_id: str) -> Leaving | None:
    return leavings(actor).filter(collectivite_id=collectivite_id).first()


def planned_of(collectivite_ids: Collection[str]) -> list[Leaving]:
    """For people who work there, whichever of them their session is of: the next one first."""
    with row_security.unlimited():
        rows = Leaving.objects.filter(state=Leaving.State.PLANNED, collectivite_id__in=collectivite_ids)
        return list(rows.order_by("leaves_on", "id"))


def access_leaving(actor: Actor, collectivite_id: str) -> Leaving:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(leaving_of(actor, collectivite_id), "departure")


def visible_erasures(actor: Actor) -> QuerySet[CommuneErasure]:
    """Newest first."""
    return actor.led(CommuneErasure.objects.order_by("-created_at", "-id"))


def erasures_of(actor: Actor, collectivite_ids: Collection[str]) -> dict[str, CommuneErasure]:
    """For each the one that stands, else the latest; one query."""
    rows = visible_erasures(actor).filter(collectivite_id__in=collectivite_ids)
    in_order = sorted(rows.reverse(), key=lambda one: one.state in (*OPEN, _State.DONE))
    return {one.collectivite_id: one for one in in_order}


def erasure_of(actor: Actor, collectivite_id: str) -> CommuneErasure | None:
    return erasures_of(actor, [collectivite_id]).get(collectivite_id)


def access_erasure(actor: Actor, collectivite_id: str) -> CommuneErasure:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(erasure_of(actor, collectivite_id), "erasure")


def erase_by(leaving: Leaving) -> date:
    """The last day on which all of it is to be erased."""
    return leaving.leaves_on + timedelta(days=ERASE_WITHIN_DAYS)


def waiting(actor: Actor) -> int:
    """How many collectivités that left wait for a word of the Département about their erasure; 0 for others."""
    if not actor.sees_all:
        return 0
    agreed = CommuneErasure.objects.filter(state__in=(_State.GRANTED, _State.ERASING, _State.DONE))
    asked = CommuneErasure.objects.filter(state=_State.ASKED)
    rows = Leaving.objects.filter(state__in=STANDING).exclude(
        collectivite_id__in=agreed.values("collectivite_id")
    )
    wanted = Q(state=Leaving.State.LEFT) | Q(collectivite_id__in=asked.values("collectivite_id"))
    return rows.filter(wanted).count()


def departures_of(leaving: Leaving) -> QuerySet[Departure]:
    """Those that it made, whatever the clock said then: one of before was undone with that."""
    rows = Departure.objects.filter(collectivite_id=leaving.collectivite_id, by=SYSTEM.id)
    return rows.exclude(state=Departure.State.UNDONE)


def closed_by(leaving: Leaving) -> set[str]:
    """Mailboxes that were open until it left; a person who leaves takes theirs along."""
    own = (ended(one).get("closed", ()) for one in departures_of(leaving))
    return {*json.loads(leaving.undo).get("mailboxes", ()), *chain.from_iterable(own)}


def due_erasures(now: datetime) -> QuerySet[CommuneErasure]:
    rows = CommuneErasure.objects.filter(state__in=(_State.GRANTED, _State.ERASING))
    waited = turns.due("next_run_at", now, LONGEST_WAIT)
    return rows.filter(waited, due_at__lte=now).order_by("next_run_at", "id")


# What a request depends on


def has_referent(collectivite_id: str) -> bool:
    return bool(identity.persons_in_role(collectivite_id, ("referent",)))


def open_incidents(collectivite_id: str) -> int:
    return incidents.open_incidents(SYSTEM).filter(collectivite_id=collectivite_id).count()


def complete_export(collectivite_id: str) -> CommuneExport | None:
    """The latest in which nothing is missing."""
    rows = CommuneExport.objects.filter(
        collectivite_id=collectivite_id, state=CommuneExport.State.DONE, missing=0
    )
    return rows.order_by("-changed_at").first()


def since_export(export: CommuneExport) -> dict[str, int]:
    """What came since it began, and may not be in it: ``mails`` delivered, ``changes`` in the Coffre; {} for none."""
    owner, at = export.collectivite_id, export.begun_at
    found = {
        "mails": MailDelivery.objects.filter(collectivite_id=owner, delivered_at__gt=at).count(),
        "changes": drive.changes_since(owner, at),
    }
    return found if any(found.values()) else {}


def erasure_has_begun(collectivite_id: str) -> bool:
    """What was destroyed comes back by nothing, also where a database from before does not know of it."""
    begun = CommuneErasure.objects.filter(
        collectivite_id=collectivite_id, state__in=(_State.ERASING, _State.DONE)
    )
    return begun.exists() or names.is_remembered(settings.BEFFROI, collectivite_id)


def running_export(collectivite_id: str) -> bool:
    """One that was cut long ago keeps nothing."""
    said = clock.now() - timedelta(hours=1)
    rows = CommuneExport.objects.filter(collectivite_id=collectivite_id, state=CommuneExport.State.RUNNING)
    return rows.filter(changed_at__gt=said).exists()


def running_seals(collectivite_id: str) -> int:
    """Sealed folders whose term is not over."""
    return drive.running_seals(collectivite_id)
