"""Confirm that a mail was opened, where its sender asks for it and its owner wants to.

Access: the owner of the mailbox; a delegate confirms nothing in their stead.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.mail import access, original, receipts
from beffroi.mail.access import Right
from beffroi.mail.people import queries as team
from beffroi.portal.pages import for_agents
from beffroi.portal.web.folders import asked_folder
from beffroi.portal.words import exact


@require_POST
@for_agents
def send(request: HttpRequest, actor: Actor, mailbox_id: str, uid: int) -> HttpResponse:
    """Errors: NotFound, also where none is asked for or it was sent; those of sending."""
    box = access.access(actor, mailbox_id, Right.ANSWER)
    folder = asked_folder(request)
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        view = opened.read(uid, folder)
        if not box.owns or not view.receipt_to:
            raise NotFound("receipt")
        found = original.fetch(opened, uid, folder, "")
    names = {"subject": found.subject, "when": exact(clock.now())}
    sending = receipts.send(
        settings.BEFFROI,
        box,
        found,
        to=view.receipt_to,
        from_name=team.title_of(box.mailbox) or identity.person_name(actor.id),
        subject=_("Accusé de lecture : %(subject)s") % names,
        words=_("Votre courriel « %(subject)s » a été ouvert ; accusé envoyé le %(when)s.") % names,
    )
    return HttpResponseRedirect(reverse("mail_sending", args=[box.mailbox.id, sending.id]))
