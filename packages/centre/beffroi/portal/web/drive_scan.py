"""Coffre: a file that the scan holds: somebody asks for a review, the référent releases it.

Input:  hostile: identifiers and the form. Every change is a POST with a token of the session.
Access: ``drive.release``; what does not lie in what the person sees is "no such page".
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from beffroi.core.identity.actor import Actor
from beffroi.drive import release
from beffroi.lib.errors import Invalid
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import for_agents


@require_POST
@for_agents
def answer(request: HttpRequest, actor: Actor, node_id: int) -> HttpResponse:
    """``what``: ask, release. Errors: AbsentNode, NotAllowed, Invalid."""
    view, what = view_of(request, actor), request.POST.get("what", "")
    if what == "ask":
        if release.ask(actor=actor, view=view, node_id=node_id):
            messages.success(request, _("C’est demandé : la personne référente et le Département le voient."))
        else:
            messages.info(request, _("Quelqu’un l’a déjà demandé."))
    elif what == "release":
        release.release(actor=actor, view=view, node_id=node_id)
        messages.success(request, _("Le fichier est libéré dans votre collectivité."))
    else:
        raise Invalid("what")
    return HttpResponseRedirect(reverse("drive_node", args=[node_id]))
