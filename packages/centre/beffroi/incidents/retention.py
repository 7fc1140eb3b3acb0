"""How long closed incidents, and what looking back found, are kept. Under complaint, an incident stays until the end.

An incident that is open or under complaint holds the decision that it is about, and the account that it concerns.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from beffroi.core.decisions.models import Decision
from beffroi.core.retention.registry import Before, Category, category, hold
from beffroi.incidents.models import Encounter, Incident, IncidentFile

SETTING = "retention_incidents_days"
_NEEDED = ~Q(state=Incident.State.CLOSED) | ~Q(complaint_since=None)


def encounters(cutoff: datetime) -> QuerySet[Encounter]:
    """What looking back found for decisions that are gone, and that no incident shows."""
    kept = Decision.objects.filter(pk=OuterRef("decision_id"))
    shown = Incident.objects.filter(pk=OuterRef("incident_id"))
    past = Encounter.objects.filter(last_at__lt=cutoff)
    return past.exclude(Exists(kept)).exclude(Exists(shown))


def _erase_incidents(ids: list[Any]) -> int:
    Encounter.objects.filter(incident_id__in=ids).delete()
    Incident.objects.filter(pk__in=ids).delete()
    return len(ids)


@hold("decision")
def decisions(ids: Collection[str]) -> set[str]:
    opened = Incident.objects.filter(_NEEDED, decision_id__in=ids).values_list("decision_id", flat=True)
    needed = Incident.objects.filter(_NEEDED)
    held = IncidentFile.objects.filter(decision_id__in=ids, incident__in=needed)
    return {*opened, *held.values_list("decision_id", flat=True)}


@hold("person")
def people(ids: Collection[str]) -> set[str]:
    return set(Incident.objects.filter(_NEEDED, person_id__in=ids).values_list("person_id", flat=True))


category(
    Category("incidents", 40, SETTING, Before(Incident, "closed_at", ~_NEEDED), _erase_incidents, batch=50)
)
category(Category("encounters", 41, "retention_evidence_days", encounters))
