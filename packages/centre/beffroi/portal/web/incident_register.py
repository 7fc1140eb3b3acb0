"""The register of breaches (GDPR, article 33(5)): every incident of a commune with its facts, its effects and what was
done, as one file for its data protection officer and its référent.

Access: the collectivité of the session, after a step-up; for everybody else there is no such page. The download is told
        in the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from beffroi.core.audit import actions as audit
from beffroi.core.audit import queries
from beffroi.core.identity.actor import Actor
from beffroi.incidents.models import Incident, IncidentTask
from beffroi.incidents.queries import counts_of_files, visible_incidents
from beffroi.lib import clock, spreadsheet
from beffroi.lib.errors import NotFound
from beffroi.portal import incident_words as words
from beffroi.portal.pages import as_file, for_agents
from beffroi.portal.web import step_up


@require_POST
@for_agents
def register(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotFound."""
    if not queries.may_read(actor):
        raise NotFound("page")
    step_up.require(request)
    rows = list(_rows(actor))
    with transaction.atomic():
        audit.record(
            actor,
            "audit:register:exported",
            actor.collectivite_id or "",
            collectivite_id=actor.collectivite_id,
            details={"count": len(rows)},
        )
    head = (
        _("Survenu le"),
        _("Dossier ouvert le"),
        _("Faits"),
        _("Effets"),
        _("Gravité"),
        _("Mesures faites"),
        _("CNIL"),
        _("Plainte"),
        _("État"),
        _("Clos le"),
        _("Dossier"),
    )
    name = f"registre-violations-{_day(clock.now())}.csv"
    return as_file(spreadsheet.table(head, rows), "text/csv; charset=utf-8", name)


def _rows(actor: Actor) -> Iterator[tuple[str, ...]]:
    """The oldest first."""
    files = counts_of_files(visible_incidents(actor))
    for one in visible_incidents(actor).reverse().prefetch_related("tasks"):
        tasks = sorted(one.tasks.all(), key=lambda task: task.position)
        legal = {task.code: task for task in tasks if task.code in ("cnil", "complaint")}
        done = [
            words.task(task.code)
            for task in tasks
            if task.done_at and not task.why and task not in legal.values()
        ]
        yield (
            _day(one.occurred_at),
            _day(one.opened_at),
            words.title(one.kind, files.get(one.id, 1)),
            words.sentence(one.kind, files.get(one.id, 1)),
            str(words.SEVERITIES[one.severity][0]),
            " ".join(done),
            _answer(one, legal.get("cnil")),
            _answer(one, legal.get("complaint")),
            words.reason(one.close_reason) if one.closed_at else str(words.STATES[one.state][0]),
            _day(one.closed_at) if one.closed_at else "",
            one.id,
        )


def _answer(incident: Incident, task: IncidentTask | None) -> str:
    """What became of a date of the law; "" where it sets none."""
    if task is None or not (task.done_at or incident.dates_stand):
        return ""
    if task.why:
        return _("Pas nécessaire : %(why)s") % {"why": task.why}
    if task.done_at:
        return _("Fait le %(day)s") % {"day": _day(task.done_at)}
    return _("Sans réponse")


def _day(moment: datetime) -> str:
    """As spreadsheets sort it."""
    return f"{timezone.localtime(moment):%Y-%m-%d}"
