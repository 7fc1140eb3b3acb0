"""Coffre: what a person starred, for themselves; put and taken away by one button beside each name.

Input:  hostile: identifiers and the page to come back to, which is one of the Coffre's own or its first.
Access: ``View``: nobody stars what they do not see; what is not seen any more is not listed.
"""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.drive.store import favourites
from beffroi.drive.store.listing import Entry, by_name
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.writing import Writing
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive, drive_found

MOST_SHOWN = 500
_OWN_PAGES = re.compile(r"/coffre/(?:[a-z]{1,20}/|[0-9]{1,18}/)?", re.ASCII)


@require_http_methods(["GET", "POST"])
@for_agents
def stars(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The list; POST ``ajouter`` or ``retirer`` one. Errors: AbsentNode."""
    view = view_of(request, actor)
    if request.method == "POST":
        added = request.POST.get("ajouter", "")
        node_id = drive.number(added or request.POST.get("retirer", ""))

        def change(writing: Writing) -> None:
            if added:
                view.at(writing, node_id)
            favourites.set_star(writing, view.who.person_id, node_id, starred=bool(added))

        view.database.write(change)
        return HttpResponseRedirect(_back(request.POST.get("page", "")))
    found = []
    with view.database.reading() as reading:
        for node_id in favourites.of(reading, view.who.person_id):
            try:
                place = view.at(reading, node_id)
            except AbsentNode:
                continue
            found.append(Entry(*place.node[:7]))
        found.sort(key=lambda one: (not one.is_folder, by_name(one.name), one.name))
        rows = drive_found.found_rows(reading, view, actor, found[:MOST_SHOWN])
    context = {"at": "stars", "rows": rows, "too_many": len(found) > MOST_SHOWN}
    return drive.drive_page(request, view, "portal/drive_stars.html", context)


def _back(page: str) -> str:
    return page if _OWN_PAGES.fullmatch(page) else reverse("drive_stars")
