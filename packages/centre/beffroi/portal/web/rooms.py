"""Rooms and vehicles of a mairie: what there is, one more, one that is retired and one that is there again.

Access: who writes in the shared calendar.
Input:  hostile: the form, names in addresses.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import wire
from beffroi.lib.errors import Conflict, Invalid, TooLarge
from beffroi.portal.calendars import asking, require_change
from beffroi.portal.pages import for_agents, page


@require_http_methods(["GET", "POST"])
@for_agents
def rooms(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotFound, NotAllowed."""
    require_change(actor, "commun")
    title = request.POST.get("title", "").strip()
    error = _added(request, actor, title) if request.method == "POST" else ""
    if error == "" and request.method == "POST":
        return HttpResponseRedirect(reverse("agenda_rooms"))
    context = {
        "place": "agenda",
        "rooms": asking(actor).rooms(),
        "title": title,
        "error": error,
        "most_chars": wire.MAX_ROOM_CHARS,
    }
    return page(request, "portal/agenda_rooms.html", context, status=400 if error else 200)


@require_POST
@for_agents
def retire(request: HttpRequest, actor: Actor, room: str, *, is_retired: bool) -> HttpResponse:
    """Errors: NotFound, NotAllowed."""
    require_change(actor, "commun")
    found = asking(actor).retire_room(wire.Retiring(room, is_retired))
    said = (
        _("« %(title)s » n’est plus proposé. Ses réservations sont gardées : « Remettre » rend tout.")
        if is_retired
        else _("« %(title)s » est de nouveau proposé, avec ses réservations.")
    )
    messages.success(request, said % {"title": found.title})
    return HttpResponseRedirect(reverse("agenda_rooms"))


def _added(request: HttpRequest, actor: Actor, title: str) -> str:
    """What is wrong with it; "" where it is added."""
    if len(title) > wire.MAX_ROOM_CHARS:
        return _("Ce nom est trop long : 60 signes au plus.")
    try:
        found = asking(actor).add_room(wire.NewRoom(title))
    except Invalid:
        return _("Donnez un nom, par exemple « Salle des fêtes » ou « Minibus ».")
    except Conflict:
        return _("Ce nom est déjà dans la liste. S’il y est retiré, « Remettre » le rend.")
    except TooLarge:
        return _("Trente salles et véhicules au plus, ceux qui sont retirés compris.")
    said = _(
        "« %(title)s » est ajouté : toute la mairie peut le réserver, et les appareils branchés le montrent."
    )
    messages.success(request, said % {"title": found.title})
    return ""
