"""Coffre: what was written last, and a search by name and by content, also in what is shared with the person.

Input:  hostile: words of the address; names and passages of files, which templates escape.
Access: ``View``: hits are looked up again by it, whoever found them.
Rule:   names are found here; contents by the process drive, which alone has the key (``drive.asking``). Where it does
        not answer, names are found all the same, and the page says so. What another collectivité shares is a list of
        its own: told as a listing before it is shown; one that does not answer is missing there, and the page says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.drive import asking, reach
from beffroi.drive.store import favourites, listing
from beffroi.drive.store.listing import Entry
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View, Visit
from beffroi.drive.words import index, terms, wire
from beffroi.lib.config import SettingInvalid
from beffroi.lib.errors import BeffroiError, Unavailable
from beffroi.portal import drive_sharing, drive_tag_words, drive_visits
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import for_agents, sought
from beffroi.portal.web import drive, drive_trash

FOUND_ROWS = 200
RECENT_ROWS = 100
log = logging.getLogger("beffroi.portal")


@require_GET
@for_agents
def recent(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Files that were written last: the person's own, the collectivité's, and what is shared with them."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        found = index.recent(reading, reach.here(reading, view), most=RECENT_ROWS)
        context = {"at": "recent", "rows": found_rows(reading, view, actor, found)}
    context |= abroad(
        view,
        actor,
        lambda visit, there: index.recent(there, reach.there(there, visit), most=RECENT_ROWS),
    )
    return drive.drive_page(request, view, "portal/drive_found.html", context)


@require_GET
@for_agents
def search(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Files and folders whose names or contents have some words."""
    asked = sought(request, wire.MOST_ASKED_CHARS)
    view = view_of(request, actor)
    with view.database.reading() as reading:
        where = reach.here(reading, view)
        found = index.named(reading, asked, where, most=FOUND_ROWS + 1) if asked else []
    told = _contents(view, asked)
    passages = {one.node: one for one in told.hits if not one.share} if told else {}
    with view.database.reading() as reading:
        named = found_rows(reading, view, actor, found[:FOUND_ROWS])
        inside = found_rows(reading, view, actor, seen(reading, view, passages))
        deleted = drive_trash.sought(view, reading, actor, asked)
    for line in (*named, *inside):
        line["passage"] = passages.get(line["entry"].id)
    by_name = {one.id for one in found}
    lines = [*named, *(one for one in inside if one["entry"].id not in by_name)]
    elsewhere: dict[str, Any] = {}
    if asked:
        hits = [one for one in told.hits if one.share] if told else []
        elsewhere = abroad(
            view,
            actor,
            lambda visit, there: index.named(there, asked, reach.there(there, visit), most=FOUND_ROWS),
            hits,
        )
        view.silent.update(told.lacks if told else ())
        elsewhere |= drive_sharing.lacking(actor, view)
    context: dict[str, Any] = {
        "at": "search",
        "asked": asked,
        "rows": lines,
        "too_many": len(found) > FOUND_ROWS or bool(told and told.more),
        "names_alone": told is None,
        "no_word": bool(asked) and not terms.wanted_in_names(asked),
        "deleted": deleted,
        "total": len(lines) + len(elsewhere.get("abroad", ())),
    } | elsewhere
    return drive.drive_page(request, view, "portal/drive_found.html", context)


def found_rows(reading: Reading, view: View, actor: Actor, found: Sequence[Entry]) -> list[dict[str, Any]]:
    """Rows of a list that says of each where it lies; what this person does not see is left out."""
    places: dict[int, str] = {}
    for parent in {one.parent for one in found}:
        with suppress(AbsentNode):
            places[parent] = _words(drive.trail(reading, view, view.at(reading, parent)))
    where = {}
    for one in found:
        with suppress(AbsentNode):
            # What is shared itself lies in a folder that is its owner's alone.
            where[one.id] = places.get(one.parent) or _words(
                drive.trail(reading, view, view.at(reading, one.id))[:-1]
            )
    shown = [one for one in found if one.id in where]
    is_own = view.collectivite_id == actor.collectivite_id
    lines = drive.rows(actor, shown, listing.changed_by(reading, shown), is_own=is_own)
    for one, line in zip(shown, lines, strict=True):
        line["where"] = where[one.id]
    drive_tag_words.add_to(lines, reading, view)
    return lines


def _words(trail: Sequence[tuple[str, int]]) -> str:
    return " › ".join(words for words, _ in trail)


def abroad(
    view: View,
    actor: Actor,
    look_up: Callable[[Visit, Reading], list[Entry]],
    hits: Sequence[wire.Hit] = (),
) -> dict[str, Any]:
    """``abroad``: rows of what other collectivités share; ``drive_sharing.lacking``. ``hits``: found by their
    contents."""
    rows: list[dict[str, Any]] = []
    with view.database.reading() as reading:
        visits = view.visits(reading)
        stars = favourites.everywhere(reading, view.who)
    for visit in visits:
        passages = {one.node: one for one in hits if one.share == visit.share_id}
        try:
            with visit.database.reading() as there:
                found = look_up(visit, there)
                known = {one.id for one in found}
                found += [one for one in seen(there, visit, passages) if one.id not in known]
                lines = found_rows(there, visit, actor, found)
            if lines:
                drive_visits.visit(view, actor, visit.share_id, 0)
        except BeffroiError as error:
            view.leave_out(visit.collectivite_id, error)
            continue
        owner = drive_sharing.name_of_commune(actor, visit.collectivite_id)
        for line in lines:
            node_id = line["entry"].id
            line |= {
                "share_id": visit.share_id,
                "owner": owner,
                "passage": passages.get(node_id),
                "starred": (visit.collectivite_id, node_id) in stars,
            }
        rows += lines
    rows.sort(key=lambda line: -line["entry"].mtime_s)
    return {"abroad": rows[:FOUND_ROWS], **drive_sharing.lacking(actor, view)}


def _contents(view: View, asked: str) -> wire.Hits | None:
    """None where drive does not answer."""
    if not asked:
        return wire.Hits()
    try:
        return asking.found(settings.BEFFROI, view.who, asked)
    except (Unavailable, SettingInvalid) as error:
        log.warning("no search by content: %s", error.code)
        return None


def seen(reading: Reading, view: View, node_ids: Iterable[int]) -> list[Entry]:
    """Of these, what this person sees."""
    found = []
    for node_id in node_ids:
        with suppress(AbsentNode):  # it was moved or deleted meanwhile
            found.append(Entry(*view.at(reading, node_id).node[:7]))
    return found
