"""Coffre: a folder as it was at a time, and its way back there.

Input:  hostile: identifiers, dates and hours of the address and of the form. A change is a POST with a token of the
        session.
Access: ``past``: of the person's own files and of the collectivité's, where the folder lay there already; who may not
        write there looks only.
Rule:   the address names numbers and moments, no file. A long way back is seen going on, and waits for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.drive import past, past_actions
from beffroi.drive.store import going_back, versions
from beffroi.drive.store.listing import by_name
from beffroi.drive.store.moments import Moment, Past
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View
from beffroi.drive.web.granted import OUT_PATH
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.portal import drive_past_words, words
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import asks_part, for_agents
from beffroi.portal.web import drive

PAGE_ROWS = 200
MORNING = time(8)


@require_http_methods(["GET", "POST"])
@for_agents
def past_of(request: HttpRequest, actor: Actor, node_id: int) -> HttpResponse:
    """The moments to choose from, and the list of the chosen one; POST goes back there. Errors: AbsentNode, Invalid."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        place = past.folder(view, reading, node_id)
        context: dict[str, Any] = {
            "folder": place.node,
            "title": drive.title(place),
            "trail": drive.trail(reading, view, place),
            "at": drive.at_of(place),
            "may_write": place.rights.may_write,
            "way": _way(reading, node_id),
        }
    if request.method == "POST":
        return _put_back(request, actor, view, node_id)
    if asks_part(request, "way"):
        return drive.drive_page(request, view, "portal/parts/drive_way_back.html", context)
    status, now = 200, timezone.localtime(clock.now())
    context |= {"day": now.date() - timedelta(days=1), "hour": time(18), "latest": now.date()}
    context["had_morning"] = now.time() > MORNING
    context["earliest"] = now.date() - timedelta(days=settings.BEFFROI.drive_version_days)
    try:
        at_s = _chosen(request.GET, now)
        if at_s is not None:
            local = timezone.localtime(datetime.fromtimestamp(at_s, UTC)) if _is_date(at_s) else now
            context |= {"day": local.date(), "hour": local.time()}
            context |= _shown(request, view, node_id, at_s) | {"moment": local, "at_s": at_s}
    except BeffroiError as error:
        context["refused"] = drive_past_words.refusal(error)
        status = error.http_status
    return drive.drive_page(request, view, "portal/drive_past.html", context, status=status)


def _put_back(request: HttpRequest, actor: Actor, view: View, node_id: int) -> HttpResponse:
    if request.POST.get("what") != "restore":
        raise Invalid("what")
    address, at_s = reverse("drive_past", args=[node_id]), drive.number(request.POST.get("a", ""))
    try:
        if not past_actions.put_back(actor=actor, view=view, folder_id=node_id, at_s=at_s):
            messages.info(request, _("Ce dossier est déjà comme il était : rien n’a changé."))
    except BeffroiError as error:
        messages.error(request, drive_past_words.refusal(error))
    return HttpResponseRedirect(address)


def _chosen(asked: Mapping[str, str], now: datetime) -> int | None:
    """The moment that was chosen, in epoch seconds; None for none. Errors: Invalid."""
    if asked.get("a"):
        return drive.number(asked["a"])
    if asked.get("quand") == "heure":
        return int(now.timestamp()) - 3600
    if asked.get("quand") == "matin":
        return int(datetime.combine(now.date(), MORNING, now.tzinfo).timestamp())
    if asked.get("quand") == "hier":
        evening = datetime.combine(now.date() - timedelta(days=1), time(23, 59), now.tzinfo)
        return int(evening.timestamp())
    if asked.get("quand") == "semaine":
        return int(datetime.combine(now.date() - timedelta(days=7), now.time(), now.tzinfo).timestamp())
    if "jour" not in asked:
        return None
    try:
        local = datetime.combine(
            date.fromisoformat(asked["jour"]), time.fromisoformat(asked.get("heure", ""))
        )
        return int(local.replace(tzinfo=timezone.get_current_timezone()).timestamp())
    except (ValueError, OverflowError) as error:
        raise Invalid("moment") from error


def _is_date(at_s: int) -> bool:
    """Whether it is one that a calendar may show."""
    return 0 <= at_s < 1 << 35


def _shown(request: HttpRequest, view: View, folder_id: int, at_s: int) -> dict[str, Any]:
    """The list of then, a part of it, and what going back would do."""
    inside, first = (
        drive.number(request.GET.get("dans", "")) or folder_id,
        drive.number(request.GET.get("rang", "")),
    )
    with view.database.reading() as reading:
        moment = past.moment(view, reading, folder_id, at_s)
        steps = past.way(moment, folder_id, inside)
        if steps and not steps[-1].is_folder:
            raise Invalid("dans")
        found = sorted(
            moment.children(inside), key=lambda one: (not one.is_folder, by_name(one.name), one.name)
        )
        context: dict[str, Any] = {
            "inside": inside,
            "steps": steps,
            "rows": _rows(reading, found[first : first + PAGE_ROWS], folder_id, at_s),
            "total": len(found),
            "first": first,
            "after": first + PAGE_ROWS if first + PAGE_ROWS < len(found) else 0,
        }
        if inside == folder_id and not first and view.at(reading, folder_id).rights.may_write:
            context |= _planned(view, reading, folder_id, moment)
    return context


def _planned(view: View, reading: Reading, folder_id: int, moment: Moment) -> dict[str, Any]:
    try:
        plan = past_actions.plan(view, reading, folder_id, moment)
    except BeffroiError as error:
        return {"no_plan": drive_past_words.refusal(error)}
    return {"sentences": drive_past_words.sentences(plan), "has_steps": bool(plan.steps)}


def _rows(reading: Reading, part: list[Past], folder_id: int, at_s: int) -> list[dict[str, Any]]:
    erased = versions.erased(reading, [(one.node, one.etag) for one in part if not one.is_kept])
    return [_row(one, folder_id, at_s) | {"is_erased": (one.node, one.etag) in erased} for one in part]


def _row(one: Past, folder_id: int, at_s: int) -> dict[str, Any]:
    return {
        "entry": one,
        "size": "" if one.is_folder else words.size(one.size_bytes),
        "changed": datetime.fromtimestamp(one.mtime_s, UTC),
        "icon": "folder" if one.is_folder else "file-text",
        "bytes": f"{OUT_PATH}/avant/{folder_id}/{at_s}/{one.node}",
    }


def _way(reading: Reading, folder_id: int) -> dict[str, Any] | None:
    """The last way back of this folder, for its page."""
    found = going_back.find(reading, folder_id)
    if found is None:
        return None
    at, begun = (datetime.fromtimestamp(one, UTC) for one in (found.at_s, found.begun_s))
    return {
        "going": found,
        "percent": found.done * 100 // found.total if found.total else 100,
        "at": words.exact(at),
        "begun": begun,
        "before_s": found.begun_s - 1,
        "done": found.done - found.missed,
        "why": drive_past_words.reason(found.why) if found.missed or found.state == "stopped" else "",
    }
