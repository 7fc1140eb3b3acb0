"""Administrateurs: who signs in to this console, read by two of them each half-year; one asks that an access ends,
another agrees.

Input:  hostile: every field. An end asks for a present code, of who asks and of who agrees.
Access: administrators.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.identity import administrator_reviews as reviews
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib import reasons
from beffroi.lib.errors import Conflict, Invalid
from beffroi.portal.console.incidents import step_up
from beffroi.portal.pages import for_administrators, page

PLACE = {"place": "journal"}


@require_http_methods(["GET", "POST"])
@for_administrators
def administrators(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Read; POST ``read`` (of the list that was shown) confirms."""
    if request.method == "POST":
        try:
            done = reviews.confirm(actor=actor, read=request.POST.get("read", ""))
        except Conflict:
            messages.warning(request, _("La liste a changé depuis que vous l’avez ouverte : relisez-la."))
        else:
            messages.success(
                request,
                _("Relecture terminée, à deux. La prochaine est dans six mois.")
                if done
                else _("C’est noté. Un autre administrateur doit relire à son tour, sous sept jours."),
            )
        return HttpResponseRedirect(reverse("administrators"))
    read = reviews.accesses(actor)
    first = reviews.asked_first(read)
    context = {
        "rows": read,
        "alone": len(read) < 2,
        "read": reviews.digest(read),
        "first": first,
        "first_name": name_of(first.requested_by) if first else "",
        "last": reviews.last(),
        "due": reviews.due_at(),
        "me": actor.id,
    }
    return page(request, "console/administrators.html", PLACE | context)


@require_http_methods(["GET", "POST"])
@for_administrators
def end(request: HttpRequest, actor: Actor, administrator_id: str) -> HttpResponse:
    """Ask that this access ends; answer it. Errors: NotFound; SamePerson, Conflict when somebody was faster."""
    one = identity.administrator(administrator_id)
    asked = reviews.end_of(one.pk)
    error = failed = ""
    if request.method == "POST":
        word, why = request.POST.get("word", ""), request.POST.get("why", "")
        if word != "refuse" and (error := step_up(request, actor)):
            failed = "code"
        else:
            try:
                return _done(request, actor, one.pk, word, why)
            except Invalid:
                error, failed = _("Écrivez pourquoi cet accès doit prendre fin."), "why"
    context: dict[str, Any] = {
        "one": one,
        "came": reviews.last_came(one),
        "asked": asked,
        "asked_by": name_of(asked.requested_by) if asked else "",
        "reason": reviews.reason_of(asked) if asked else "",
        "mine": asked is not None and asked.requested_by == actor.id,
        "self": one.pk == actor.id,
        "nobody": asked is None and not reviews.answering(actor, one.pk).exists(),
        "my_address": identity.administrator(actor.id).email,
        "error": error,
        "failed": failed,
        "typed": request.POST.get("why", "")[: reasons.MOST_CHARS],
    }
    status = {"code": HTTPStatus.FORBIDDEN, "why": HTTPStatus.BAD_REQUEST}.get(failed, HTTPStatus.OK)
    return page(request, "console/administrator_end.html", PLACE | context, status=status)


def _done(request: HttpRequest, actor: Actor, administrator_id: str, word: str, why: str) -> HttpResponse:
    """Errors: as ``end``; Invalid (reason)."""
    if word == "ask":
        reviews.ask_end(actor=actor, administrator_id=administrator_id, reason=why)
        messages.success(request, _("C’est demandé. Un autre administrateur doit répondre, sous sept jours."))
    elif word in ("grant", "refuse"):
        agree = word == "grant"
        reviews.answer_end(actor=actor, administrator_id=administrator_id, agree=agree)
        messages.success(
            request,
            _("Cet accès a pris fin, et ses sessions sont fermées.") if agree else _("Cet accès est gardé."),
        )
    else:
        raise Conflict("no such answer")
    return HttpResponseRedirect(reverse("administrators"))


def name_of(administrator_id: str) -> str:
    """Also of one whose access ended meanwhile."""
    names = {one.pk: one.name or one.email for one in identity.administrators()}
    return names.get(administrator_id, _("Un administrateur parti"))
