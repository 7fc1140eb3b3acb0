"""Export of the whole collectivité by the Département: its référent reads who asked for it and why, and stops it.

Access: the référent, of their own collectivité. Nothing of what was exported is here.
"""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import exports
from beffroi.core.communes.models import CommuneExport
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid
from beffroi.portal.pages import for_agents, page

SHOWN = timedelta(days=7)
"""On the home, after its end: a disk is to be received, and compared."""


def told(actor: Actor) -> list[dict[str, str]]:
    """For the home of a référent."""
    if actor.role != "referent":
        return []
    states = CommuneExport.State
    rows = exports.visible_exports(actor).filter(
        Q(state=states.RUNNING) | Q(state=states.DONE, changed_at__gt=clock.now() - SHOWN)
    )
    return [
        {
            "title": _("Le Département exporte tout ce qui est à la collectivité")
            if one.state == states.RUNNING
            else _("L’export de toute la collectivité est terminé"),
            "why": _("Demande : %(reason)s") % {"reason": one.reason}
            if one.state == states.RUNNING
            else _("Le Département vous remet le disque : comparez l’empreinte."),
            "url": "commune_export",
            "of": one.id,
            "button": _("Voir, arrêter") if one.state == states.RUNNING else _("Voir"),
        }
        for one in rows[:3]
    ]


@require_http_methods(["GET", "POST"])
@for_agents
def export(request: HttpRequest, actor: Actor, export_id: str) -> HttpResponse:
    found = exports.access_export(actor, export_id)
    if request.method == "POST":
        if request.POST.get("word") != "stop":
            raise Invalid("word")
        try:
            exports.stop(actor=actor, export=found)
            messages.success(request, _("L’export est arrêté : rien de plus n’est lu."))
        except Conflict:
            messages.error(request, _("Cet export était déjà terminé ou arrêté : rien n’a changé."))
        return redirect("commune_export", found.id)
    return page(request, "portal/commune_export.html", {"export": found, "place": "home"})
