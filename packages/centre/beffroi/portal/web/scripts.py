"""The owner's hand on what their mail program left here: switch a script off or on, delete it.

Input:  one word and an identifier. The script's text is shown as text, never interpreted.
Access: the mailbox is looked up among the actor's own, the script among its owner's; another's is "no such page".
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid
from beffroi.mail import queries as mail
from beffroi.mail.scripts import actions, queries
from beffroi.mail.scripts.errors import AccountHeld, ScriptActive
from beffroi.portal.pages import for_agents


@require_POST
@for_agents
def change(request: HttpRequest, actor: Actor, mailbox_id: str, script_id: str) -> HttpResponse:
    """One word: on, off, remove. Errors: NotFound, Invalid."""
    mailbox = mail.access_mailbox(actor, mailbox_id)
    script, word = queries.access_script(mailbox, script_id), request.POST.get("word", "")
    if word not in ("on", "off", "remove"):
        raise Invalid("word")
    try:
        if word == "remove":
            actions.remove(actor=actor, mailbox=mailbox, row=script)
            messages.info(
                request, _("Script supprimé. Votre logiciel de courriel peut l’envoyer de nouveau.")
            )
        else:
            actions.activate(actor=actor, mailbox=mailbox, row=script if word == "on" else None)
    except AccountHeld:
        messages.error(
            request,
            _("Votre boîte est suspendue par précaution : appelez d’abord votre personne référente."),
        )
    except ScriptActive:
        messages.error(request, _("Éteignez d’abord ce script, puis supprimez-le."))
    return HttpResponseRedirect(f"{reverse('mail_settings', args=[mailbox.id])}#h-scripts")
