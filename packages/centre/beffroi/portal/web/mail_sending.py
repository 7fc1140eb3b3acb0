"""Courrier: a message on its way, until it left; called back meanwhile.

Access: ``sendings.access_sending``; another mailbox's message is "no such page".
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from beffroi.core.identity.actor import Actor
from beffroi.mail import access, sendings
from beffroi.mail.access import Right
from beffroi.mail.models import Sending
from beffroi.portal import webmail_words
from beffroi.portal.pages import asks_part, for_agents, page


@require_GET
@for_agents
def state(request: HttpRequest, actor: Actor, mailbox_id: str, sending_id: str) -> HttpResponse:
    """How a message on its way stands; asked again by htmx while it may still be called back."""
    found = sendings.access_sending(actor, mailbox_id, sending_id)
    mailbox = access.access(actor, mailbox_id, Right.ANSWER).mailbox
    one = shown(found)
    context = {"place": "mail", "mailbox": mailbox, "one": one}
    part = asks_part(request, "state")
    if part and request.GET.get("seen") == one["mark"]:
        # What is read aloud is not said again every two seconds.
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    return page(request, "portal/parts/mail_sending.html" if part else "portal/mail_sending.html", context)


@require_POST
@for_agents
def cancel(request: HttpRequest, actor: Actor, mailbox_id: str, sending_id: str) -> HttpResponse:
    """Call a message back: the draft is open again. Also puts the word of a refusal away."""
    found = sendings.access_sending(actor, mailbox_id, sending_id)
    if not sendings.cancel(actor=actor, sending=found):
        return HttpResponseRedirect(reverse("mail_sending", args=[mailbox_id, sending_id]))
    if request.POST.get("then") == "list":
        return HttpResponseRedirect(reverse("mail_list", args=[mailbox_id]))
    return HttpResponseRedirect(reverse("mail_draft", args=[mailbox_id, found.uid]))


def told(actor: Actor) -> list[dict[str, str]]:
    """For the home of who sent a message and went on to something else."""
    return [
        {
            "title": _("Un message n’est pas parti"),
            "why": shown(one)["words"],
            "url": "mail_list",
            "of": one.mailbox_id,
            "button": _("Regarder"),
        }
        for one in sendings.refused(actor)
    ]


def shown(one: Sending) -> dict[str, Any]:
    """A message on its way, for the page."""
    return {
        "id": one.id,
        "uid": one.uid,
        "state": one.state,
        "mark": f"{one.state}-{one.attempts > 0}",
        "due_at": one.due_at,
        "late": one.attempts > 0,
        "gone": one.reason in ("changed", "closed"),
        "words": webmail_words.refusal(one.reason, json.loads(one.refused)) if one.reason else "",
    }
