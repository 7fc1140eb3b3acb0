"""Coffre: a folder's list, what was written last, and a search by name.

Input:  hostile: identifiers, words and numbers of the address; names of files, which templates escape.
Access: ``View``: what does not lie in the person's own folder or in the collectivité's is "no such page".
Rule:   names of files stand in no address: front and planes keep addresses in their logs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import listing, look
from beffroi.drive.store.database import Reading
from beffroi.drive.store.listing import Entry
from beffroi.drive.views import COMMON_NAME, Place, View
from beffroi.drive.web.granted import OUT_PATH
from beffroi.drive.web.portal import AGAIN
from beffroi.portal import drive_words
from beffroi.portal.drive_access import give_grants, view_of, who_of
from beffroi.portal.pages import asks_part, for_agents, page, sought
from beffroi.portal.web import drive_act, drive_alarm

PAGE_ROWS = 200
FOUND_ROWS = 200
RECENT_ROWS = 100
MAX_SEARCH_CHARS = 100
_FETCHED = re.compile(OUT_PATH + r"/[0-9]{1,18}(?:/[0-9]{1,18})?", re.ASCII)
PLACE = {"place": "drive"}


@require_GET
@for_agents
def home(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The person's own folder."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        return folder_page(request, actor, view, view.place(reading, ()))


@require_GET
@for_agents
def common(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The collectivité's own folder."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        return folder_page(request, actor, view, view.place(reading, (COMMON_NAME,)))


def folder_page(request: HttpRequest, actor: Actor, view: View, place: Place) -> HttpResponse:
    """A folder's list, or the next part of it."""
    newest_first = request.GET.get("tri") == "date"
    first = _number(request.GET.get("rang", ""))
    with view.database.reading() as reading:
        own, common = view.roots(reading)
        entries = listing.folder(reading, place.node.id, newest_first=newest_first)
        shown = entries[first : first + PAGE_ROWS]
        after = first + len(shown)
        context: dict[str, Any] = {
            "folder": place.node,
            "rows": rows(actor, shown, listing.changed_by(reading, shown)),
            "may_write": place.rights.may_write,
            "after": after if after < len(entries) else 0,
            "order": "tri=date&" if newest_first else "",
        }
        if asks_part(request, "rows"):
            return drive_page(request, view, "portal/parts/drive_rows.html", context)
        root = common if place.path[:1] == (COMMON_NAME,) else own
        context |= {
            "title": title(place),
            "trail": trail(reading, view, place)[:-1],
            "at": "common" if root is common else "own",
            "total": len(entries),
            "first": first,
            "newest_first": newest_first,
            "room": drive_words.room(*look.room(reading, root.id)),
            "whole": drive_words.room(*look.room(reading, 0)),
        }
        context["is_alarmed"] = any(
            one.state in ("open", "restoring") for one in drive_alarm.shown(reading, actor)
        )
    context["office_editor"] = bool(settings.BEFFROI.office_editor)
    context |= drive_act.waiting(request, actor, place.node.id)
    words = {code: str(text) for code, text in (drive_words.REFUSALS | drive_words.SENDING).items()}
    context |= {
        "received": request.GET.get("recu") == "1",
        "refused": words.get(request.GET.get("refus", ""), ""),
        "words": words,
    }
    return drive_page(request, view, "portal/drive_list.html", context)


@require_GET
@for_agents
def recent(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Files that were written last, the person's own and the collectivité's."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        found = listing.recent(reading, [one.id for one in view.roots(reading)], most=RECENT_ROWS)
        context = {"at": "recent", "rows": _found_rows(reading, view, actor, found)}
    return drive_page(request, view, "portal/drive_found.html", context)


@require_GET
@for_agents
def search(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Files and folders whose names hold some words."""
    asked = sought(request, MAX_SEARCH_CHARS)
    view = view_of(request, actor)
    found: list[Entry] = []
    with view.database.reading() as reading:
        if asked:
            found = listing.search(
                reading, asked, [one.id for one in view.roots(reading)], most=FOUND_ROWS + 1
            )
        lines = _found_rows(reading, view, actor, found[:FOUND_ROWS])
    context = {"at": "search", "asked": asked, "rows": lines, "too_many": len(found) > FOUND_ROWS}
    return drive_page(request, view, "portal/drive_found.html", context)


@require_GET
@for_agents
def grant(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The next minutes for a page that sends files, or for a file that is fetched, as long as the session stands."""
    wanted = request.GET.get("vers", "")
    response = HttpResponse(status=204)
    if _FETCHED.fullmatch(wanted):
        response = HttpResponseRedirect(f"{wanted}?{AGAIN}")
    give_grants(response, who_of(request, actor))
    return response


def drive_page(request: HttpRequest, view: View, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """A page of the Coffre, from which files can be fetched and sent."""
    response = page(request, template, PLACE | dict(context))
    give_grants(response, view.who)
    return response


def rows(actor: Actor, entries: Sequence[Entry], by: dict[int, str]) -> list[dict[str, Any]]:
    """What a list shows of each; ``who`` is "" where it is not known, or nobody of this collectivité any more."""
    persons = identity.visible_persons(actor).filter(pk__in=set(by.values()))
    named = dict(persons.values_list("id", "name"))
    return [
        {
            "entry": one,
            "size": drive_words.amount(one.size_bytes),
            "changed": datetime.fromtimestamp(one.mtime_s, UTC),
            "who": named.get(by.get(one.id, ""), ""),
            "icon": "folder" if one.is_folder else "file-text",
        }
        for one in entries
    ]


def _found_rows(reading: Reading, view: View, actor: Actor, found: Sequence[Entry]) -> list[dict[str, Any]]:
    lines = rows(actor, found, listing.changed_by(reading, found))
    folders: dict[int, str] = {}
    for one, line in zip(found, lines, strict=True):
        if one.parent not in folders:
            steps = trail(reading, view, view.at(reading, one.parent))
            folders[one.parent] = " › ".join(words for words, _ in steps)
        line["where"] = folders[one.parent]
    return lines


def title(place: Place) -> str:
    """A folder's or file's name for people."""
    if place.node.parent:
        return place.node.name
    return _("Commune") if place.path else _("Mes fichiers")


def trail(reading: Reading, view: View, place: Place) -> list[tuple[str, int]]:
    """(name, identifier) of each step from the root to a place, both included."""
    steps = list(reversed(look.above(reading, place.node.id)))
    first = _("Commune") if place.path[:1] == (COMMON_NAME,) else _("Mes fichiers")
    return [(first, steps[0].id), *((one.name, one.id) for one in steps[1:])]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
