"""Personnes: who works here; a référent adds somebody, prints the sheet of their first visit, takes it back.

Input:  hostile: every field. What changes something is a form after a step-up; a code stands in the answer
        that made it.
Access: the référent of the collectivité of the session; for everybody else there is no such page.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.audit import queries as audit
from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import activation, offers
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Invalid, NotFound
from beffroi.mail.people import arriving, queries
from beffroi.portal import persons as shared
from beffroi.portal.pages import for_agents, page, sought
from beffroi.portal.templatetags.beffroi import role_word
from beffroi.portal.web import step_up

PLACE = {"place": "persons"}


def _own(actor: Actor) -> Collectivite:
    """Errors: NotFound for who is no référent."""
    if not queries.may_manage(actor):
        raise NotFound("page")
    return communes.access_collectivite(actor, actor.collectivite_id or "")


@require_http_methods(["GET", "POST"])
@for_agents
def persons(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Everybody, or those of a name; POST takes back a question to somebody of another collectivité."""
    own = _own(actor)
    if request.method == "POST":
        offers.withdraw(actor=actor, collectivite_id=own.id, offer_id=request.POST.get("offer", ""))
        messages.success(request, _("La demande est retirée."))
        return HttpResponseRedirect(reverse("persons"))
    q = sought(request, shared.MAX_SOUGHT_CHARS)
    context = shared.listed(shared.lines(actor, own.id), q) | {"sent": offers.sent(actor, own.id)}
    return page(request, "portal/persons.html", PLACE | context)


@require_http_methods(["GET", "POST"])
@for_agents
def add(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Name and role, then the address that is proposed; then the sheet, once."""
    own = _own(actor)
    step_up.require(request)
    asks = request.POST.get("what") == "offer"
    take = shared.offer if asks else shared.add
    answer = take(request, actor, own) if request.method == "POST" else shared.Answer()
    if asks and not answer.failed:
        messages.success(request, shared.offered())
        return HttpResponseRedirect(reverse("persons"))
    if answer.sheet is not None:
        return page(request, "portal/person_sheet.html", PLACE | answer.sheet)
    context = PLACE | shared.form_context(actor, own.id, answer.form)
    context |= {"error": answer.said, "failed": answer.failed, "asked": request.method == "POST"}
    return page(request, "portal/person_new.html", context, status=answer.status)


@require_http_methods(["GET", "POST"])
@for_agents
def person(request: HttpRequest, actor: Actor, person_id: str) -> HttpResponse:
    """One person: role, own mailbox; while they are waited for, a new sheet, or their adding taken back."""
    own = _own(actor)
    one = activation.access_colleague(actor, own.id, person_id)
    step_up.require(request)
    context: dict[str, Any] = PLACE | shared.line(actor, one) | shared.form_context(actor, own.id, {})
    context |= shared.mailbox(one, own.id)
    if request.method == "GET":
        return page(request, "portal/person.html", context)
    what = request.POST.get("what", "")
    if what == "sheet":
        made = activation.make(actor=actor, collectivite_id=own.id, person_id=person_id)
        return page(request, "portal/person_sheet.html", PLACE | shared.sheet(own, one.person, made))
    if what == "cancel":
        kept = arriving.cancel(actor=actor, collectivite=own, person_id=person_id)
        messages.success(request, shared.cancelled(kept))
        return HttpResponseRedirect(reverse("persons"))
    if what == "mailbox":
        said, wrong = shared.give_mailbox(request, actor, one, own)
        if wrong.failed:
            context |= {"error": wrong.said, "failed": wrong.failed, "address": wrong.form}
            return page(request, "portal/person.html", context, status=wrong.status)
        messages.success(request, said)
        return HttpResponseRedirect(reverse("person", args=[person_id]))
    if what == "role":
        posted = request.POST
        said = shared.change_role(actor, one, posted.get("membership", ""), posted.get("role", ""))
        messages.success(request, said)
        return HttpResponseRedirect(reverse("person", args=[person_id]))
    raise Invalid("what")


@require_http_methods(["GET", "POST"])
@for_agents
def asked(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Questions of other collectivités to the reader, and their answer."""
    if request.method == "POST":
        accept = request.POST.get("word") == "accept"
        name = offers.answer(actor=actor, offer_id=request.POST.get("offer", ""), accept=accept)
        said = (
            _("Vous travaillez maintenant aussi pour %(name)s : « changer », en haut de la page, y mène.")
            if accept
            else _("Vous avez refusé. %(name)s ne l’apprend pas ; vous pouvez encore changer d’avis ici.")
        )
        messages.success(request, said % {"name": name})
        return HttpResponseRedirect(reverse("home" if accept else "membership_offers"))
    return page(request, "portal/membership_offers.html", {"asked": offers.asked(actor)})


def told(actor: Actor) -> list[dict[str, str]]:
    """For the home page: one line for each question that has no answer; for a référent those of ``_given``, too."""
    return [
        *_given(actor),
        *(
            {
                "title": _("%(name)s vous ajoute comme %(role)s")
                % {"name": one.collectivite.name, "role": role_word(one.offer.role).lower()},
                "why": _("Vous gardez vos accès d’ici. Acceptez, ou refusez si vous n’y travaillez pas."),
                "url": "membership_offers",
                "button": _("Répondre"),
            }
            for one in offers.asked(actor)
            if not one.refused
        ),
    ]


def _given(actor: Actor) -> list[dict[str, str]]:
    """Passwords that the Département gave to colleagues lately. Whoever talked it into one has chosen another by now:
    the audit log alone still says so."""
    if actor.leads is None:
        return []
    names = {one.pk: one.name for one in identity.visible_persons(actor).exclude(pk=actor.id)}
    given = audit.last_of(verb="identity:password:given", object_ids=names, collectivite_id=None)
    return [
        {
            "title": _("Le Département a donné un nouveau mot de passe à %(name)s") % {"name": names[one]},
            "why": _(
                "On lui a dit que l’ancien était oublié. Demandez à cette personne, de vive voix, si c’est vrai ;"
                " sinon, appelez aussitôt le Département."
            ),
            "url": "own_journal",
            "button": _("Voir le journal"),
        }
        for one, at in given.items()
        if at > clock.now() - identity.NEW_APP_PASSWORD
    ]
