"""Read incidents on someone's behalf: the Département sees all, a commune its own."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Case, Count, Exists, IntegerField, OuterRef, Q, QuerySet, Value, When

from beffroi.core.identity.actor import Actor
from beffroi.incidents.models import (
    RESOLVED,
    Encounter,
    Incident,
    IncidentEntry,
    IncidentEvidence,
    IncidentFile,
    IncidentTask,
)
from beffroi.incidents.rules import DEVICE_SUBJECT, Audience, Kind, Severity
from beffroi.lib.errors import existing

_RANK = Case(
    *(When(severity=s.value, then=Value(n)) for n, s in enumerate((Severity.HIGH, Severity.MEDIUM))),
    default=Value(2),
    output_field=IntegerField(),
)
_UNANSWERED = IncidentTask.objects.exclude(due_at=None).filter(done_at=None)


def visible_incidents(actor: Actor) -> QuerySet[Incident]:
    """Newest first."""
    return actor.visible(Incident.objects.order_by("-opened_at", "-id"))


def open_incidents(actor: Actor) -> QuerySet[Incident]:
    """The most severe first, then the oldest."""
    rows = visible_incidents(actor).exclude(state=Incident.State.CLOSED)
    return rows.order_by(_RANK, "opened_at", "id")


def access_incident(actor: Actor, incident_id: str) -> Incident:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_incidents(actor).filter(pk=incident_id).first(), "incident")


def entries(incident: Incident) -> Sequence[IncidentEntry]:
    """The timeline, oldest first. The caller got the incident by ``access_incident``."""
    return list(incident.entries.order_by("at", "id"))


def tasks(incident: Incident) -> Sequence[IncidentTask]:
    return list(incident.tasks.order_by("position"))


def access_task(actor: Actor, incident: Incident, task_id: str) -> IncidentTask:
    """A commune ticks its own tasks, the Département all. Errors: NotFound."""
    access_incident(actor, incident.id)
    rows = incident.tasks.filter(pk=task_id)
    return existing((rows if actor.sees_all else rows.filter(audience=Audience.COMMUNE)).first(), "task")


def evidence(incident: Incident) -> Sequence[IncidentEvidence]:
    return list(incident.evidence.order_by("at", "id"))


def deadlines(actor: Actor) -> QuerySet[IncidentTask]:
    """Dates of the law that nobody answered, the next one first; those of what was resolved are not over with it."""
    rows = _UNANSWERED.exclude(~Q(incident__close_reason=RESOLVED), incident__state=Incident.State.CLOSED)
    return actor.visible(rows.select_related("incident")).order_by("due_at", "id")


def unanswered(incident: Incident) -> Sequence[IncidentTask]:
    """Its dates of the law that are neither kept nor said to be needless."""
    return list(_UNANSWERED.filter(incident=incident).order_by("position"))


def closed_unanswered(actor: Actor) -> QuerySet[Incident]:
    """Those that were resolved with such a date left open."""
    rows = visible_incidents(actor).filter(state=Incident.State.CLOSED, close_reason=RESOLVED)
    return rows.filter(Exists(_UNANSWERED.filter(incident=OuterRef("pk"))))


def closed_incidents(actor: Actor, *, before: str = "") -> QuerySet[Incident]:
    """The other closed ones; ``before``: those that come after this incident in their order."""
    rows = visible_incidents(actor).filter(state=Incident.State.CLOSED)
    rows = rows.exclude(pk__in=closed_unanswered(actor).values("pk"))
    last = visible_incidents(actor).filter(pk=before).first() if before else None
    if last is None:
        return rows
    return rows.filter(Q(opened_at__lt=last.opened_at) | Q(opened_at=last.opened_at, pk__lt=last.pk))


def encounters(actor: Actor, decision_id: str) -> Sequence[Encounter]:
    """Who met what a decision names, by collectivité and door."""
    return list(
        actor.visible(Encounter.objects.filter(decision_id=decision_id).order_by("collectivite_id", "door"))
    )


def files(incident: Incident) -> QuerySet[IncidentFile]:
    """Contents that it is about, the newest first. The caller got the incident by ``access_incident``."""
    return incident.files.order_by("-at", "-id")


def counts_of_files(incidents: Sequence[Incident] | QuerySet[Incident]) -> dict[str, int]:
    """How many contents each of them is about; those that are about none are left out."""
    rows = IncidentFile.objects.filter(incident__in=incidents).order_by()
    return dict(rows.values_list("incident").annotate(Count("id")))


def of_files(actor: Actor, *, limit: int) -> Sequence[Incident]:
    """Incidents about contents that the scan of the drive knows, the newest first."""
    found = IncidentFile.objects.filter(incident=OuterRef("pk")).exclude(finding="")
    return list(visible_incidents(actor).filter(Exists(found))[:limit])


def of_decision(actor: Actor, decision_id: str) -> QuerySet[Incident]:
    """Those that it opened, or that are about a file that it holds."""
    held = IncidentFile.objects.filter(incident=OuterRef("pk"), decision_id=decision_id)
    return visible_incidents(actor).filter(Q(decision_id=decision_id) | Exists(held))


def of_devices(actor: Actor, *, limit: int) -> Sequence[Incident]:
    """Incidents about devices that the drive stopped, the newest first."""
    rows = visible_incidents(actor).filter(kind=Kind.SUSPECT_MACHINE, subject__startswith=DEVICE_SUBJECT)
    return list(rows[:limit])


def frozen_files(actor: Actor, *, limit: int) -> Sequence[Encounter]:
    """What decisions hold of the drives' contents, by decision and collectivité, the newest first."""
    return list(actor.visible(Encounter.objects.filter(door="file").order_by("-last_at", "-id"))[:limit])
