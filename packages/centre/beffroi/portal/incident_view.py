"""An incident as pages and its file show it: sentences, names for those who may read them, countdowns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from beffroi.core.communes import queries as communes
from beffroi.core.decisions import queries as decisions
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.incidents import queries
from beffroi.incidents.models import Incident, IncidentFile, IncidentTask
from beffroi.incidents.rules import PLANS, Audience, Kind
from beffroi.lib.ids import is_id
from beffroi.portal import incident_words as words
from beffroi.portal.numbered import ROWS, numbered

CLOSED_SHOWN = 50
"""A page."""
NAMES_FOR = ("referent", "elu", "dpo")
"""Roles of a commune that read whom an incident concerns; others read that it is a colleague."""


@dataclass(frozen=True)
class Line:
    """``at``: when it happened. ``text`` is ours, ``said`` a person's own words."""

    at: datetime
    text: str
    who: str
    said: str = ""


@dataclass(frozen=True)
class Todo:
    """A task with its countdown, if the law sets one."""

    task: IncidentTask
    text: str
    left: str = ""
    tone: str = ""


@dataclass
class File:
    """A content of the Coffre. ``places``: where it lies, of what the reader sees."""

    one: IncidentFile
    places: Sequence[object] = ()


@dataclass(frozen=True)
class Summary:
    """One line of a list."""

    incident: Incident
    title: str
    sentence: str
    commune: str
    person: str
    next_date: Todo | None


def summaries(actor: Actor, rows: Iterable[Incident]) -> list[Summary]:
    """Four queries for any number of incidents."""
    found = list(rows)
    names = communes.visible_names(actor)
    persons = identity.person_names({one.person_id for one in found if one.person_id})
    files = queries.counts_of_files(found)
    due: dict[str, Todo] = {}
    for one in queries.deadlines(actor).filter(incident__in=found):
        due.setdefault(one.incident_id, todo(one))
    return [
        Summary(
            one,
            words.title(one.kind, files.get(one.id, 1)),
            words.sentence(one.kind, files.get(one.id, 1)),
            names.get(one.collectivite_id, ""),
            _as_read(actor, one.person_id, persons) if one.person_id else "",
            due.get(one.id),
        )
        for one in found
    ]


def closed(actor: Actor, before: str) -> dict[str, Any]:
    """A page of the closed ones and how many there are; ``before``: the last one of the page before, as somebody asks
    for it."""
    before = before if is_id(before, "inc") else ""
    rows = list(queries.closed_incidents(actor, before=before)[: CLOSED_SHOWN + 1])
    return {
        "closed": summaries(actor, rows[:CLOSED_SHOWN]),
        "closed_count": queries.closed_incidents(actor).count(),
        "before": before,
        "older": rows[CLOSED_SHOWN - 1].id if len(rows) > CLOSED_SHOWN else "",
    }


def todo(task: IncidentTask, *, stands: bool = True) -> Todo:
    """``stands``: whether its date is still to be kept."""
    if task.due_at is None or task.done_at is not None or not stands:
        return Todo(task, words.task(task.code))
    left, tone = words.left(task.due_at)
    return Todo(task, words.task(task.code), left, tone)


def full(actor: Actor, incident: Incident) -> dict[str, Any]:
    """All that a page of it shows. The caller got the incident by ``access_incident``."""
    tasks = [todo(one, stands=incident.dates_stand) for one in queries.tasks(incident)]
    mine = [one for one in tasks if one.task.audience == Audience.COMMUNE]
    files = incident.files.count() or 1
    return {
        "incident": incident,
        "title": words.title(incident.kind, files),
        "sentence": words.sentence(incident.kind, files),
        "commune": communes.access_collectivite(actor, incident.collectivite_id).name,
        "tasks": mine,
        "left": sum(one.task.done_at is None for one in mine),
        "unanswered": [todo(one) for one in queries.unanswered(incident)] if incident.dates_stand else [],
        "departement_tasks": [one for one in tasks if one.task.audience == Audience.DEPARTEMENT],
        "lines": timeline(actor, incident),
        "evidence": [{"one": one, "source": words.source(one.source)} for one in queries.evidence(incident)],
        "person": person(actor, incident),
        "owner": owner(incident),
        "reason": words.reason(incident.close_reason),
        "contact": settings.BEFFROI.incident_contact,
        "runbook": f"docs/runbooks/{PLANS[Kind(incident.kind)].runbook}.md",
    }


def files(incident: Incident, asked: str) -> dict[str, Any]:
    """A page of the contents that it is about; ``asked``: its number, as the address has it."""
    rows = queries.files(incident)
    pages = numbered(range(rows.count()), asked, {})
    first = (pages.number - 1) * ROWS
    return {"list": pages, "files": [File(one) for one in rows[first : first + ROWS]]}


def timeline(actor: Actor, incident: Incident) -> list[Line]:
    named = cache(partial(who, actor))
    return [
        Line(
            one.at,
            words.entry(incident.kind, one.code, one.data),
            "" if one.code == "happened" else named(one.actor_kind, one.actor_id),
            one.text or _people(actor, one.data) or _why(actor, one.code, one.data),
        )
        for one in queries.entries(incident)
    ]


def _people(reader: Actor, data: dict[str, Any]) -> str:
    """Those whom a line names, as this reader may know them."""
    ids = str(data.get("person_ids", "")).split()
    if not (reader.sees_all or reader.role in NAMES_FOR):
        return ""
    return ", ".join(sorted(identity.person_names(ids).values()))


def _why(reader: Actor, code: str, data: dict[str, Any]) -> str:
    """Why something passes everywhere, or no longer, in the words of who said so: for the Département only, since they
    may speak of another commune."""
    row = decisions.never_again_entries(reader).filter(pk=data.get("never_again_id", "")).first()
    if row is None:
        return ""
    return row.revoke_reason if code == "reopened" and row.revoked_by.startswith("adm_") else row.reason


def who(reader: Actor, kind: str, actor_id: str) -> str:
    """Who wrote a line, as this reader may know it."""
    if kind == "administrator":
        name = identity.administrator_name(actor_id)
        return _("%(name)s, Département") % {"name": name} if name else _("le Département")
    if kind == "person":
        return _name(reader, actor_id)
    return _("automatique")


def person(reader: Actor, incident: Incident) -> str:
    """Whom it concerns; empty when it is about no person."""
    return _name(reader, incident.person_id) if incident.person_id else ""


def owner(incident: Incident) -> str:
    return identity.administrator_name(incident.owner_id) if incident.owner_id else ""


def _name(reader: Actor, person_id: str) -> str:
    return _as_read(reader, person_id, identity.person_names([person_id]))


def _as_read(reader: Actor, person_id: str, names: dict[str, str]) -> str:
    if reader.sees_all or reader.id == person_id or reader.role in NAMES_FOR:
        return names.get(person_id) or _("une personne partie")
    return _("un agent de la collectivité")
