"""Renvoi d'une boîte: set by its owner after a step-up, seen by everybody who answers for it, ended with one press.

Input:  hostile: the address.
Access: the mailbox is looked up among the actor's own. A référent sees and ends the forwards of the collectivité; where
        mail goes on is theirs to know, what it says is not.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotAllowed
from beffroi.mail import queries as mail
from beffroi.mail.filters import actions, queries
from beffroi.mail.filters.errors import SettingRefused
from beffroi.mail.models import Mailbox
from beffroi.portal import filters_words as words
from beffroi.portal.forwarding import listed
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import step_up


@require_http_methods(["GET", "POST"])
@for_agents
def forward(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """The form; then, after a step-up, set or renew. Errors: NotFound, Conflict."""
    mailbox = mail.access_mailbox(actor, mailbox_id)
    if request.method == "GET":
        return _form(request, mailbox)
    step_up.require(request)
    try:
        if request.POST.get("word") == "renew":
            actions.renew_forward(actor=actor, mailbox=mailbox)
            messages.info(request, _("Le renvoi est prolongé."))
            return HttpResponseRedirect(reverse("mail_list", args=[mailbox.id]))
        row = actions.set_forward(
            actor=actor,
            mailbox=mailbox,
            target=request.POST.get("target", ""),
            keeps_copy=request.POST.get("copy") == "1",
        )
    except SettingRefused as error:
        return _form(request, mailbox, error=words.trouble(error))
    if row.suspended_at is None:
        messages.info(request, _("Le renvoi est en place. Un bandeau vous le rappelle à chaque visite."))
    return HttpResponseRedirect(reverse("mail_list", args=[mailbox.id]))


def _form(request: HttpRequest, mailbox: Mailbox, *, error: str = "") -> HttpResponse:
    context: dict[str, Any] = {
        "place": "mail",
        "mailbox": mailbox,
        "present": queries.forward(mailbox),
        "target": request.POST.get("target", ""),
        "copy": request.method == "GET" or request.POST.get("copy") == "1",
        "days": settings.BEFFROI.forwarding_days,
        "outside": settings.BEFFROI.forwarding_outside,
        "error": error,
    }
    return page(request, "portal/mail_forward.html", context, status=400 if error else 200)


@require_GET
@for_agents
def forwards(request: HttpRequest, actor: Actor) -> HttpResponse:
    """All of the collectivité, for its référent. Errors: NotAllowed."""
    if actor.role != "referent":
        raise NotAllowed("see the forwards of others")
    context = {"place": "mail", "forwards": listed(actor)}
    return page(request, "portal/forwards.html", context)


@require_POST
@for_agents
def end(request: HttpRequest, actor: Actor, forward_id: str) -> HttpResponse:
    """By its owner, or the référent. Errors: NotFound."""
    row = queries.access_forward(actor, forward_id)
    actions.end_forward(actor=actor, row=row)
    messages.info(request, _("Le renvoi est arrêté."))
    own = row.person_id == actor.id and request.POST.get("then") != "list"
    target = reverse("mail_list", args=[row.mailbox_id]) if own else reverse("forwards")
    return HttpResponseRedirect(target)
