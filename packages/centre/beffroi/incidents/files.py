"""Contents of the Coffre that are held: one incident for what came in the same way, with the list of its files.

Rule:    a content joins the open incident of its collectivité that has it already, that has others of the same
         campaign, or that is about the same bringer: a device, a person, a link; of unknown ones, that of the day.
         Else it opens one, which the next ones join. A device that syncs an infected disk is one incident, whatever it
         brings. It is closed by an undoing once nothing in it is held any more.
Process: worker.
Hostile: who brings files chooses how many: a row each, one line of the timeline a day, ``MAX_EVIDENCE`` pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.incidents import actions
from beffroi.incidents.actions import SYSTEM
from beffroi.incidents.models import HELD, Incident, IncidentFile
from beffroi.incidents.recorded import Captured, capture, end, tell, write
from beffroi.incidents.rules import Kind
from beffroi.lib import clock

BROUGHT_BY = "by:"
"""How the subject of an incident begins that is about what one device, person or link brought."""
LINE_EACH = timedelta(days=1)
"""Of what joins an incident: the list of files says the rest."""


@transaction.atomic
def hold(
    *,
    collectivite_id: str,
    sha256: str,
    brought_by: str,
    at: datetime,
    row: Mapping[str, Any],
    data: Mapping[str, str | int],
    evidence: Sequence[Captured],
    decision: Decision | None = None,
) -> Incident:
    """Note that a content is held, in the incident where it belongs. ``row``: more columns of ``IncidentFile``;
    ``data``: of the line that opens an incident; ``decision``: what holds it, None for the scan's own word."""
    outbox.serialise()
    present = _present(collectivite_id, sha256, decision)
    incident = present or _open_about(collectivite_id, subject := _subject(brought_by, at))
    if incident is None:
        incident = actions.open_incident(
            actor=SYSTEM,
            kind=Kind.MALICIOUS_FILE,
            collectivite_id=collectivite_id,
            subject=subject,
            occurred_at=at,
            decision_id=decision.id if decision else "",
            data=data,
            evidence=evidence,
        )
        _keep(incident, sha256, at, row)
    else:
        is_new = _keep(incident, sha256, at, row)
        if capture(incident, evidence) or is_new:
            _say(incident, "files_joined" if is_new else "seen_again")
    return incident


@transaction.atomic
def undo(*, decision_id: str) -> int:
    """A decision was undone: what it alone held is free, and an incident in which nothing else is held is closed; how
    many are."""
    outbox.serialise()
    rows = IncidentFile.objects.filter(decision_id=decision_id)
    touched = list(Incident.objects.filter(files__in=rows).exclude(state=Incident.State.CLOSED).distinct())
    rows.filter(undone_at=None).update(undone_at=clock.now())
    over = [one for one in touched if not one.files.filter(HELD).exists()]
    for incident in over:
        end(SYSTEM, incident, "decision_undone")
    return len(over)


def let_go(*, collectivite_id: str, decision_id: str, at: datetime) -> None:
    """A decision holds nothing of a collectivité any more: its time is over, or it is let through there. What is open
    stays open."""
    rows = IncidentFile.objects.filter(
        collectivite_id=collectivite_id, decision_id=decision_id, undone_at=None
    )
    rows.update(undone_at=at)


@transaction.atomic
def answer(*, collectivite_id: str, sha256: str, code: str) -> None:
    """Somebody of the collectivité asked about a content that is held, or released it (``code``)."""
    outbox.serialise()
    incident = _with(collectivite_id, Q(sha256=sha256))
    if incident is None:
        return
    if code == "file_released":
        incident.files.filter(sha256=sha256).update(released_at=clock.now())
    actions.add_entry(actor=SYSTEM, incident=incident, code=code, data={"sha256": sha256})


def _present(collectivite_id: str, sha256: str, decision: Decision | None) -> Incident | None:
    """The open incident that has this content, or others of its campaign."""
    present = _with(collectivite_id, Q(sha256=sha256))
    if present is not None or decision is None or not decision.campaign_id:
        return present
    campaign = Decision.objects.filter(campaign_id=decision.campaign_id)
    return _with(collectivite_id, Q(decision_id__in=campaign.values("id")))


def _with(collectivite_id: str, which: Q) -> Incident | None:
    rows = IncidentFile.objects.filter(which, collectivite_id=collectivite_id)
    found = (
        rows.exclude(incident__state=Incident.State.CLOSED).select_related("incident").order_by("id").first()
    )
    return found.incident if found else None


def _open_about(collectivite_id: str, subject: str) -> Incident | None:
    rows = Incident.objects.filter(collectivite_id=collectivite_id, kind=Kind.MALICIOUS_FILE, subject=subject)
    return rows.exclude(state=Incident.State.CLOSED).first()


def _subject(brought_by: str, at: datetime) -> str:
    """Of whom nobody knows any more, newer rules may find hundreds in old files: those of a day are one."""
    return f"{BROUGHT_BY}{brought_by or f'{at:%Y-%m-%d}'}"[:80]


def _keep(incident: Incident, sha256: str, at: datetime, row: Mapping[str, Any]) -> bool:
    """True for one that the incident did not have."""
    _, made = IncidentFile.objects.update_or_create(
        incident=incident,
        sha256=sha256,
        defaults=row,
        create_defaults={**row, "collectivite_id": incident.collectivite_id, "at": at},
    )
    return made


def _say(incident: Incident, code: str) -> None:
    recent = incident.entries.filter(code=code, recorded_at__gt=clock.now() - LINE_EACH)
    if not recent.exists():
        write(incident, SYSTEM, code)
        tell(SYSTEM, incident, "seen_again")
