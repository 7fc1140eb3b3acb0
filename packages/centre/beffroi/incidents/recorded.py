"""How each verb about incidents writes: the row under its lock, the timeline, the evidence, audit entry and event.

For ``actions`` alone, and always within its transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from beffroi.core.audit import actions as audit
from beffroi.core.audit.chain import canonical
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.incidents.models import Incident, IncidentEntry, IncidentEvidence
from beffroi.lib import clock
from beffroi.lib.errors import Conflict

MAX_EVIDENCE = 50
"""Pieces of one incident: a box that tells the same in ever new numbers fills no disk."""


@dataclass(frozen=True)
class Captured:
    """Evidence as a source tells it: of what time, and its values."""

    source: str
    at: datetime
    content: Mapping[str, object]


def lock(incident: Incident, *, open_only: bool = False) -> Incident:
    """Return its row, locked. Errors: Conflict (closed, where it has to be open)."""
    outbox.serialise()
    locked = Incident.objects.select_for_update().get(pk=incident.pk)
    if open_only and not locked.is_open:
        raise Conflict("the incident is closed")
    return locked


def change(locked: Incident, incident: Incident, changes: Mapping[str, object]) -> None:
    """Change the locked row, and read it again into the caller's."""
    Incident.objects.filter(pk=locked.pk).update(**changes)
    incident.refresh_from_db()


def capture(incident: Incident, evidence: Sequence[Captured]) -> int:
    """Keep what is new; return how many pieces that are."""
    new, left = 0, MAX_EVIDENCE - incident.evidence.count()
    for one in evidence:
        if new >= left:
            break
        content = canonical(dict(one.content))
        _, made = IncidentEvidence.objects.get_or_create(
            incident=incident,
            sha256=hashlib.sha256(content.encode()).hexdigest(),
            defaults={
                "collectivite_id": incident.collectivite_id,
                "source": one.source,
                "at": one.at,
                "content": content,
            },
        )
        new += made
    return new


def write(
    incident: Incident,
    actor: Actor,
    code: str,
    *,
    at: datetime | None = None,
    data: Mapping[str, str | int] | None = None,
    text: str = "",
) -> IncidentEntry:
    """Add a line to the timeline; ``at``: now, where none is given."""
    return IncidentEntry.objects.create(
        incident=incident,
        collectivite_id=incident.collectivite_id,
        at=at or clock.now(),
        actor_kind=actor.kind,
        actor_id=actor.id,
        code=code,
        data=dict(data or {}),
        text=text,
    )


def end(actor: Actor, incident: Incident, reason: str, data: Mapping[str, str] | None = None) -> None:
    """Close it. Errors: Conflict."""
    locked = lock(incident, open_only=True)
    changes = {
        "state": Incident.State.CLOSED,
        "closed_at": clock.now(),
        "closed_by": actor.id,
        "close_reason": reason,
    }
    change(locked, incident, changes)
    write(incident, actor, "closed", data={"reason": reason, **(data or {})})
    tell(actor, incident, "closed", reason=reason)


def tell(actor: Actor, incident: Incident, what: str, **details: str | int) -> None:
    """The audit entry and the event of a verb."""
    audit.record_of(actor, f"incident:{what}", incident, details)
    outbox.publish(f"incident:{what}", payload(incident), collectivite_id=incident.collectivite_id)


def payload(incident: Incident) -> dict[str, object]:
    """What an event of an incident carries."""
    return {
        "incident_id": incident.id,
        "kind": incident.kind,
        "state": incident.state,
        "severity": incident.severity,
    }
