"""Coffre: what was deleted, found by a search, given back to its place or deleted for good.

Input:  hostile: identifiers of the form. Every change is a POST with a token of the session.
Access: the trash of the person's own folder, and of the collectivité's for who may write there; it is emptied for good
        by a référent alone, for what lies there may be archives, and after a step-up: who holds a stolen session
        deletes, and destroys nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive import trash_actions
from beffroi.drive.store import trash as bin_
from beffroi.drive.store.trash import Trashed
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place, View
from beffroi.drive.words import terms
from beffroi.lib import accents, digits
from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.portal import drive_much, drive_words, words
from beffroi.portal.drive_access import act_of, view_of
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import drive_act, drive_undo, step_up
from beffroi.portal.web.drive import PLACE

PAGE_ROWS = 200
COMMON = "commune"


@require_http_methods(["GET", "POST"])
@for_agents
def trash(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The list; POST gives the ticked ones back, or deletes all for good."""
    view = view_of(request, actor)
    is_common = (request.POST if request.method == "POST" else request.GET).get("de") == COMMON
    with view.database.reading() as reading:
        root = view.roots(reading)[1 if is_common else 0]
        place = view.at(reading, root.id)
        items = bin_.page(reading, root.id, after=_after(request.GET.get("apres", "")), most=PAGE_ROWS + 1)
    may_empty = view.may_destroy(place)
    if request.method == "POST":
        try:
            if request.POST.get("what") == "restore":
                _restore(request, view, place)
            elif request.POST.get("what") == "empty":
                if may_empty:  # who may not is told so, and asked for nothing
                    step_up.require(request)
                trash_actions.empty(actor=actor, view=view, root_id=root.id)
                messages.info(request, _("La corbeille est vide."))
            else:
                raise Invalid("what")
        except BeffroiError as error:
            messages.error(request, drive_words.refusal(error))
        return HttpResponseRedirect(reverse("drive_trash") + (f"?de={COMMON}" if is_common else ""))
    shown = items[:PAGE_ROWS]
    context: dict[str, Any] = PLACE | {
        "at": "trash",
        "is_common": is_common,
        "root": root,
        "may_write": place.rights.may_write,
        "may_empty": may_empty,
        "days": settings.BEFFROI.drive_trash_days,
        "rows": _rows(actor, [(one, "") for one in shown], is_common=is_common),
        "after": f"{shown[-1].deleted_s}-{shown[-1].node}" if len(items) > PAGE_ROWS else "",
    }
    with view.database.reading() as reading:
        context["much"] = drive_much.told(reading, actor, place)
    context |= drive_act.waiting(request, actor, root.id)
    return page(request, "portal/drive_trash.html", context)


def sought(view: View, reading: Reading, actor: Actor, asked: str) -> list[dict[str, Any]]:
    """What was deleted and has all words of ``asked`` in its name, or in that of something in it: of the person's own,
    then of the collectivité."""
    wanted, found = terms.wanted_in_names(asked), []
    forms = [{one, terms.other_number(one) or one} for one in wanted]

    def fits(name: str) -> bool:
        """Of thousands of names most are left out by the cheaper question."""
        bare = accents.bare(name)
        return all(any(each in bare for each in form) for form in forms) and terms.is_named(name, wanted)

    for root, is_common in zip(view.roots(reading), (False, True), strict=True) if wanted else ():
        items = bin_.named(reading, root.id, fits)
        if items:
            found.append(
                {
                    "rows": _rows(actor, items, is_common=is_common),
                    "is_common": is_common,
                    "may_write": view.at(reading, root.id).rights.may_write,
                    "form": "common" if is_common else "own",
                }
            )
    return found


def _rows(actor: Actor, items: Sequence[tuple[Trashed, str]], *, is_common: bool) -> list[dict[str, Any]]:
    """``items``: with a name of what lies in each, or "". Who deleted it is named, but to themselves in their own."""
    named = identity.visible_names(actor, {one.person_id for one, _ in items})
    return [
        {
            "item": one,
            "where": one.path.rpartition("/")[0],
            "holds": holds,
            "deleted": datetime.fromtimestamp(one.deleted_s, UTC),
            "size": words.size(one.size_bytes),
            "who": named.get(one.person_id, "") if is_common or one.person_id != actor.id else "",
            "icon": "folder" if one.is_folder else "file-text",
        }
        for one, holds in items
    ]


def _restore(request: HttpRequest, view: View, place: Place) -> None:
    wanted, doing = drive_act.ticked(request), act_of(view)
    rows = view.database.write(
        lambda writing: [drive_undo.take_from_trash(view, writing, doing, one) for one in wanted]
    )
    drive_undo.note(request, place, view, "returned", rows)


def _after(text: str) -> tuple[int, int] | None:
    deleted_s, _dash, node = (digits.number(one) for one in text.partition("-"))
    return None if deleted_s is None or node is None else (deleted_s, node)
