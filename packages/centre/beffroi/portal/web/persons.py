"""Personnes: who works here; a référent adds somebody, prints the sheet of their first visit, takes it back.

Input:  hostile: every field. What changes something is a form after a step-up; a code stands in the answer
        that made it.
Access: the référent of the collectivité of the session; for everybody else there is no such page.
"""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import activation
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid, NotFound
from beffroi.mail.people import arriving, queries
from beffroi.portal import persons as shared
from beffroi.portal.pages import for_agents, page

PLACE = {"place": "persons"}


def _own(actor: Actor) -> Collectivite:
    """Errors: NotFound for who is no référent."""
    if not queries.may_manage(actor):
        raise NotFound("page")
    return communes.access_collectivite(actor, actor.collectivite_id or "")


@require_GET
@for_agents
def persons(request: HttpRequest, actor: Actor) -> HttpResponse:
    own = _own(actor)
    return page(request, "portal/persons.html", PLACE | {"people": shared.lines(actor, own.id)})


@require_http_methods(["GET", "POST"])
@for_agents
def add(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Name and role, then the address that is proposed; then the sheet, once."""
    _own(actor)
    answer: HttpResponse = _add(request, actor)
    return answer


@reauthentication_required(allow_get=False)  # type: ignore[untyped-decorator] # before the form: nothing is lost
def _add(request: HttpRequest, actor: Actor) -> HttpResponse:
    own = _own(actor)
    answer = shared.add(request, actor, own) if request.method == "POST" else shared.Answer()
    if answer.sheet is not None:
        return page(request, "portal/person_sheet.html", PLACE | answer.sheet)
    context = PLACE | shared.form_context(actor, own.id, answer.form)
    context |= {"error": answer.said, "failed": answer.failed, "asked": request.method == "POST"}
    return page(request, "portal/person_new.html", context, status=answer.status)


@require_http_methods(["GET", "POST"])
@for_agents
def person(request: HttpRequest, actor: Actor, person_id: str) -> HttpResponse:
    """One person: role; while they are waited for, a new sheet, or their adding taken back."""
    activation.access_colleague(actor, _own(actor).id, person_id)
    answer: HttpResponse = _person(request, actor, person_id)
    return answer


@reauthentication_required(allow_get=False)  # type: ignore[untyped-decorator] # the same
def _person(request: HttpRequest, actor: Actor, person_id: str) -> HttpResponse:
    own = _own(actor)
    one = activation.access_colleague(actor, own.id, person_id)
    context: dict[str, Any] = PLACE | shared.line(actor, one)
    if request.method == "GET":
        context |= shared.form_context(actor, own.id, {})
        return page(request, "portal/person.html", context)
    what = request.POST.get("what", "")
    if what == "sheet":
        made = activation.make(actor=actor, collectivite_id=own.id, person_id=person_id)
        return page(request, "portal/person_sheet.html", PLACE | shared.sheet(own, one.person, made))
    if what == "cancel":
        kept = arriving.cancel(actor=actor, collectivite=own, person_id=person_id)
        messages.success(request, shared.cancelled(kept))
        return HttpResponseRedirect(reverse("persons"))
    if what == "role":
        posted = request.POST
        said = shared.change_role(actor, one, posted.get("membership", ""), posted.get("role", ""))
        messages.success(request, said)
        return HttpResponseRedirect(reverse("person", args=[person_id]))
    raise Invalid("what")
