"""Coffre: what a person starred, for themselves; put and taken away by one button beside each name.

Input:  hostile: identifiers and the page to come back to, which is one of the Coffre's own or its first.
Access: ``View``, and for what another collectivité shares a ``Visit``: nobody stars what they do not see; what is not
        seen any more is not listed.
Rule:   a star lies with who put it; what it stands on is listed as what another collectivité shares is, told before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.drive.store import favourites
from beffroi.drive.store.listing import Entry, by_name
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View
from beffroi.drive.web import numbered
from beffroi.portal import drive_visits
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive, drive_found

MOST_SHOWN = 500
_OWN_PAGES = re.compile(
    rf"/coffre/(?:[a-z]{{1,20}}/|(?:chez/shr_[0-9a-z]{{26}}/)?[0-9]{{1,18}}{numbered.MARK}/)?", re.ASCII
)


@require_http_methods(["GET", "POST"])
@for_agents
def stars(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The list; POST ``ajouter`` or ``retirer`` one: NODE, or SHARE/NODE. Errors: AbsentNode."""
    view = view_of(request, actor)
    if request.method == "POST":
        added = request.POST.get("ajouter", "")
        _set(view, actor, added or request.POST.get("retirer", ""), starred=bool(added))
        if not request.accepts("text/html"):  # a script, whose page stays
            return HttpResponse(status=HTTPStatus.NO_CONTENT)
        return HttpResponseRedirect(_back(request.POST.get("page", "")))
    with view.database.reading() as reading:
        own = favourites.of(reading, view.who, view.who.collectivite_id)
        elsewhere = favourites.everywhere(reading, view.who)
        found = seen(reading, view, own)
        rows = drive_found.found_rows(reading, view, actor, found[:MOST_SHOWN])
    context = {"at": "stars", "rows": rows, "too_many": len(found) > MOST_SHOWN}
    context |= drive_found.abroad(
        view,
        actor,
        lambda visit, there: seen(
            there, visit, [node_id for owner, node_id in elsewhere if owner == visit.collectivite_id]
        ),
    )
    return drive.drive_page(request, view, "portal/drive_stars.html", context)


def seen(reading: Reading, view: View, node_ids: Iterable[int]) -> list[Entry]:
    """Of these, what this person sees; folders first, by name."""
    found = drive_found.seen(reading, view, node_ids)
    return sorted(found, key=lambda one: (not one.is_folder, by_name(one.name), one.name))


def _set(view: View, actor: Actor, said: str, *, starred: bool) -> None:
    """Errors: AbsentNode, Unavailable."""
    share_id, _, step = said.rpartition("/")
    node_id = drive.number(step)
    there = drive_visits.visit(view, actor, share_id, node_id) if share_id else view
    if starred:
        with there.database.reading() as reading:
            there.at(reading, node_id)
    star = there.collectivite_id, node_id
    view.database.write(lambda writing: favourites.set_star(writing, view.who, star, starred=starred))


def _back(page: str) -> str:
    return page if _OWN_PAGES.fullmatch(page) else reverse("drive_stars")
