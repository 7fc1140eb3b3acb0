"""What ends in a collectivité's drive with somebody who left it, or who is erased: when that happens, and again after a
restore, which brings back what they had then.

Process: worker; a person's command line, after a restore.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.drive import departures, recorded
from beffroi.drive.calendars import homes
from beffroi.drive.departures import Departure
from beffroi.drive.views import LARGEST_ID
from beffroi.lib import clock


def end_shares(person_id: str, owner: str) -> None:
    """Errors: StoreFull, Unavailable."""
    actor = Actor.system("drive.departures")
    departures.end_their_shares(
        settings.BEFFROI,
        _departure(person_id, owner),
        record=lambda line: recorded.record(line, actor=actor),
    )


def end_groups(person_id: str, owner: str) -> None:
    """Those that they came to before they are there now. Errors: StoreFull, Unavailable."""
    actor = Actor.system("drive.groups")
    departures.leave_groups(
        settings.BEFFROI, _departure(person_id, owner), record=lambda line: recorded.group(line, actor=actor)
    )


def end_outside(owner: str) -> int:
    """The whole collectivité left; how many shares and links ended. Errors: StoreFull, Unavailable."""
    actor = Actor.system("drive.departures")
    return departures.end_outside(
        settings.BEFFROI, owner, record=lambda line: recorded.record(line, actor=actor)
    )


def again(owner: str, *, as_of_s: int) -> None:
    """Of who left after that moment or, since the worker comes after, a day before. Errors: StoreFull, Unavailable."""
    since = datetime.fromtimestamp(as_of_s, UTC) - timedelta(days=1)
    there = Membership.objects.filter(collectivite_id=owner)
    for person_id in there.filter(until__gte=since).values_list("person_id", flat=True).distinct():
        if not identity.belongs(person_id, owner):
            end_shares(person_id, owner)
            end_groups(person_id, owner)
    for person in Person.objects.filter(pk__in=there.values("person_id")).exclude(erased_at=None):
        homes.remove(settings.BEFFROI, owner, person.pk)
        departures.forget_own_marks(settings.BEFFROI, person.pk)


def _departure(person_id: str, owner: str) -> Departure:
    """Of who is there again, what was before; of who is not, all."""
    there = [one for one in identity.current_memberships(person_id) if one.collectivite_id == owner]
    left_at = identity.left_at(person_id, owner, by=clock.now())
    return Departure(
        owner,
        person_id,
        before_s=min((int(one.since.timestamp()) for one in there), default=LARGEST_ID),
        left_s=int(left_at.timestamp()) if left_at is not None else 0,
    )
