"""Dossiers of a commune: what happened, what to do now, until when; add to it, tick, take the file for a complaint.

Access: the collectivité of the session; another one's incident is "no such page".
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.audit import queries as audit
from beffroi.core.identity.actor import Actor
from beffroi.incidents import actions, queries
from beffroi.incidents.models import Incident
from beffroi.incidents.recorded import Captured
from beffroi.lib.errors import Invalid, NotFound
from beffroi.mail import met as mail
from beffroi.portal import incident_drive, incident_file, incident_opening, incident_view
from beffroi.portal.pages import as_file, asks_part, for_agents, page, typed
from beffroi.portal.web import step_up
from beffroi.watch import queries as watch


@require_GET
@for_agents
def incidents(request: HttpRequest, actor: Actor) -> HttpResponse:
    context = {
        "place": "incidents",
        "open": incident_view.summaries(actor, queries.open_incidents(actor)),
        "unanswered": incident_view.summaries(actor, queries.closed_unanswered(actor)),
        **incident_view.closed(actor, request.GET.get("avant", "")),
        "keeps_register": audit.may_read(actor),
    }
    part = asks_part(request, "list")
    return page(request, "portal/parts/incidents.html" if part else "portal/incidents.html", context)


@require_http_methods(["GET", "POST"])
@for_agents
def new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Tell what no door saw."""
    if request.method == "GET":
        context = {"place": "incidents", **incident_opening.blank()}
        return page(request, "portal/incident_new.html", context)
    made, form = incident_opening.take(request, actor, actor.collectivite_id or "")
    if made is None:
        return page(request, "portal/incident_new.html", {"place": "incidents", **form}, status=400)
    return HttpResponseRedirect(reverse("incident", args=[made.id]))


@require_http_methods(["GET", "POST"])
@for_agents
def incident(request: HttpRequest, actor: Actor, incident_id: str) -> HttpResponse:
    """Read it; tick a task or add a note. Errors: NotFound, Invalid, Conflict."""
    found = queries.access_incident(actor, incident_id)
    wrong = {}
    if request.method == "POST":
        try:
            at = write(request, actor, found)
            return HttpResponseRedirect(reverse("incident", args=[found.id]) + at)
        except Invalid as error:
            wrong = incident_opening.wrong_note(request, error)
    context = {"place": "incidents", **incident_view.full(actor, found), **wrong}
    context |= {
        "sees_alarm": incident_drive.sees_alarm(actor, found),
        "alarm_said": incident_drive.alarm_said(actor, found),
    }
    part = asks_part(request, "incident")
    if not part:
        context |= incident_view.files(found, request.GET.get("page", ""))
        incident_drive.find_places(request, actor, context["files"])
    return page(
        request,
        "portal/parts/incident.html" if part else "portal/incident.html",
        context,
        status=400 if wrong else 200,
    )


def write(request: HttpRequest, actor: Actor, found: Incident) -> str:
    """What both sides may do; where the page goes on, "" at its head: who ticks one step is before the next. Errors:
    NotFound, Invalid, Conflict."""
    if "note" in request.POST:
        actions.add_note(actor=actor, incident=found, text=typed(request, "note"))
        return ""
    if "not_needed" in request.POST:
        task = queries.access_task(actor, found, request.POST["not_needed"])
        actions.not_needed(actor=actor, incident=found, task=task, why=request.POST.get("why", ""))
        return f"#t-{task.id}"
    word = "done" if "done" in request.POST else "undone"
    if word not in request.POST:
        raise Invalid("action")
    task = queries.access_task(actor, found, request.POST[word])
    actions.tick(actor=actor, incident=found, task=task, done=word == "done")
    return f"#t-{task.id}"


@require_http_methods(["GET", "POST"])
@for_agents
def export(request: HttpRequest, actor: Actor, incident_id: str) -> HttpResponse:
    """What the file holds; then the file, after a step-up. Errors: NotFound."""
    found = queries.access_incident(actor, incident_id)
    if request.method == "GET":
        context = {"place": "incidents", **incident_view.full(actor, found)}
        return page(request, "portal/incident_export.html", context)
    step_up.require(request)
    return file_answer(actor, found)


def file_answer(actor: Actor, found: Incident) -> HttpResponse:
    return as_file(incident_file.make(actor, found), "application/zip", incident_file.name_of(found))


@require_http_methods(["GET", "POST"])
@for_agents
def declare(request: HttpRequest, actor: Actor, beffroi_id: str) -> HttpResponse:
    """The person who reported a mail says: I clicked, or I typed my password. Errors: NotFound, Invalid."""
    if watch.own_report(actor, beffroi_id) is None and beffroi_id not in request.session.get("reported", []):
        raise NotFound("report")
    if request.method == "GET":
        return page(request, "portal/mail_declare.html", {"place": "mail", "beffroi_id": beffroi_id})
    what = request.POST.get("what", "")
    if what not in ("clicked", "typed"):
        raise Invalid("what")
    seen = mail.own_evidence(actor, beffroi_id)
    made = actions.declare(
        actor=actor,
        typed=what == "typed",
        message_id=beffroi_id,
        evidence=[Captured("mail", seen.received_at, seen.content)] if seen else [],
    )
    return HttpResponseRedirect(reverse("incident", args=[made.id]))
