"""Bank details that a person checked by telephone, and what a collectivité lets pass of attached files.

Access: a mail of one's own mailbox; the policy is the référent's, of the collectivité of the credential.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid, NotAllowed
from beffroi.mail import queries as mail
from beffroi.mail import reader
from beffroi.mail.safety import actions, queries
from beffroi.portal import safety_words
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web.folders import asked_folder, folder_context

_VERBS = {"checked": actions.confirm_bank, "doubt": actions.doubt_bank}


@require_POST
@for_agents
def bank(request: HttpRequest, actor: Actor, mailbox_id: str, uid: int) -> HttpResponse:
    """``what``: checked or doubt. Errors: NotFound, Invalid, Conflict."""
    mailbox = mail.access_mailbox(actor, mailbox_id)
    verb = _VERBS.get(request.POST.get("what", ""))
    if verb is None:
        raise Invalid("what")
    folder = asked_folder(request)
    with reader.open_mailbox(settings.BEFFROI, mailbox.address) as opened:
        beffroi_id = opened.read(uid, folder).summary.beffroi_id
    verb(actor=actor, mailbox=mailbox, beffroi_id=beffroi_id)
    back = reverse("mail_read", args=[mailbox.id, uid]) + folder_context(folder, [])["in_folder"]
    return HttpResponseRedirect(f"{back}#h-bank")


@require_http_methods(["GET", "POST"])
@for_agents
def attachments(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is held, and what this collectivité lets pass. Errors: NotAllowed, Invalid."""
    if actor.leads is None:
        raise NotAllowed("attachments are the référent's")
    if request.method == "POST":
        actions.set_policy(actor=actor, allowed=request.POST.getlist("allowed"))
        messages.success(request, _("Enregistré. Cela vaut pour les prochains courriels, d’ici une minute."))
        return HttpResponseRedirect(reverse("attachments"))
    rows = safety_words.policy_rows(queries.allowed(actor.leads))
    return page(request, "portal/attachments.html", {"place": "held", "rows": rows})
