"""How long the private calendars of who left a collectivité stay there. Who is erased takes theirs along at once
(``consumers``); what is shared is the collectivité's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from beffroi.core.identity.models import Membership
from beffroi.core.retention.registry import Category, category
from beffroi.drive.calendars import homes


def private_calendars(cutoff: datetime) -> QuerySet[Membership]:
    """The last membership of each whose home is still there, and who is not back."""
    there = set(homes.homes(settings.BEFFROI))
    later = Membership.objects.filter(
        Q(until=None) | Q(until__gte=cutoff),
        person=OuterRef("person"),
        collectivite=OuterRef("collectivite"),
    )
    past = Membership.objects.filter(until__lt=cutoff).exclude(Exists(later))
    due = [
        membership_id
        for membership_id, collectivite_id, person_id in past.values_list(
            "pk", "collectivite_id", "person_id"
        )
        if (collectivite_id, person_id) in there
    ]
    return Membership.objects.filter(pk__in=due)


def _remove(ids: list[Any]) -> int:
    rows = Membership.objects.filter(pk__in=ids).values_list("collectivite_id", "person_id").distinct()
    return sum(homes.remove(settings.BEFFROI, *row) for row in rows)


category(Category("private_calendars", 170, "retention_accounts_days", private_calendars, _remove))
