"""Coffre: a folder's list.

Input:  hostile: identifiers, words and numbers of the address; names of files, which templates escape.
Access: ``View``: what does not lie in the person's own folder or in the collectivité's is "no such page".
Rule:   names of files stand in no address: front and planes keep addresses in their logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.drive import past, release
from beffroi.drive.store import favourites, listing, look, room, shares
from beffroi.drive.store.listing import Entry, Maker
from beffroi.drive.store.orders import orders
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import COMMON_NAME, SHARED_NAME, Place, View
from beffroi.drive.web import numbered
from beffroi.drive.web.portal import AGAIN, FETCHED, page_of
from beffroi.lib import clock, digits
from beffroi.portal import (
    drive_makers,
    drive_much,
    drive_seal_words,
    drive_share_words,
    drive_tag_words,
    drive_words,
    room_words,
    words,
)
from beffroi.portal.drive_access import give_grants, view_of, who_of
from beffroi.portal.pages import asks_part, for_agents, page
from beffroi.portal.web import drive_act, drive_alarm, drive_erasure

VIEWS = ("liste", "vignettes")
PAGE_ROWS = 200
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
    """A folder's list, or the next part of it. Errors: OtherCollectivite."""
    if place.path == (SHARED_NAME,):
        return HttpResponseRedirect(reverse("drive_shared"))
    numbered.plain(request.GET.get("de", ""), view.who.collectivite_id)  # the list that this part goes to
    newest_first = request.GET.get("tri") == "date"
    if (asked := request.GET.get("vue")) in VIEWS:
        request.session["drive_view"] = asked
    first = number(request.GET.get("rang", ""))
    with view.database.reading() as reading:
        part = orders.part(
            reading,
            place.owner,
            place.node,
            first=first,
            most=PAGE_ROWS,
            newest_first=newest_first,
            etag=number(request.GET.get("etat", "")),
        )
        after = first + PAGE_ROWS
        context: dict[str, Any] = {
            "folder": place.node,
            "rows": rows(actor, part.entries, listing.changed_by(reading, part.entries)),
            "held": release.held_in(reading, place.node.id),
            "may_write": place.rights.may_write,
            "after": after if after < part.total else 0,
            "last": max(part.total - 1, 0) // PAGE_ROWS * PAGE_ROWS,
            "state": part.etag,
            "order": "tri=date&" if newest_first else "",
        }
        drive_tag_words.add_to(context["rows"], reading, view)
        if asks_part(request, "rows"):
            return drive_page(request, view, "portal/parts/drive_rows.html", context)
        # Of what is shared, how full its owner's own folder is is nobody else's.
        root_id = 0 if place.rights.is_shared else look.above(reading, place.node.id)[-1].id
        context |= {
            "title": title(place),
            "trail": trail(reading, view, place)[:-1],
            "at": at_of(place),
            "may_share": place.rights.may_share,
            "is_mount": place.rights.is_mount,
            "has_past": past.has_past(view, place),
            "reach": reach(reading, place),
            "total": part.total,
            "first": first,
            "newest_first": newest_first,
            "is_tiled": request.session.get("drive_view") == "vignettes",
            "is_pictured": any(one["is_pictured"] for one in context["rows"]),
            "room": room_words.folder(*room.room(reading, root_id)),
            "whole": room_words.coffre(*room.room(reading, 0)),
            "sees_space": actor.manages(view.who.collectivite_id),
        }
        context |= drive_seal_words.of_place(reading, actor, place)
        context |= drive_tag_words.of_place(reading, view, place)
        context["much"] = drive_much.told(reading, actor, place) if place.node.id == root_id else []
        context["is_alarmed"] = any(
            one.state in ("open", "restoring") for one in drive_alarm.shown(reading, actor)
        )
    context["erasure"] = drive_erasure.told(actor)
    context["office_editor"] = bool(settings.BEFFROI.office_editor)
    context |= drive_act.waiting(request, actor, place.node.id)
    context |= sent(request)
    return drive_page(request, view, "portal/drive_list.html", context)


def sent(request: HttpRequest) -> dict[str, Any]:
    """What became of files that this page sent, and the words for those it sends."""
    words = {code: str(text) for code, text in (drive_words.REFUSALS | drive_words.SENDING).items()}
    return {
        "received": number(request.GET.get("recu", "")),
        "made": number(request.GET.get("dossiers", "")),
        "left_out": number(request.GET.get("laisses", "")),
        "refused": words.get(request.GET.get("refus", ""), ""),
        "words": words,
    }


@require_GET
def grant(request: HttpRequest) -> HttpResponse:
    """The next minutes for a page that sends files, or for a file that is fetched, as long as the session stands. Who
    signs in again finds the page of that file: where only a file came, the form of the sign-in would stay."""
    fetched = request.GET.get("vers", "")
    fetched = fetched if FETCHED.fullmatch(fetched) else ""
    if fetched and not request.user.is_authenticated:
        return redirect_to_login(page_of(fetched), settings.LOGIN_URL)
    return _granted(request, fetched)


@for_agents
def _granted(request: HttpRequest, actor: Actor, fetched: str) -> HttpResponse:
    response = HttpResponseRedirect(f"{fetched}?{AGAIN}") if fetched else HttpResponse(status=204)
    give_grants(response, who_of(request, actor))
    return response


def drive_page(
    request: HttpRequest, view: View, template: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """A page of the Coffre, from which files can be fetched and sent."""
    with view.database.reading() as reading:
        stars = favourites.of(reading, view.who, view.who.collectivite_id)
    response = page(request, template, PLACE | {"stars": stars} | dict(context), status=status)
    give_grants(response, view.who)
    return response


def rows(
    actor: Actor, entries: Sequence[Entry], makers: Mapping[int, Maker], *, is_own: bool = True
) -> list[dict[str, Any]]:
    """What a list shows of each; ``who`` and ``is_own``: as ``drive_makers.named``."""
    named = drive_makers.named(actor, makers, is_own=is_own)
    return [
        {
            "entry": one,
            "size": words.size(one.size_bytes),
            "changed": datetime.fromtimestamp(one.mtime_s, UTC),
            "who": named.get(one.id, ""),
            "icon": "folder" if one.is_folder else "file-text",
            "is_pictured": is_own
            and not one.is_folder
            and drive_words.has_thumbnail(one.name, one.size_bytes),
        }
        for one in entries
    ]


def at_of(place: Place) -> str:
    """In which of the three trees a place lies."""
    if place.rights.is_shared:
        return "shared"
    return "common" if place.path[:1] == (COMMON_NAME,) else "own"


def reach(reading: Reading, place: Place) -> str:
    """Who sees a place, in a sentence."""
    count = sum(
        one.kind != "link"
        for step in look.above(reading, place.node.id)
        for one in shares.of_node(reading, step.id, now_s=clock.epoch_s())
    )
    at = at_of(place)
    return drive_share_words.reach(
        is_common=at == "common", is_shared=at == "shared", count=count, is_folder=bool(place.node.is_folder)
    )


def title(place: Place) -> str:
    """A folder's or file's name for people."""
    if place.node.parent:
        return place.node.name
    return _("Commune") if place.path else _("Mes fichiers")


def trail(reading: Reading, view: View, place: Place) -> list[tuple[str, int]]:
    """(name, identifier) of each step from the root to a place, both included."""
    if view.share_id:  # a visit: nothing above what is shared is anybody's here
        depths = range(2, len(place.path) + 1)
        return [(place.path[at - 1], view.place(reading, place.path[:at]).node.id) for at in depths]
    steps = list(reversed(look.above(reading, place.node.id)))
    if place.rights.is_shared:  # folders above what is shared are its owner's alone
        shared = view.place(reading, (SHARED_NAME,)).node
        names = zip(place.path[1:], steps[1 - len(place.path) :], strict=True)
        return [(_("Partagé avec moi"), shared.id), *((name, one.id) for name, one in names)]
    first = _("Commune") if place.path[:1] == (COMMON_NAME,) else _("Mes fichiers")
    return [(first, steps[0].id), *((one.name, one.id) for one in steps[1:])]


def number(text: str) -> int:
    """What a page sent as a number; 0 for anything else."""
    return digits.number(text) or 0
