"""Coffre: what was written last, and a search by name and by content.

Input:  hostile: words of the address; names and passages of files, which templates escape.
Access: ``View``: hits are looked up again by it, whoever found them.
Rule:   names are found here; contents by the process drive, which alone has the key (``drive.asking``). Where it does
        not answer, names are found all the same, and the page says so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.drive import asking
from beffroi.drive.store import listing
from beffroi.drive.store.database import Reading
from beffroi.drive.store.listing import Entry
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.views import View
from beffroi.drive.words import index, terms, wire
from beffroi.lib.config import SettingInvalid
from beffroi.lib.errors import Unavailable
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import for_agents, sought
from beffroi.portal.web import drive

FOUND_ROWS = 200
RECENT_ROWS = 100
log = logging.getLogger("beffroi.portal")


@require_GET
@for_agents
def recent(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Files that were written last, the person's own and the collectivité's."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        found = index.recent(reading, _roots(reading, view), most=RECENT_ROWS)
        context = {"at": "recent", "rows": found_rows(reading, view, actor, found)}
    return drive.drive_page(request, view, "portal/drive_found.html", context)


@require_GET
@for_agents
def search(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Files and folders whose names or contents have some words."""
    asked = sought(request, wire.MOST_ASKED_CHARS)
    view = view_of(request, actor)
    with view.database.reading() as reading:
        found = index.named(reading, asked, _roots(reading, view), most=FOUND_ROWS + 1) if asked else []
    told = _contents(view, asked)
    passages = {one.node: one for one in told.hits} if told else {}
    with view.database.reading() as reading:
        named = found_rows(reading, view, actor, found[:FOUND_ROWS])
        inside = found_rows(reading, view, actor, _seen(reading, view, passages))
    for line in (*named, *inside):
        line["passage"] = passages.get(line["entry"].id)
    by_name = {one.id for one in found}
    lines = [*named, *(one for one in inside if one["entry"].id not in by_name)]
    context: dict[str, Any] = {
        "at": "search",
        "asked": asked,
        "rows": lines,
        "too_many": len(found) > FOUND_ROWS or bool(told and told.more),
        "names_alone": told is None,
        "no_word": bool(asked) and not terms.wanted_in_names(asked),
    }
    return drive.drive_page(request, view, "portal/drive_found.html", context)


def found_rows(reading: Reading, view: View, actor: Actor, found: Sequence[Entry]) -> list[dict[str, Any]]:
    """Rows of a list that says of each where it lies; what this person does not see is left out."""
    places = {}
    for parent in {one.parent for one in found}:
        try:
            steps = drive.trail(reading, view, view.at(reading, parent))
            places[parent] = " › ".join(words for words, _ in steps)
        except AbsentNode:
            continue
    shown = [one for one in found if one.parent in places]
    lines = drive.rows(actor, shown, listing.changed_by(reading, shown))
    for one, line in zip(shown, lines, strict=True):
        line["where"] = places[one.parent]
    return lines


def _roots(reading: Reading, view: View) -> list[int]:
    return [one.id for one in view.roots(reading)]


def _contents(view: View, asked: str) -> wire.Hits | None:
    """None where drive does not answer."""
    if not asked:
        return wire.Hits()
    try:
        return asking.found(settings.BEFFROI, view.who, asked)
    except (Unavailable, SettingInvalid) as error:
        log.warning("no search by content: %s", error.code)
        return None


def _seen(reading: Reading, view: View, passages: dict[int, wire.Hit]) -> list[Entry]:
    out = []
    for node_id in passages:
        try:
            out.append(Entry(*view.at(reading, node_id).node[:7]))
        except AbsentNode:  # it was moved or deleted meanwhile
            continue
    return out
