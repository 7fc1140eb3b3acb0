"""Dossiers of the département: lead and close them, revoke what an attacker may hold; look back of a decision."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.decisions import queries as decisions
from beffroi.core.identity import administrators
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import SignInRefused
from beffroi.core.identity.sign_ins import client_address
from beffroi.incidents import actions, queries
from beffroi.incidents.models import Incident
from beffroi.incidents.rules import Severity
from beffroi.lib.errors import Invalid, NotFound
from beffroi.mail.met import met
from beffroi.portal import incident_drive, incident_opening, incident_view, words
from beffroi.portal import incident_words as texts
from beffroi.portal.pages import asks_part, for_administrators, page
from beffroi.portal.web.incidents import file_answer, write


@require_GET
@for_administrators
def incidents(request: HttpRequest, actor: Actor) -> HttpResponse:
    rows = incident_view.summaries(actor, queries.open_incidents(actor))
    groups = [
        {"title": title, "rows": [one for one in rows if one.incident.state in states]}
        for title, states in (
            (_("À prendre en charge"), (Incident.State.OPEN,)),
            (_("En cours"), (Incident.State.IN_PROGRESS,)),
            (_("En attente de la commune"), (Incident.State.WAITING,)),
        )
    ]
    left = incident_view.summaries(actor, queries.closed_unanswered(actor))
    groups.append({"title": _("Clos, un délai de la loi sans réponse"), "rows": left})
    closed = incident_view.closed(actor, request.GET.get("avant", ""))
    context = {
        "place": "incidents",
        "groups": groups,
        "unowned": len(groups[0]["rows"]),
        "any": closed["closed_count"] or any(group["rows"] for group in groups),
        **closed,
    }
    part = asks_part(request, "list")
    return page(request, "console/parts/incidents.html" if part else "console/incidents.html", context)


@require_http_methods(["GET", "POST"])
@for_administrators
def new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Somebody called: open it for their commune. Errors: NotFound."""
    known = communes.visible_collectivites(actor).exclude(enrolled_at=None)
    context = {"place": "incidents", "communes": known}
    if request.method == "GET":
        return page(request, "console/incident_new.html", context | incident_opening.blank())
    owner = communes.access_collectivite(actor, request.POST.get("collectivite_id", ""))
    made, form = incident_opening.take(request, actor, owner.id)
    if made is None:
        context |= form | {"of": owner.id}
        return page(request, "console/incident_new.html", context, status=400)
    return HttpResponseRedirect(reverse("incident", args=[made.id]))


@require_http_methods(["GET", "POST"])
@for_administrators
def incident(request: HttpRequest, actor: Actor, incident_id: str) -> HttpResponse:
    """Read it; take it, change state or gravity, reopen, tick, write. Errors: NotFound, Invalid, Conflict."""
    found = queries.access_incident(actor, incident_id)
    wrong = {}
    if request.method == "POST":
        try:
            at = _lead(request, actor, found)
            if request.POST.get("back") == "close":
                return HttpResponseRedirect(reverse("incident_close", args=[found.id]))
            return HttpResponseRedirect(reverse("incident", args=[found.id]) + at)
        except Invalid as error:
            wrong = incident_opening.wrong_note(request, error)
    context = {
        "place": "incidents",
        **incident_view.full(actor, found),
        **wrong,
        **incident_view.files(found, request.GET.get("page", "")),
        "alarm_said": incident_drive.alarm_said(actor, found),
        "app_passwords": mail_devices(actor, found),
        "severities": [(one.value, texts.SEVERITIES[one][0]) for one in Severity],
        "states": [
            (state, texts.STATES[state][0]) for state in (Incident.State.IN_PROGRESS, Incident.State.WAITING)
        ],
    }
    part = asks_part(request, "incident")
    return page(
        request,
        "console/parts/incident.html" if part else "console/incident.html",
        context,
        status=400 if wrong else 200,
    )


def _lead(request: HttpRequest, actor: Actor, found: Incident) -> str:
    """As ``write``, and what the Département may."""
    if "take" in request.POST:
        actions.take(actor=actor, incident=found)
    elif "state" in request.POST:
        actions.set_state(actor=actor, incident=found, state=request.POST["state"])
    elif "severity" in request.POST:
        actions.set_severity(actor=actor, incident=found, severity=request.POST["severity"])
    elif "complaint" in request.POST:
        actions.set_complaint(actor=actor, incident=found, under_way=request.POST["complaint"] == "made")
    elif "reopen" in request.POST:
        actions.reopen(actor=actor, incident=found)
    else:
        return write(request, actor, found)
    return ""


def mail_devices(actor: Actor, found: Incident) -> int:
    """How many app passwords the person of the incident holds in its collectivité."""
    if not found.person_id:
        return 0
    return identity.app_passwords_of(actor, found.person_id, found.collectivite_id).count()


@require_http_methods(["GET", "POST"])
@for_administrators
def close(request: HttpRequest, actor: Actor, incident_id: str) -> HttpResponse:
    """Close it; as resolved, once every date of the law is answered. Errors: NotFound, Invalid, Conflict."""
    found, refused = queries.access_incident(actor, incident_id), False
    if request.method == "GET" and found.state == Incident.State.CLOSED:  # who goes back in the browser
        return HttpResponseRedirect(reverse("incident", args=[found.id]))
    if request.method == "POST":
        try:
            actions.close(actor=actor, incident=found, reason=request.POST.get("reason", ""))
            return HttpResponseRedirect(reverse("incident", args=[found.id]))
        except actions.DateUnanswered:
            refused = True
    reasons = [(one, texts.reason(one)) for one in actions.CLOSE_REASONS]
    context = {
        "place": "incidents",
        "reasons": reasons,
        "refused": refused,
        "chosen": request.POST.get("reason", ""),
        **incident_view.full(actor, found),
    }
    return page(request, "console/incident_close.html", context, status=409 if refused else 200)


@require_http_methods(["GET", "POST"])
@for_administrators
def export(request: HttpRequest, actor: Actor, incident_id: str) -> HttpResponse:
    """The file for a complaint, after a present code. Errors: NotFound."""
    found = queries.access_incident(actor, incident_id)
    error = step_up(request, actor) if request.method == "POST" else ""
    if request.method == "POST" and not error:
        return file_answer(actor, found)
    context = {"place": "incidents", "error": error, **incident_view.full(actor, found)}
    return page(request, "console/incident_export.html", context, status=403 if error else 200)


@require_http_methods(["GET", "POST"])
@for_administrators
def app_passwords(request: HttpRequest, actor: Actor, incident_id: str) -> HttpResponse:
    """Revoke the app passwords of the person of an incident, after a present code. Errors: NotFound, Conflict."""
    found = queries.access_incident(actor, incident_id)
    if not found.person_id:
        raise NotFound("person")
    error = step_up(request, actor) if request.method == "POST" else ""
    if request.method == "POST" and not error:
        actions.revoke_app_passwords(actor=actor, incident=found, person_id=found.person_id)
        return HttpResponseRedirect(reverse("incident", args=[found.id]))
    context = {
        "place": "incidents",
        "count": mail_devices(actor, found),
        "error": error,
        **incident_view.full(actor, found),
    }
    return page(request, "console/incident_app_passwords.html", context, status=403 if error else 200)


def step_up(request: HttpRequest, actor: Actor) -> str:
    """What to say when the code is not right; empty when it is."""
    try:
        administrators.confirm_by_code(
            administrator_id=actor.id, code=request.POST.get("code", ""), address=client_address(request)
        )
    except SignInRefused:
        return _(
            "Ce code n’est pas le bon, ou il a déjà servi. Attendez le suivant ; après plusieurs échecs, attendez un"
            " quart d’heure, ou demain."
        )
    return ""


@require_GET
@for_administrators
def look_back(request: HttpRequest, actor: Actor, decision_id: str) -> HttpResponse:
    """Who had met what a decision names in the 30 days before, at which door, and what became of it."""
    decision = decisions.access_decision(actor, decision_id)
    names = communes.visible_names(actor)
    opened = queries.of_decision(actor, decision.id)
    context = {
        "place": "campaigns",
        "decision": decision,
        "title": words.decision_title(decision.kind, decision.value, decision.action),
        "encounters": [
            {"one": one, "commune": names.get(one.collectivite_id, "")}
            for one in queries.encounters(actor, decision.id)
        ],
        "mail": [
            {"one": one, "commune": names.get(one.collectivite_id, "")} for one in met(actor, decision.id)
        ],
        "incidents": incident_view.summaries(actor, opened),
    }
    return page(request, "console/look_back.html", context)
