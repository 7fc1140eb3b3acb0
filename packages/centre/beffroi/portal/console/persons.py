"""Personnes of one collectivité: the Département adds anybody there, its first référent above all, and changes roles.

Input:  hostile: every field. What changes something asks for a present code, as on the portal for a step-up.
Access: the Département, by the actions of the référent's pages.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import actions as identity
from beffroi.core.identity import activation, offers
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.lib.errors import Conflict, Invalid
from beffroi.mail.people import arriving
from beffroi.portal import persons as shared
from beffroi.portal.console.incidents import step_up
from beffroi.portal.pages import for_administrators, page, sought

PLACE = {"place": "communes"}


@require_http_methods(["GET", "POST"])
@for_administrators
def persons(request: HttpRequest, actor: Actor, collectivite_id: str) -> HttpResponse:
    """Everybody, or those of a name; POST takes back a question to somebody of another collectivité."""
    collectivite = communes.access_collectivite(actor, collectivite_id)
    if request.method == "POST":
        offers.withdraw(actor=actor, collectivite_id=collectivite.id, offer_id=request.POST.get("offer", ""))
        messages.success(request, _("La demande est retirée."))
        return HttpResponseRedirect(reverse("commune_persons", args=[collectivite.id]))
    people = shared.lines(actor, collectivite.id)
    roles = {row.role for one in people for row in one["memberships"]}
    context = shared.listed(people, sought(request, shared.MAX_SOUGHT_CHARS)) | {
        "owner": collectivite,
        "sent": offers.sent(actor, collectivite.id),
        "no_referent": Membership.Role.REFERENT not in roles,
        "domains": arriving.domains(collectivite.id),
    }
    return page(request, "console/persons.html", PLACE | context)


@require_http_methods(["GET", "POST"])
@for_administrators
def add(request: HttpRequest, actor: Actor, collectivite_id: str) -> HttpResponse:
    """Name and role, then the address that is proposed and a code; then the sheet, once."""
    collectivite = communes.access_collectivite(actor, collectivite_id)
    answer = shared.Answer()
    asks = request.POST.get("what") == "offer"
    if request.method == "POST":
        form = shared.typed(request) | ({"email": request.POST.get("email", "")[:254]} if asks else {})
        wrong = step_up(request, actor) if asks or form["local"] else ""
        if wrong and asks:
            answer = shared.Answer(said=wrong, failed="offer", status=HTTPStatus.FORBIDDEN, form=form)
        elif asks:
            answer = shared.offer(request, actor, collectivite)
            if not answer.failed:
                messages.success(request, shared.offered())
                return HttpResponseRedirect(reverse("commune_persons", args=[collectivite.id]))
        elif wrong:
            answer = shared.Answer(said=wrong, failed="code", status=HTTPStatus.FORBIDDEN, form=form)
        else:
            answer = shared.add(request, actor, collectivite)
    if answer.sheet is not None:
        return page(request, "console/person_sheet.html", PLACE | answer.sheet | {"owner": collectivite})
    first = request.GET.get("role", "")
    form = answer.form or ({"role": first} if first in Membership.Role.values else {})
    context = PLACE | shared.form_context(actor, collectivite.id, form) | {"owner": collectivite}
    context |= {"error": answer.said, "failed": answer.failed, "asked": request.method == "POST"}
    return page(request, "console/person_new.html", context, status=answer.status)


@require_http_methods(["GET", "POST"])
@for_administrators
def person(request: HttpRequest, actor: Actor, collectivite_id: str, person_id: str) -> HttpResponse:
    """One person: any role; while they are waited for, a new sheet, or their adding taken back; then a new password for
    who forgot theirs, shown once."""
    owner = communes.access_collectivite(actor, collectivite_id)
    one = activation.access_colleague(actor, owner.id, person_id)
    context: dict[str, Any] = PLACE | shared.line(actor, one) | {"owner": owner}
    context |= shared.form_context(actor, owner.id, {}) | shared.mailbox(one, owner.id)
    if request.method == "GET":
        return page(request, "console/person.html", context)
    what = request.POST.get("what", "")
    if what not in ("sheet", "cancel", "role", "password", "mailbox"):
        raise Invalid("what")
    if what == "password" and one.waited_for:
        raise Conflict("who has not come yet has a sheet")
    if what == "mailbox":
        context["address"] = {name: shared.typed(request)[name] for name in ("local", "domain")}
    context["why"] = why = request.POST.get("why", "").strip()[:500]
    if what == "password" and not why:
        context |= {"error": _("Écrivez comment vous savez que c’est cette personne."), "failed": "why"}
        return page(request, "console/person.html", context, status=HTTPStatus.BAD_REQUEST)
    if wrong := step_up(request, actor):
        context |= {"error": wrong, "failed": what}
        return page(request, "console/person.html", context, status=HTTPStatus.FORBIDDEN)
    if what == "password":
        given = identity.give_password(actor=actor, person=one.person, reason=why)
        return page(request, "console/person_password.html", context | {"password": given})
    if what == "sheet":
        return _sheet(request, actor, owner, one)
    if what == "mailbox":
        said, answer = shared.give_mailbox(request, actor, one, owner)
        if answer.failed:
            context |= {"error": answer.said, "failed": answer.failed, "address": answer.form}
            return page(request, "console/person.html", context, status=answer.status)
        messages.success(request, said)
        return HttpResponseRedirect(reverse("commune_person", args=[owner.id, person_id]))
    if what == "cancel":
        messages.success(
            request, shared.cancelled(arriving.cancel(actor=actor, collectivite=owner, person_id=person_id))
        )
        return HttpResponseRedirect(reverse("commune_persons", args=[owner.id]))
    posted = request.POST
    messages.success(
        request, shared.change_role(actor, one, posted.get("membership", ""), posted.get("role", ""))
    )
    return HttpResponseRedirect(reverse("commune_person", args=[owner.id, person_id]))


def _sheet(
    request: HttpRequest, actor: Actor, owner: Collectivite, one: activation.Colleague
) -> HttpResponse:
    made = activation.make(actor=actor, collectivite_id=owner.id, person_id=one.person.pk)
    context = PLACE | shared.sheet(owner, one.person, made) | {"owner": owner}
    return page(request, "console/person_sheet.html", context)
